"""How the ledger is looked at from beside it: read-only, without its lock, and without leaving a file behind."""

import os
import sqlite3
from pathlib import Path

PROC_LOCKS = Path("/proc/locks")


def open_read_only(path: Path) -> sqlite3.Connection:
    """Return a connection that cannot write; raises sqlite3.Error.

    Where there is no write-ahead log, the file is whole as it lies, and SQLite must not make one to read it.
    """
    whole = "" if path.with_name(path.name + "-wal").exists() else "&immutable=1"
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro{whole}", uri=True, isolation_level=None)
    connection.execute("PRAGMA query_only=ON")
    return connection


def holder(path: Path, locks: Path = PROC_LOCKS) -> int | None:
    """Return the process that has a ledger in use, None where nobody has or the system does not say.

    Taking the lock to find out could keep a daemon from starting in that moment.
    """
    try:
        found = path.with_name(path.name + ".lock").stat()
        lines = locks.read_text().splitlines()
    except OSError:
        return None
    name = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    for line in lines:
        words = line.split()
        if len(words) > 5 and words[1] == "FLOCK" and words[5] == name:
            return int(words[4])
    return None
