"""Publishing: released sums as a folder that anyone checks with the public keys alone (protocol, chapter 9).

Rule 1: nothing in clear is written but released sums, and nothing is written that the MDMS was not given: signed
documents go out as the bytes that came in.
Rule 2: whoever checks compares two sides, what the utility says it released (the tables, from this database) and what
the key holder proved (the release batches). A publication holds whole batches, so that no line lacks its proof and
no proof its line.
Rule 3: the folder is there whole or not at all.
"""

import csv
import os
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, TextIO

import msgspec
from Crypto.PublicKey.ECC import EccKey
from sqlalchemy import or_, select

from protocol import releases
from protocol.documents import Document, DocumentError, document_id, public_key_bytes, to_base64url
from protocol.releases import ReleaseBatch, moment
from protocol.rosters import Tenancy
from protocol.windows import Span, period_of

from .config import MdmsConfig
from .errors import CannotStart, ConfigError
from .keyholder.messages import RELEASED
from .records.bills import bill_sum
from .records.documents import release_batches_named, reports_named
from .rosters import RosterBook, read_document
from .store import Store, batched
from .tables import bill_sums, bills, load_releases

PUBLIC, PERSONAL = 0o755, 0o700


class CannotPublish(CannotStart):
    """There is nothing to publish, or something of it is missing; nothing was written."""


@dataclass(frozen=True, slots=True)
class Published:
    """What a publication holds. ``unproved`` counts the sums that were released without a proof, and are left out."""

    loads: int
    bills: int
    batches: int
    reports: int
    rosters: int
    key_proofs: int
    unproved: int


def publish(
    config: MdmsConfig,
    store: Store,
    book: RosterBook,
    out: Path,
    *,
    day: date | None = None,
    bills_of: date | None = None,
    key_proofs: Path | None = None,
) -> Published:
    """Write the loads of ``day`` and the bills of the periods that begin on ``bills_of`` to a new folder.

    Both days are meant on each neighbourhood's own wall clock. What was proved in one batch with one of them comes
    along. With bills the folder is its owner's alone (0700): they are personal.
    Raises ConfigError for what it is asked, CannotPublish for what it does not find.
    """
    if config.log_key is None:
        raise ConfigError("publish needs release_log and log_key: with that key a reader checks the release batches")
    _check_free(out)
    chosen = _chosen(store, book, day, bills_of)
    if not chosen.batches:
        lacking = f"; {chosen.unproved} sums were released without a proof" if chosen.unproved else ""
        raise CannotPublish(f"nothing to publish: no proved release of that day{lacking}")
    batches = _read_batches(store, chosen.batches, config.deployment, config.log_key)
    load_lines, bill_lines = _load_lines(store, batches), _bill_lines(store, book, batches)
    if len(load_lines) + len(bill_lines) != sum(len(batch.items) for _, batch in batches.values()):
        # A batch is stored before the decisions that name it: the worker is between the two.
        raise CannotPublish("a release batch has decisions that are not stored yet: let the worker end, and try again")
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        rosters = _copy_documents(config.rosters, folder / releases.ROSTERS_FOLDER, config.deployment)
        if config.tariffs is not None:
            _copy_documents(config.tariffs, folder / releases.TARIFFS_FOLDER, config.deployment)
        proofs = _copy_key_proofs(key_proofs, folder / releases.KEY_PROOFS_FOLDER)
        _write_about(folder, config, config.log_key)
        _write_table(folder / releases.LOADS_FILE, releases.LOAD_COLUMNS, load_lines)
        _write_table(folder / releases.BILLS_FILE, releases.BILL_COLUMNS, bill_lines)
        _write_lines(folder / releases.BATCHES_FILE, (document for document, _ in batches.values()))
        reports = _write_reports(folder / releases.REPORTS_FILE, store, [batch for _, batch in batches.values()])
        _settle(folder, out, PERSONAL if bill_lines else PUBLIC)
    except OSError as error:
        raise CannotPublish(f"{out}: {error.strerror}") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Published(len(load_lines), len(bill_lines), len(batches), reports, rosters, proofs, unproved=chosen.unproved)


