"""The operator's door: when reports came, what was refused, alarms and their messages, requests with approval."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("interval_loads", sa.Column("arrived", sa.BigInteger()))
    for name, kind in (("arrived", sa.BigInteger()), ("handled", sa.BigInteger()), ("handled_by", sa.String(64))):
        op.add_column("conflicts", sa.Column(name, kind))
    op.create_table(
        "refusals",
        sa.Column("signer", sa.String(43), primary_key=True),
        sa.Column("reason", sa.String(64), primary_key=True),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "chores",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("said", sa.String(200), nullable=False),
    )
    op.create_table(
        "alarms",
        sa.Column("name", sa.String(160), primary_key=True),
        sa.Column("said", sa.Text(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("seen", sa.BigInteger(), nullable=False),
        sa.Column("told", sa.BigInteger(), nullable=False),
        sa.Column("cleared", sa.BigInteger()),
    )
    op.create_table(
        "alarm_messages",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("channel", sa.String(16), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("alarm", sa.String(160), nullable=False),
        sa.Column("said", sa.Text(), nullable=False),
        sa.Column("made", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_try", sa.BigInteger()),
        sa.Column("sent", sa.BigInteger()),
        sa.Column("failure", sa.String(200)),
    )
    op.create_index("messages_that_wait", "alarm_messages", ["next_try"])
    op.create_table(
        "requests",
        sa.Column("id", sa.String(22), primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("proposed_by", sa.String(64), nullable=False),
        sa.Column("proposed", sa.BigInteger(), nullable=False, index=True),
        sa.Column("decision", sa.String(16)),
        sa.Column("decided_by", sa.String(64)),
        sa.Column("decided", sa.BigInteger()),
        sa.Column("exported", sa.BigInteger()),
    )
    op.create_table(
        "operator_log",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("who", sa.String(64), nullable=False),
        sa.Column("did", sa.String(32), nullable=False),
        sa.Column("about", sa.String(64), nullable=False),
        sa.Column("said", sa.String(200), nullable=False),
    )
