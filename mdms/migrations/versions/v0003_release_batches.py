"""Proofs of released sums: the key holder's release batches, and which of them proves a load or a bill."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "release_batches",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("neighbourhood", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("signer", sa.String(43), nullable=False),
        sa.Column("signature", sa.String(86), nullable=False),
    )
    # What was released before this has no proof and keeps none.
    for table in ("load_releases", "bills"):
        op.add_column(table, sa.Column("batch", sa.String(64)))
        op.create_index(f"ix_{table}_batch", table, ["batch"])