# --- What belongs to it -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Chosen:
    batches: list[str]
    unproved: int


def _chosen(store: Store, book: RosterBook, day: date | None, bills_of: date | None) -> _Chosen:
    """Return the batches that prove what was asked for, in order."""
    found: dict[str, None] = {}
    unproved = 0
    for neighbourhood in book.neighbourhoods():
        for batch in _loads_of(store, book, neighbourhood, day) if day else ():
            found |= {batch: None} if batch else {}
            unproved += batch is None
    for batch in _bills_of(store, book, bills_of) if bills_of else ():
        found |= {batch: None} if batch else {}
        unproved += batch is None
    return _Chosen(list(found), unproved)


def _span(day: date, book: RosterBook, neighbourhood: str) -> Span:
    zone = book.zone(neighbourhood)
    # Every day has a noon.
    return period_of("day", int(datetime.combine(day, time(12), zone).timestamp()), zone)


def _loads_of(store: Store, book: RosterBook, neighbourhood: str, day: date) -> list[str | None]:
    span = _span(day, book, neighbourhood)
    query = (
        select(load_releases.c.batch)
        .where(
            load_releases.c.neighbourhood == neighbourhood,
            load_releases.c.interval_start >= span.start,
            load_releases.c.interval_start < span.end,
            load_releases.c.status == RELEASED,
        )
        .order_by(load_releases.c.interval_start)
    )
    return [row.batch for row in store.ask(query)]


def _bills_of(store: Store, book: RosterBook, day: date) -> list[str | None]:
    spans = {name: _span(day, book, name) for name in book.neighbourhoods()}
    query = (
        select(bills.c.pseudonym, bills.c.period_start, bill_sums.c.batch)
        .join(bill_sums, bill_sums.c.bill == bills.c.id)
        .where(
            or_(*(bills.c.period_start.between(span.start, span.end - 1) for span in set(spans.values()))),
            bills.c.status == RELEASED,
        )
        .order_by(bills.c.id, bill_sums.c.number)
    )
    found = []
    for row in store.ask(query):
        span = spans[_tenancy(book, row.pseudonym).neighbourhood]
        if span.start <= row.period_start < span.end:
            found.append(row.batch)
    return found


def _tenancy(book: RosterBook, pseudonym: str) -> Tenancy:
    tenancy = book.tenancy(pseudonym)
    if tenancy is None:
        raise CannotPublish(f"pseudonym {pseudonym} has a bill and stands on no roster")
    return tenancy


def _read_batches(
    store: Store, names: Sequence[str], deployment: str, log_key: EccKey
) -> dict[str, tuple[Document, ReleaseBatch]]:
    documents = release_batches_named(store, names)
    batches = {}
    for name in names:
        if name not in documents:
            raise CannotPublish(f"release batch {name} is not in the database")
        try:
            batches[name] = documents[name], releases.open_batch(documents[name], deployment, log_key)
        except DocumentError as error:
            raise CannotPublish(f"release batch {name}: {error}") from None
    return batches


def _load_lines(store: Store, batches: dict[str, tuple[Document, ReleaseBatch]]) -> list[Sequence[object]]:
    columns = load_releases.c
    rows: list[Any] = []
    for some in batched(list(batches)):
        rows += store.ask(select(load_releases).where(columns.batch.in_(some)))
    rows.sort(key=lambda row: (row.neighbourhood, row.interval_start))
    return [
        (
            row.neighbourhood,
            moment(row.interval_start),
            row.contributors,
            batches[row.batch][1].k,
            row.import_mwh,
            row.export_mwh,
        )
        for row in rows
    ]


