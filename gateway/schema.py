"""The ledger's tables, as the steps that have led to them: a file of an older version takes those it lacks."""

FIRST_SCHEMA = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE counts (kind TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE meters (
    title BLOB PRIMARY KEY, pseudonym TEXT NOT NULL UNIQUE, neighbourhood TEXT NOT NULL, since INTEGER NOT NULL,
    series INTEGER NOT NULL, epoch INTEGER NOT NULL, chain BLOB NOT NULL, hello_key BLOB NOT NULL,
    time_key BLOB NOT NULL, seen_epoch INTEGER NOT NULL,
    tail_end INTEGER NOT NULL, tail_register BLOB,          -- the newest register
    base_end INTEGER NOT NULL, base_register BLOB NOT NULL, -- the register that closed the last non-empty window
    next_window INTEGER NOT NULL                            -- start of the oldest window that is not sealed
) WITHOUT ROWID;
CREATE TABLE frames (
    title BLOB, salt BLOB, counter BLOB, epoch INTEGER NOT NULL, start INTEGER NOT NULL, tag BLOB NOT NULL,
    PRIMARY KEY (title, salt, counter)
) WITHOUT ROWID;
CREATE TABLE readings (
    title BLOB, series INTEGER, interval_number INTEGER, interval_start INTEGER NOT NULL, window INTEGER,
    epoch INTEGER NOT NULL, start INTEGER NOT NULL, tag BLOB NOT NULL,
    PRIMARY KEY (title, series, interval_number)
) WITHOUT ROWID;
CREATE TABLE quarantine (
    title BLOB, series INTEGER, interval_number INTEGER, interval_start INTEGER NOT NULL,
    interval_end INTEGER NOT NULL, reason TEXT NOT NULL, energy BLOB NOT NULL,
    PRIMARY KEY (title, series, interval_number)
) WITHOUT ROWID;
CREATE TABLE neighbourhoods (
    name TEXT PRIMARY KEY, next_interval INTEGER NOT NULL   -- start of the oldest interval whose load is open
) WITHOUT ROWID;
CREATE TABLE loads (
    neighbourhood TEXT, interval_start INTEGER, sum BLOB NOT NULL, PRIMARY KEY (neighbourhood, interval_start)
) WITHOUT ROWID;
CREATE TABLE contributors (
    neighbourhood TEXT, interval_start INTEGER, title BLOB,
    PRIMARY KEY (neighbourhood, interval_start, title)
) WITHOUT ROWID;
CREATE TABLE windows (
    title BLOB, window_start INTEGER, window_end INTEGER NOT NULL, present INTEGER NOT NULL,
    quality INTEGER NOT NULL, last_end INTEGER NOT NULL, register BLOB, PRIMARY KEY (title, window_start)
) WITHOUT ROWID;
CREATE TABLE details (seq INTEGER PRIMARY KEY, title BLOB NOT NULL, row BLOB NOT NULL);
CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, document BLOB NOT NULL, title BLOB,
    register_from INTEGER, register_to INTEGER, created INTEGER NOT NULL, verdict TEXT, reason TEXT
);
CREATE INDEX outbox_waiting ON outbox (seq) WHERE verdict IS NULL;
"""

EVENTS = """
CREATE TABLE events (
    seq INTEGER PRIMARY KEY, title BLOB NOT NULL, code INTEGER NOT NULL, time INTEGER, -- NULL: the meter did not know
    count INTEGER NOT NULL, text TEXT NOT NULL, received INTEGER NOT NULL
);
CREATE INDEX events_received ON events (received);
"""

# Titles that are refused for good, from ``since`` on (UTC seconds): revoked, or replaced by another meter.
REVOKED = """
CREATE TABLE revoked (title BLOB PRIMARY KEY, since INTEGER NOT NULL, why TEXT NOT NULL) WITHOUT ROWID;
"""

# What a backup carries of billing, and what the operator has said about readings in quarantine: an energy enters the
# first filled window from ``window`` on whose last register is of ``after`` or later.
DURABILITY = """
CREATE TABLE first_registers (title BLOB PRIMARY KEY, register BLOB NOT NULL) WITHOUT ROWID;
INSERT INTO first_registers SELECT title, base_register FROM meters WHERE base_end = since;
CREATE TABLE quarantine_decisions (
    title BLOB, series INTEGER, interval_number INTEGER, interval_start INTEGER NOT NULL, after INTEGER NOT NULL,
    decision TEXT NOT NULL, window INTEGER NOT NULL, PRIMARY KEY (title, series, interval_number)
) WITHOUT ROWID;
"""

# Sealed rows are closed by the hour: the hour that is open, the last row of the one that is being closed (0: none) and
# the last meter that is done in it. Accepted segments are forgotten at once; what they weighed, by the hour of their
# closing, stays for the bound in days. The bytes that wait are kept by the database itself, whoever writes.
SEGMENTS = """
CREATE TABLE closing_hour (hour INTEGER NOT NULL, through INTEGER NOT NULL, title BLOB NOT NULL);
INSERT INTO closing_hour VALUES (0, 0, x'');
CREATE TABLE segments_gone (hour INTEGER PRIMARY KEY, bytes INTEGER NOT NULL);
CREATE TABLE outbox_waiting_bytes (bytes INTEGER NOT NULL);
INSERT INTO outbox_waiting_bytes SELECT coalesce(sum(length(document)), 0) FROM outbox WHERE verdict IS NULL;
CREATE TRIGGER outbox_added AFTER INSERT ON outbox WHEN NEW.verdict IS NULL BEGIN
    UPDATE outbox_waiting_bytes SET bytes = bytes + length(NEW.document);
END;
CREATE TRIGGER outbox_decided AFTER UPDATE OF verdict ON outbox
    WHEN OLD.verdict IS NULL AND NEW.verdict IS NOT NULL BEGIN
    UPDATE outbox_waiting_bytes SET bytes = bytes - length(OLD.document);
END;
CREATE TRIGGER outbox_removed AFTER DELETE ON outbox WHEN OLD.verdict IS NULL BEGIN
    UPDATE outbox_waiting_bytes SET bytes = bytes - length(OLD.document);
END;
"""

# Paillier keys that follow each other: which was in force from when on, as far as anything was counted under it; the
# registers of unsealed windows under a former key, where the register that billing counts from is under that; and the
# keys under which a quarantined energy is kept, ``energy`` NULL for that in ``quarantine`` itself. Before this step
# there was one key to a neighbourhood: '' until the first start names it.
KEYS = """
CREATE TABLE paillier_keys (
    neighbourhood TEXT, since INTEGER, key TEXT NOT NULL, PRIMARY KEY (neighbourhood, since)
) WITHOUT ROWID;
CREATE TABLE former_registers (
    title BLOB, window_start INTEGER, key TEXT, register BLOB NOT NULL, PRIMARY KEY (title, window_start, key)
) WITHOUT ROWID;
CREATE TABLE quarantine_keys (
    title BLOB, series INTEGER, interval_number INTEGER, key TEXT, energy BLOB,
    PRIMARY KEY (title, series, interval_number, key)
) WITHOUT ROWID;
INSERT INTO quarantine_keys SELECT title, series, interval_number, '', NULL FROM quarantine;
"""

# A ledger of version n has taken the first n steps; a file is brought up to date at its start.
STEPS = (FIRST_SCHEMA, EVENTS, REVOKED, DURABILITY, SEGMENTS, KEYS)
SCHEMA_VERSION = len(STEPS)
