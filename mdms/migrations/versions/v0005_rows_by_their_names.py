"""Detail segments are not remembered any more: rows are known by their own names, whichever way they come."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.drop_table("detail_segments")
