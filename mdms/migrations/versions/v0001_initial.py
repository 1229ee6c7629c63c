"""The first tables: reports and what is asked about them, decisions, sealed rows, envelopes."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

ID = sa.String(64)
NAME = sa.String(64)
PSEUDONYM = sa.String(22)
SIGNED = (
    ("type", sa.String(32)),
    ("content", sa.LargeBinary()),
    ("signer", sa.String(43)),
    ("signature", sa.String(86)),
)


def upgrade() -> None:
    op.create_table("schema_version", sa.Column("version", sa.Integer(), primary_key=True, autoincrement=False))
    op.create_table("reports", sa.Column("id", ID, primary_key=True), *_required(*SIGNED))
    _loads()
    _bills()
    _details()
    op.create_table(
        "conflicts",
        sa.Column("id", ID, primary_key=True),
        *_required(*SIGNED, ("reason", sa.String(200))),
    )
    op.create_table("envelopes", sa.Column("pseudonym", PSEUDONYM, primary_key=True), *_required(*SIGNED[1:]))


def _required(*columns: tuple[str, sa.types.TypeEngine[Any]]) -> list[sa.Column[Any]]:
    return [sa.Column(name, kind, nullable=False) for name, kind in columns]


def _loads() -> None:
    op.create_table(
        "interval_loads",
        sa.Column("neighbourhood", NAME, primary_key=True),
        sa.Column("interval_start", sa.BigInteger(), primary_key=True, autoincrement=False),
        *_required(("interval_end", sa.BigInteger()), ("contributors", sa.Integer()), ("expected", sa.Integer())),
        sa.Column("report", ID, sa.ForeignKey("reports.id"), nullable=False, unique=True),
        sa.Column("decided", sa.Boolean(), nullable=False),
    )
    op.create_index("loads_that_wait", "interval_loads", ["decided", "interval_end"])
    op.create_table(
        "load_releases",
        sa.Column("neighbourhood", NAME, primary_key=True),
        sa.Column("interval_start", sa.BigInteger(), primary_key=True, autoincrement=False),
        *_required(("status", sa.String(32)), ("contributors", sa.Integer()), ("expected", sa.Integer())),
        sa.Column("import_mwh", sa.BigInteger()),
        sa.Column("export_mwh", sa.BigInteger()),
        *_required(("answer", sa.LargeBinary())),
    )


def _bills() -> None:
    op.create_table(
        "bills",
        sa.Column("id", sa.Integer(), primary_key=True),
        *_required(
            ("pseudonym", PSEUDONYM),
            ("period_start", sa.BigInteger()),
            ("period_end", sa.BigInteger()),
            ("status", sa.String(32)),
        ),
        sa.Column("import_mwh", sa.BigInteger()),
        sa.Column("export_mwh", sa.BigInteger()),
        *_required(("windows", sa.Integer()), ("estimated", sa.Integer()), ("answer", sa.LargeBinary())),
        sa.UniqueConstraint("pseudonym", "period_start"),
    )
    op.create_table(
        "billing_windows",
        sa.Column("pseudonym", PSEUDONYM, primary_key=True),
        sa.Column("window_start", sa.BigInteger(), primary_key=True, autoincrement=False),
        *_required(
            ("window_end", sa.BigInteger()),
            ("present", sa.Integer()),
            ("expected", sa.Integer()),
            ("quality", sa.Integer()),
            ("register_from", sa.BigInteger()),
            ("register_to", sa.BigInteger()),
            ("filled", sa.Boolean()),
        ),
        sa.Column("report", ID, sa.ForeignKey("reports.id"), nullable=False, unique=True),
        sa.Column("bill", sa.Integer(), sa.ForeignKey("bills.id")),
    )
    op.create_index("ix_billing_windows_bill", "billing_windows", ["bill"])
    op.create_index("meters_with_a_window", "billing_windows", ["window_start", "pseudonym"])


def _details() -> None:
    op.create_table("detail_segments", sa.Column("id", ID, primary_key=True), *_required(("pseudonym", PSEUDONYM)))
    op.create_table(
        "detail_rows",
        sa.Column("title", sa.LargeBinary(8), primary_key=True),
        sa.Column("salt", sa.LargeBinary(4), primary_key=True),
        sa.Column("counter", sa.LargeBinary(8), primary_key=True),
        *_required(("pseudonym", PSEUDONYM), ("epoch", sa.Integer()), ("row", sa.LargeBinary(90))),
    )
    op.create_index("rows_of_a_tenancy", "detail_rows", ["pseudonym", "epoch", "counter"])
