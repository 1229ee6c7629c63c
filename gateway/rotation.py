"""A neighbourhood's change of Paillier keys, held against what has been counted: a key's time may not change behind it.

The ledger keeps which key was in force from when on. What it holds is under those; so a roster that says otherwise of
a time that was counted already is refused, and at the start too.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import structlog

from .enrolment import EnrolmentError
from .holdings import key_changes
from .keys import differ_from
from .ledger import Ledger
from .neighbourhood import Neighbourhood

log = structlog.get_logger()

HOUR_S = 3600


def check_keys(ledger: Ledger, place: Neighbourhood) -> None:
    """Raise EnrolmentError where a neighbourhood's rosters name another key for a time that has been counted."""
    name = place.roster.neighbourhood
    at = _contradiction(
        key_changes.get(ledger, name),
        place,
        key_changes.counted_from(ledger, name),
        key_changes.counted_until(ledger, name),
    )
    if at is not None:
        raise EnrolmentError(
            f"the rosters of {name} change the Paillier key at {_moment(at)}, and readings of then are counted under"
            " another: sign one that begins at a later period, or put a roster back that is missing"
        )


def keep_keys(ledger: Ledger, place: Neighbourhood) -> None:
    """Keep a neighbourhood's keys in the ledger where they are not; in a transaction."""
    name = place.roster.neighbourhood
    if key_changes.get(ledger, name) != place.key_changes():
        key_changes.put(ledger, name, place.key_changes())


def settle(ledger: Ledger, served: dict[str, Neighbourhood]) -> list[str]:
    """At a start: leave out the newest rosters that contradict the ledger; returns why.

    Raises EnrolmentError where without them nothing fits either: the roster of a former key is gone.
    """
    refused = []
    for name, place in list(served.items()):
        served[name], why = _fitting(ledger, place)
        refused += why
        with ledger.transaction():
            keep_keys(ledger, served[name])
    return refused


def _fitting(ledger: Ledger, place: Neighbourhood) -> tuple[Neighbourhood, list[str]]:
    try:
        check_keys(ledger, place)
    except EnrolmentError as error:
        if not place.later:
            raise
        fitting, refused = _fitting(ledger, place.without(place.later[-1].version))
        version = place.later[-1].version
        log.error(
            "a roster is refused; it is left where it is, and everything else goes on",
            neighbourhood=place.roster.neighbourhood,
            version=version,
            reason=str(error),
        )
        return fitting, [*refused, f"version {version}: {error}"]
    return place, []


def _contradiction(
    kept: Sequence[tuple[int, str]], place: Neighbourhood, counted_from: int | None, counted_until: int
) -> int | None:
    if counted_from is None:
        return None
    named = place.key_changes()
    # Without a word in the ledger an earlier version has written it, which knew one key.
    return differ_from(kept or named[:1], named, counted_from, counted_until)


def make_ready(place: Neighbourhood, now: int, protects: str) -> None:
    """Make the encryptions of the key in force and of those that follow, before a reading waits for their tables."""
    for era in place.eras_from(now):
        if era.cipher.made is None:
            described = era.encryption.described()
            log.info("encryption", neighbourhood=place.roster.neighbourhood, **described, protects=protects)


class Tidying:
    """Frees the tables of former keys when nothing is under them any more; looks once an hour."""

    def __init__(self) -> None:
        self._hour = -1

    def look(self, ledger: Ledger, served: dict[str, Neighbourhood], now: int) -> None:
        """Look; ``now`` in UTC seconds."""
        if now // HOUR_S == self._hour:
            return
        self._hour = now // HOUR_S
        for name, place in served.items():
            made = [era for era in place.eras[:-1] if era.cipher.made is not None]
            oldest = key_changes.counted_from(ledger, name) if made else None
            for era in made:
                if oldest is not None and place.era(oldest).since > era.since:
                    era.cipher.let_go()
                    log.info("nothing is under a former key any more", neighbourhood=name, key=era.name)


def _moment(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%MZ")
