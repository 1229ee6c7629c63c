"""What the pages need: users, customers' open challenges, and the order in which sealed rows arrived.

The number of the version moves to Alembic's own table.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.drop_table("schema_version")
    op.create_table(
        "users",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("password_hash", sa.String(200), nullable=False),
    )
    op.create_table(
        "challenges",
        sa.Column("id", sa.String(22), primary_key=True),
        sa.Column("pseudonym", sa.String(22), nullable=False),
        sa.Column("answer", sa.LargeBinary(32), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=False, index=True),
    )
    op.create_index("bills_of_a_period", "bills", ["period_start", "pseudonym"])
    op.add_column("detail_rows", sa.Column("arrival", sa.BigInteger()))
    op.execute(
        "UPDATE detail_rows SET arrival = numbered.arrival FROM ("
        "SELECT title, salt, counter, row_number() OVER (PARTITION BY pseudonym ORDER BY epoch, counter, salt, title)"
        " AS arrival FROM detail_rows) AS numbered WHERE detail_rows.title = numbered.title"
        " AND detail_rows.salt = numbered.salt AND detail_rows.counter = numbered.counter"
    )
    with op.batch_alter_table("detail_rows") as rows:
        rows.alter_column("arrival", existing_type=sa.BigInteger(), nullable=False)
    op.create_index("rows_as_they_came", "detail_rows", ["pseudonym", "arrival"], unique=True)
