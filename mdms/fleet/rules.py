"""What is wrong with a fleet, by rule. Pure: the same facts and limits give the same findings, by the same names.

A finding's name is what it is about and never a number: as long as the cause lasts, it is one finding. Nothing in it
is of one home: a meter's pseudonym stands on the operator's page, and in no message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from ..ingest.judgement import OTHER_ROSTER
from ..keyholder.messages import RELEASED
from ..reasons import words
from .facts import DAY_S, Fleet, Street
from .limits import Limits

MINUTE_S = 60
MEGABYTE = 1_000_000
FEW = 20  # decisions: a share of fewer says nothing


class Finding(NamedTuple):
    """Something that is wrong: its name, the neighbourhood that it is of (or empty), and what to do in words."""

    name: str
    street: str
    said: str


def findings(fleet: Fleet, limits: Limits) -> list[Finding]:
    """Return everything that is wrong, the deployment's own first, then by neighbourhood."""
    return [
        *(each for rule in OF_THE_DEPLOYMENT for each in rule(fleet, limits)),
        *(each for street in fleet.streets for rule in OF_A_STREET for each in rule(street, fleet.now, limits)),
    ]


# --- The deployment -----------------------------------------------------------------------------------------------


def _rosters(fleet: Fleet, _limits: Limits) -> Iterator[Finding]:
    if not fleet.rosters_usable:
        # The reason may name an account: it stands in the log.
        yield Finding(
            "rosters",
            "",
            "The folder of rosters cannot be used any more, and whatever starts again now will not start: mdms check "
            "says why.",
        )


def _releases_wait(fleet: Fleet, limits: Limits) -> Iterator[Finding]:
    if fleet.waits_since is None:
        return
    waits_s = fleet.now - fleet.waits_since
    if waits_s > limits.waiting_minutes * MINUTE_S:
        yield Finding(
            "releases-wait",
            "",
            f"Waiting for the key holder: {counted(fleet.waiting, 'load')}, the oldest for {span(waits_s)}. Do worker "
            "and key holder run? After 48 hours a load is refused for good.",
        )


def _prune(fleet: Fleet, limits: Limits) -> Iterator[Finding]:
    if not fleet.rows:
        return
    last = fleet.prune.at if fleet.prune else None
    if last is None or fleet.now - last > limits.prune_days * DAY_S:
        when = "has never run" if last is None else f"last ran {span(fleet.now - last)} ago"
        yield Finding("prune", "", f"Old detail is not deleted: prune {when}. Is its timer on?")


def _disk(fleet: Fleet, limits: Limits) -> Iterator[Finding]:
    if fleet.free_bytes is not None and fleet.free_bytes < limits.disk_floor_mb * MEGABYTE:
        free = fleet.free_bytes // MEGABYTE
        yield Finding("disk", "", f"The database's disk has {free} MB left: make room, or prune.")


# --- A neighbourhood ----------------------------------------------------------------------------------------------


def _silent(street: Street, now: int, limits: Limits) -> Iterator[Finding]:
    silent_s = now - street.heard
    # A load closes some minutes behind its interval: between two of them nobody is silent.
    if silent_s > limits.silent_minutes * MINUTE_S + street.interval_s:
        since = span(silent_s) if street.newest else f"{span(silent_s)}, and never before"
        yield Finding(
            f"silent:{street.name}", street.name, f"No load for {since}: does its concentrator run, and reach us?"
        )


def _clock(street: Street, _now: int, limits: Limits) -> Iterator[Finding]:
    timing = street.timing()
    if timing is None:
        return
    if timing.least_s < -limits.ahead_seconds:
        yield Finding(
            f"clock:{street.name}",
            street.name,
            f"A load came {-timing.least_s} s before its interval had ended here: the concentrator's clock is at least "
            "that far ahead, or ours behind.",
        )
    elif timing.least_s > limits.late_minutes * MINUTE_S:
        yield Finding(
            f"clock:{street.name}",
            street.name,
            f"Not one load of the last day came sooner than {span(timing.least_s)} behind its interval: the "
            "concentrator's clock is behind, its line is slow, or its outbox is long.",
        )


def _windows(street: Street, _now: int, limits: Limits) -> Iterator[Finding]:
    missing = sum(each.missing for each in street.meters)
    if missing:
        homes = sum(1 for each in street.meters if each.missing)
        yield Finding(
            f"windows:{street.name}",
            street.name,
            f"{counted(missing, 'billing window')} of {counted(homes, 'account')} had not come {limits.windows_hours} "
            "hours after the end: their bills wait.",
        )


def _aside(street: Street, _now: int, _limits: Limits) -> Iterator[Finding]:
    if street.aside:
        yield Finding(
            f"conflict:{street.name}",
            street.name,
            f"Set aside: {counted(len(street.aside), 'signed report')} in contradiction to what is stored. A clone, a "
            "restored ledger or a stolen key would look like this: look into each.",
        )


def _roster(street: Street, now: int, _limits: Limits) -> Iterator[Finding]:
    reasons = sorted({each.reason for each in street.refusals if each.reason in OTHER_ROSTER})
    behind = (
        street.reported_roster is not None
        and street.newest is not None
        and street.newest.start >= street.roster_since
        and street.reported_roster != street.roster
    )
    if reasons or behind:
        said = [f"refused: {', '.join(reasons)}"] if reasons else []
        if behind:
            said.append(f"it counts by version {street.reported_roster}, in force is {street.roster}")
        yield Finding(
            f"roster:{street.name}",
            street.name,
            f"Its concentrator and this server go by different rosters ({'; '.join(said)}): give both the newest, and "
            "start serve and worker again.",
        )


def _refused(street: Street, _now: int, limits: Limits) -> Iterator[Finding]:
    decided = sum(street.decided.values())
    refused = decided - street.decided.get(RELEASED, 0)
    if decided >= FEW and refused * 100 > limits.refused_percent * decided:
        worst = max((each for each in street.decided.items() if each[0] != RELEASED), key=lambda each: each[1])
        yield Finding(
            f"refused:{street.name}",
            street.name,
            f"The key holder refused {refused} of {decided} loads of the last day. Most often: {words(worst[0])}",
        )


OF_THE_DEPLOYMENT: tuple[Callable[[Fleet, Limits], Iterator[Finding]], ...] = (_rosters, _releases_wait, _prune, _disk)
OF_A_STREET: tuple[Callable[[Street, int, Limits], Iterator[Finding]], ...] = (
    _silent,
    _clock,
    _windows,
    _aside,
    _roster,
    _refused,
)


def counted(number: int, what: str) -> str:
    """Return a number of things in words."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def span(seconds: int) -> str:
    """Return a length of time as people say it."""
    if seconds < 2 * MINUTE_S:
        return f"{seconds} s"
    if seconds < 2 * 3600:
        return f"{seconds // MINUTE_S} min"
    return f"{seconds // 3600} h" if seconds < 3 * DAY_S else f"{seconds // DAY_S} days"
