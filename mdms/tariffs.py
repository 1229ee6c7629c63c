"""Every tariff that the operator has signed, read once at start, and what rosters and periods demand of it."""

from collections.abc import Iterable
from pathlib import Path

from Crypto.PublicKey.ECC import EccKey

from protocol.documents import DocumentError
from protocol.tariffs import InForce, Tariff, TariffBook, open_tariff, tariff_id

from .errors import CannotStart
from .periods import Periods
from .rosters import RosterBook, read_document

NO_TARIFFS = TariffBook({})


def load_tariffs(directory: Path | None, deployment: str, operator: EccKey, book: RosterBook) -> TariffBook:
    """Return the tariffs of a directory (*.json), none without one; raises CannotStart naming what is wrong."""
    if directory is None:
        return NO_TARIFFS
    try:
        paths = sorted(path for path in directory.iterdir() if path.suffix == ".json")
    except OSError as error:
        raise CannotStart(f"tariffs {directory}: {error.strerror}") from None
    found: dict[str, Tariff] = {}
    for path in paths:
        document = read_document(path)
        try:
            found[tariff_id(document, deployment)] = open_tariff(document, deployment, operator)
        except DocumentError as error:
            raise CannotStart(f"tariff {path}: {error}") from None
    try:
        tariffs = TariffBook(found)
    except DocumentError as error:
        raise CannotStart(f"tariffs {directory}: {error}") from None
    _check_zones(tariffs, book)
    return tariffs


def _check_zones(tariffs: TariffBook, book: RosterBook) -> None:
    for _, tariff in tariffs:
        for neighbourhood in tariff.neighbourhoods:
            versions = book.versions(neighbourhood)
            if versions and versions[0].zone != tariff.zone:
                raise CannotStart(
                    f"tariff {called(tariff)}: its zone is {tariff.zone}, that of {neighbourhood} is {versions[0].zone}"
                )


def check_beginnings(tariffs: TariffBook, periods: Periods) -> None:
    """Refuse versions that begin within a period; raises CannotStart. One tariff fixes all bands of a period."""
    for _, tariff in tariffs:
        period = periods.holding(tariff.valid_from, tariff.tz())
        if period is not None and period.start != tariff.valid_from:
            raise CannotStart(f"tariff {called(tariff)}: valid_from is not a period's start")


def check_past(tariffs: Iterable[InForce], known: dict[str, int], now: int | None) -> None:
    """Refuse tariffs that change what has begun; raises CannotStart.

    ``known`` are those that the key holder has taken in, valid_from by document's id; ``now`` the latest time that it
    knows of, None for one whose memory is new: what it finds then is what it begins with.
    """
    if now is None:
        return
    here = {one.id: one.tariff for one in tariffs}
    for name, valid_from in known.items():
        if name not in here and valid_from <= now:
            raise CannotStart(f"tariff {name}, in force since {valid_from}, is missing: bills are opened by it")
    for name, tariff in here.items():
        if name not in known and tariff.valid_from <= now:
            raise CannotStart(
                f"tariff {called(tariff)}: its valid_from {tariff.valid_from} has passed before it was taken in; "
                "a tariff does not change what has begun: sign it for a later period"
            )


def called(tariff: Tariff) -> str:
    """Return what a person calls a tariff."""
    return f"{tariff.name} version {tariff.version}"
