"""All of an account's readings, in order, for files of the customer's own: CSV here, Green Button in espi.py."""

import csv
import datetime
import os
from collections.abc import Callable
from io import TextIOBase
from pathlib import Path

from .configuration import ConfigurationError
from .home_assistant import values
from .opening import Opener, Reading
from .portal import Portal

COLUMNS = (
    "meter",
    "start",
    "end",
    "import_kwh",
    "export_kwh",
    "import_register_kwh",
    "export_register_kwh",
    "voltage_v",
    "current_a",
    "power_factor",
    "quality",
)


def fetch_all(portal: Portal, opener: Opener) -> tuple[list[Reading], int]:
    """Return (every reading that the server has, by time, each once; how many rows do not open); raises PortalError."""
    found: dict[tuple[bytes, bytes, int], Reading] = {}
    behind = failed = 0
    while True:
        rows = portal.rows(behind)
        readings, wrong = opener.open(rows.rows)
        found.update({(one.title, one.salt, one.counter): one for one in readings})
        failed, behind = failed + wrong, rows.next
        if not rows.more:
            return sorted(found.values(), key=lambda one: (one.detail.end, one.counter)), failed


def write_csv(stream: TextIOBase, readings: list[Reading]) -> None:
    """Write readings as a table (RFC 4180): times in UTC, energies in kWh to the milliwatt-hour, quality as bits."""
    table = csv.writer(stream)
    table.writerow(COLUMNS)
    for reading in readings:
        detail, measured = reading.detail, values(reading, fresh=True)
        table.writerow(
            (
                reading.title.hex(),
                _iso(detail.end - detail.length_s),
                _iso(detail.end),
                _kwh(detail.import_mwh),
                _kwh(detail.export_mwh),
                measured["import_kwh"],
                measured["export_kwh"],
                measured["voltage_v"],
                measured["current_a"],
                measured["power_factor"],
                detail.quality,
            )
        )


def write_new(path: Path, write: Callable[[TextIOBase], object]) -> None:
    """Write a new file for its owner only, whole or not at all; raises ConfigurationError where it exists."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigurationError(f"{path} exists already and is not overwritten") from None
    except OSError as error:
        raise ConfigurationError(f"cannot write {path}: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            write(file)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise ConfigurationError(f"cannot write {path}: {error.strerror}; nothing of it is kept") from None


def _iso(at: int) -> str:
    return datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _kwh(mwh: int) -> str:
    return f"{mwh // 10**6}.{mwh % 10**6:06d}"
