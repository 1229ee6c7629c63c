"""Bills in bands: the sums that a bill consists of, the tariff that it was opened by, and what came late."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("bills", sa.Column("tariff", sa.String(64)))
    op.add_column("bills", sa.Column("adjusted", sa.Integer(), nullable=False, server_default="0"))
    op.create_table(
        "bill_sums",
        sa.Column("bill", sa.Integer(), sa.ForeignKey("bills.id"), primary_key=True, autoincrement=False),
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("group_number", sa.Integer(), nullable=False),
        sa.Column("bands", sa.Text(), nullable=False),
        sa.Column("windows", sa.Integer(), nullable=False),
        sa.Column("filled", sa.Integer(), nullable=False),
        sa.Column("import_mwh", sa.BigInteger(), nullable=False),
        sa.Column("export_mwh", sa.BigInteger(), nullable=False),
        sa.Column("batch", sa.String(64), index=True),
    )
    # Before there were bands a bill was one sum. Its windows were counted where they had energy.
    op.execute(
        "INSERT INTO bill_sums (bill, number, group_number, bands, windows, filled, import_mwh, export_mwh, batch) "
        "SELECT id, 0, 0, '[]', windows, windows, import_mwh, export_mwh, batch FROM bills WHERE status = 'released'"
    )