def _bill_lines(
    store: Store, book: RosterBook, batches: dict[str, tuple[Document, ReleaseBatch]]
) -> list[Sequence[object]]:
    rows: list[Any] = []
    for some in batched(list(batches)):
        query = select(bills.c.pseudonym, bills.c.period_start, bills.c.period_end, bill_sums)
        rows += store.ask(query.join(bill_sums, bill_sums.c.bill == bills.c.id).where(bill_sums.c.batch.in_(some)))
    lines = [(_tenancy(book, row.pseudonym), row) for row in rows]
    lines.sort(key=lambda line: (line[0].neighbourhood, line[1].pseudonym, line[1].period_start, line[1].number))
    return [
        (
            tenancy.neighbourhood,
            row.pseudonym,
            moment(row.period_start),
            moment(row.period_end if tenancy.until is None else min(row.period_end, tenancy.until)),
            row.filled,
            row.import_mwh,
            row.export_mwh,
            releases.joined_bands([name for name, _ in bill_sum(row).bands]),
            batches[row.batch][1].paillier_key,
        )
        for tenancy, row in lines
    ]


# --- The folder ---------------------------------------------------------------------------------------------------


def _check_free(out: Path) -> None:
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise ConfigError(f"{out} is there already and not an empty folder: nothing is overwritten")
    except OSError as error:
        raise CannotPublish(f"{out}: {error.strerror}") from None


def _copy_documents(source: Path, target: Path, deployment: str) -> int:
    """Copy signed documents as they are, each once."""
    target.mkdir()
    copied: set[str] = set()
    for path in sorted(path for path in source.iterdir() if path.suffix == ".json"):
        document = read_document(path)
        name = document_id(document.type, deployment, document.content_bytes())
        if name not in copied:
            copied.add(name)
            _write(target / path.name, path.read_text())
    return len(copied)


def _copy_key_proofs(source: Path | None, target: Path) -> int:
    if source is None:
        return 0
    target.mkdir()
    try:
        paths = sorted(path for path in source.iterdir() if path.suffix == ".json")
    except OSError as error:
        raise ConfigError(f"key proofs {source}: {error.strerror}") from None
    for path in paths:
        try:
            proof = msgspec.json.decode(path.read_bytes(), type=releases.PublishedKeyProof)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            raise ConfigError(f"{path}: not the proof of a key") from None
        _write(target / path.name, msgspec.json.encode(proof).decode() + "\n")
    return len(paths)


def _write_about(folder: Path, config: MdmsConfig, log_key: EccKey) -> None:
    about = releases.Publication(
        releases.FORMAT,
        config.deployment,
        to_base64url(public_key_bytes(config.operator_key)),
        to_base64url(public_key_bytes(log_key)),
    )
    _write(folder / releases.ABOUT_FILE, msgspec.json.format(msgspec.json.encode(about)).decode() + "\n")


def _write_table(path: Path, columns: Sequence[str], lines: Iterable[Sequence[object]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(lines)
        _flush(file)


def _write_reports(path: Path, store: Store, batches: Sequence[ReleaseBatch]) -> int:
    wanted = list(dict.fromkeys(name for batch in batches for item in batch.items for name in item.documents))
    count = 0
    with path.open("w") as file:
        for _, document in reports_named(store, wanted):
            file.write(msgspec.json.encode(document).decode() + "\n")
            count += 1
        _flush(file)
    if count != len(wanted):
        raise CannotPublish(f"{len(wanted) - count} reports of released sums are not in the database")
    return count


def _write_lines(path: Path, documents: Iterable[Document]) -> None:
    with path.open("w") as file:
        file.writelines(msgspec.json.encode(document).decode() + "\n" for document in documents)
        _flush(file)


def _write(path: Path, text: str) -> None:
    with path.open("w") as file:
        file.write(text)
        _flush(file)


def _flush(file: TextIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _settle(folder: Path, out: Path, mode: int) -> None:
    """Give the finished folder its name; an empty one of that name gives way."""
    folder.chmod(mode)
    for place in (*(path for path in folder.iterdir() if path.is_dir()), folder):
        _sync_folder(place)
    os.rename(folder, out)
    _sync_folder(out.parent)


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
