"""What customers decided about their own rows: how long they are kept, and what was erased."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "detail_choices",
        sa.Column("pseudonym", sa.String(22), primary_key=True),
        sa.Column("keep_days", sa.Integer()),
        sa.Column("erased_before", sa.Integer()),
        sa.Column("last_arrival", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "detail_log",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("pseudonym", sa.String(22), nullable=False, index=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("did", sa.String(16), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
    )
