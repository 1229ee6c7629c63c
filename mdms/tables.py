"""The tables of the MDMS. Portable SQL only: SQLite by default, PostgreSQL by another URL.

A report is stored once, as the exact bytes that were signed; the other tables hold what is asked about it.
A change here needs a step in ``migrations/versions``; a test compares the two.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()

DOCUMENT_ID = String(64)  # hex SHA-256
NAME = String(64)
PSEUDONYM = String(22)
KEY_ID = String(43)
ALARM = String(160)

reports = Table(
    "reports",
    metadata,
    Column("id", DOCUMENT_ID, primary_key=True),
    Column("type", String(32), nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("signer", KEY_ID, nullable=False),
    Column("signature", String(86), nullable=False),
)

interval_loads = Table(
    "interval_loads",
    metadata,
    Column("neighbourhood", NAME, primary_key=True),
    Column("interval_start", BigInteger, primary_key=True, autoincrement=False),
    Column("interval_end", BigInteger, nullable=False),
    Column("contributors", Integer, nullable=False),
    Column("expected", Integer, nullable=False),
    Column("report", DOCUMENT_ID, ForeignKey("reports.id"), nullable=False, unique=True),
    # Whether load_releases has a row for it: years of decided loads are not looked through for the few that wait.
    Column("decided", Boolean, nullable=False, default=False),
    # When it came in, by the server's clock; null for one of before this was kept, and in a simulation.
    Column("arrived", BigInteger),
    Index("loads_that_wait", "decided", "interval_end"),
)

# What the key holder decided about a load; without a row it has not been asked yet, or asks for patience.
load_releases = Table(
    "load_releases",
    metadata,
    Column("neighbourhood", NAME, primary_key=True),
    Column("interval_start", BigInteger, primary_key=True, autoincrement=False),
    Column("status", String(32), nullable=False),
    Column("contributors", Integer, nullable=False),
    Column("expected", Integer, nullable=False),
    Column("import_mwh", BigInteger),
    Column("export_mwh", BigInteger),
    Column("answer", LargeBinary, nullable=False),
    # The release batch that proves it; null unless released, and for what was released before there were proofs.
    Column("batch", DOCUMENT_ID, index=True),
)

# What the key holder decided about a billing period of one tenancy.
bills = Table(
    "bills",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("pseudonym", PSEUDONYM, nullable=False),
    Column("period_start", BigInteger, nullable=False),
    Column("period_end", BigInteger, nullable=False),
    Column("status", String(32), nullable=False),
    Column("import_mwh", BigInteger),
    Column("export_mwh", BigInteger),
    Column("windows", Integer, nullable=False),
    Column("estimated", Integer, nullable=False),
    Column("answer", LargeBinary, nullable=False),
    Column("batch", DOCUMENT_ID, index=True),
    # The document of the tariff that it was opened by, and how many of its windows were left over from before.
    Column("tariff", DOCUMENT_ID),
    Column("adjusted", Integer, nullable=False, default=0, server_default="0"),
    UniqueConstraint("pseudonym", "period_start"),
    Index("bills_of_a_period", "period_start", "pseudonym"),
)

# The sums that a released bill consists of: one for each group of bands, and for each key.
bill_sums = Table(
    "bill_sums",
    metadata,
    Column("bill", Integer, ForeignKey("bills.id"), primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("group_number", Integer, nullable=False),
    # JSON: [[name of a band, number of its windows], ...]; [] without a tariff.
    Column("bands", Text, nullable=False),
    Column("windows", Integer, nullable=False),
    Column("filled", Integer, nullable=False),
    Column("import_mwh", BigInteger, nullable=False),
    Column("export_mwh", BigInteger, nullable=False),
    Column("batch", DOCUMENT_ID, index=True),
)

# Signed proofs of released sums, as the key holder made them. Each is stored before the first decision that names it.
release_batches = Table(
    "release_batches",
    metadata,
    Column("id", DOCUMENT_ID, primary_key=True),
    Column("neighbourhood", NAME, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("signer", KEY_ID, nullable=False),
    Column("signature", String(86), nullable=False),
)

billing_windows = Table(
    "billing_windows",
    metadata,
    Column("pseudonym", PSEUDONYM, primary_key=True),
    Column("window_start", BigInteger, primary_key=True, autoincrement=False),
    Column("window_end", BigInteger, nullable=False),
    Column("present", Integer, nullable=False),
    Column("expected", Integer, nullable=False),
    Column("quality", Integer, nullable=False),
    Column("register_from", BigInteger, nullable=False),
    Column("register_to", BigInteger, nullable=False),
    Column("filled", Boolean, nullable=False),
    Column("report", DOCUMENT_ID, ForeignKey("reports.id"), nullable=False, unique=True),
    # The bill that spent it, whether released or found impossible; no window is spent twice.
    Column("bill", Integer, ForeignKey("bills.id"), index=True),
    Index("meters_with_a_window", "window_start", "pseudonym"),
)

# A detail segment's rows are kept instead of its bytes: they carry their own seal, and nobody here reads them. They are
# known by their own names, so no segment is: of live ones there are several a second.
detail_rows = Table(
    "detail_rows",
    metadata,
    Column("title", LargeBinary(8), primary_key=True),
    Column("salt", LargeBinary(4), primary_key=True),
    # Eight bytes, big-endian: a u64 fits no signed SQL integer, and bytes sort the same way.
    Column("counter", LargeBinary(8), primary_key=True),
    Column("pseudonym", PSEUDONYM, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("row", LargeBinary(90), nullable=False),
    # 1, 2, 3 ... within a tenancy, as they came: late rows have older counters, and a page asks for what is new.
    Column("arrival", BigInteger, nullable=False),
    Index("rows_of_a_tenancy", "pseudonym", "epoch", "counter"),
    Index("rows_as_they_came", "pseudonym", "arrival", unique=True),
)

# Authentic reports that contradict one that is stored: an alarm, kept for whoever looks into it.
conflicts = Table(
    "conflicts",
    metadata,
    Column("id", DOCUMENT_ID, primary_key=True),
    Column("type", String(32), nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("signer", KEY_ID, nullable=False),
    Column("signature", String(86), nullable=False),
    Column("reason", String(200), nullable=False),
    Column("arrived", BigInteger),
    # When somebody said that it was looked into, and who.
    Column("handled", BigInteger),
    Column("handled_by", NAME),
)

# What rostered concentrators signed and was refused: counts by signer and kind of reason. A stranger is not written
# down, so nobody fills it.
refusals = Table(
    "refusals",
    metadata,
    Column("signer", KEY_ID, primary_key=True),
    Column("reason", NAME, primary_key=True),
    Column("first", BigInteger, nullable=False),
    Column("last", BigInteger, nullable=False),
    Column("number", BigInteger, nullable=False),
)

envelopes = Table(
    "envelopes",
    metadata,
    Column("pseudonym", PSEUDONYM, primary_key=True),
    Column("content", LargeBinary, nullable=False),
    Column("signer", KEY_ID, nullable=False),
    Column("signature", String(86), nullable=False),
)

# Who may open the utility's pages. Customers are not here: their key is their login.
users = Table(
    "users",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("role", String(16), nullable=False),
    Column("password_hash", String(200), nullable=False),
)

# The API's tokens. A revoked one is gone.
tokens = Table(
    "tokens",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("role", String(16), nullable=False),
    Column("hash", DOCUMENT_ID, nullable=False, unique=True),
    # Names with spaces between them; null: all.
    Column("neighbourhoods", Text),
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
)

# What a customer's login waits for: each is answered once, rightly or wrongly, or expires.
challenges = Table(
    "challenges",
    metadata,
    Column("id", String(22), primary_key=True),
    Column("pseudonym", PSEUDONYM, nullable=False),
    Column("answer", LargeBinary(32), nullable=False),
    Column("expires", BigInteger, nullable=False, index=True),
)

# When a command that is to be run now and then was last done.
chores = Table(
    "chores",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("said", String(200), nullable=False),
)

# Alarms by name: raised, and cleared again. `seen` is when the cause was last there, `told` when a message was made.
alarms = Table(
    "alarms",
    metadata,
    Column("name", ALARM, primary_key=True),
    Column("said", Text, nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("seen", BigInteger, nullable=False),
    Column("told", BigInteger, nullable=False),
    Column("cleared", BigInteger),
)

# What is to be sent, one row for each message and channel. `next_try` is null when nothing is left to do.
alarm_messages = Table(
    "alarm_messages",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("channel", String(16), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("alarm", ALARM, nullable=False),
    Column("said", Text, nullable=False),
    Column("made", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_try", BigInteger),
    Column("sent", BigInteger),
    Column("failure", String(200)),
    Index("messages_that_wait", "next_try"),
)

# What an operator proposes to be signed, and what a second one decided. Nothing here is signed or trusted.
requests = Table(
    "requests",
    metadata,
    Column("id", String(22), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("body", Text, nullable=False),
    Column("proposed_by", NAME, nullable=False),
    Column("proposed", BigInteger, nullable=False, index=True),
    Column("decision", String(16)),
    Column("decided_by", NAME),
    Column("decided", BigInteger),
    Column("exported", BigInteger),
)

# Who did what at the operator's door, and when. Rows are added and never changed.
operator_log = Table(
    "operator_log",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("who", NAME, nullable=False),
    Column("did", String(32), nullable=False),
    Column("about", NAME, nullable=False),
    Column("said", String(200), nullable=False),
)

# What a customer decided about the own rows; without a row the deployment's own days count.
detail_choices = Table(
    "detail_choices",
    metadata,
    Column("pseudonym", PSEUDONYM, primary_key=True),
    Column("keep_days", Integer),
    # The day (epoch) of the last erasure: rows of earlier days that still come are deleted by `prune`.
    Column("erased_before", Integer),
    # The highest arrival of rows that are gone, so that numbers go on where an open page stands.
    Column("last_arrival", BigInteger, nullable=False),
)

# The same as it was decided, for the customer to look at. Rows are added and never changed; no reading is in them.
detail_log = Table(
    "detail_log",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("pseudonym", PSEUDONYM, nullable=False, index=True),
    Column("at", BigInteger, nullable=False),
    Column("did", String(16), nullable=False),
    # The days that are kept (0: the deployment's), or the rows that were deleted.
    Column("number", BigInteger, nullable=False),
)
