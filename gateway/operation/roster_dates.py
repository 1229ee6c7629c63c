"""Which of a concentrator's rosters count now: in words for a person. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import NamedTuple

from protocol.rosters import Roster

from ..keys import key_changes


class Filed(NamedTuple):
    """A roster, the name of the file that holds it, and whether it names this concentrator."""

    file: str
    roster: Roster
    own: bool


def say(filed: Sequence[Filed], now: int) -> list[str]:
    """Return a line for each of this concentrator's rosters that is not in force at ``now`` (UTC seconds).

    Versions of a neighbourhood are in force one after the other, each from its ``valid_from``; the higher version
    counts (protocol, chapter 7). One that names another concentrator from now on is said too.
    """
    said = []
    for name in sorted({each.roster.neighbourhood for each in filed if each.own}):
        versions = sorted((each for each in filed if each.roster.neighbourhood == name), key=_version)
        begun = [each for each in versions if each.roster.valid_from <= now]
        current = begun[-1] if begun else None
        said += [line for each in versions if each.own and (line := _of(each, current, versions, now))]
        if current is not None and not current.own:
            said.append(
                f"WARNING: roster version {current.roster.version} of {name} ({current.file}) names another"
                f" concentrator since {_moment(current.roster.valid_from)}: stop this one, or sign a roster that"
                " names it"
            )
    return said


def _of(each: Filed, current: Filed | None, versions: Sequence[Filed], now: int) -> str | None:
    roster = each.roster
    what = f"roster version {roster.version} of {roster.neighbourhood} ({each.file})"
    follows = [other for other in versions if other.roster.version > roster.version]
    # From its own start on, or before it, a higher version counts.
    never = next((other for other in follows if other.roster.valid_from <= roster.valid_from), None)
    if never is not None:
        return f"WARNING: {what} is never in force: version {never.roster.version} is from the same time or before"
    if roster.valid_from > now:
        begins = f"{what} is not in force yet: it is from {_moment(roster.valid_from)} on"
        if current is None:
            return f"WARNING: {begins}, and none is before it: no load is closed until then"
        return f"{begins}; until then version {current.roster.version} counts"
    after = next((other for other in follows if other.roster.valid_from <= now), None)
    if after is None:
        return None
    return f"{what} is not in force any more: version {after.roster.version} follows it since " + _moment(
        after.roster.valid_from
    )


def say_keys(filed: Sequence[Filed], now: int) -> list[str]:
    """Return a line for each change of a neighbourhood's Paillier key, as this concentrator's rosters have it."""
    said = []
    for name in sorted({each.roster.neighbourhood for each in filed if each.own}):
        rosters = sorted((each.roster for each in filed if each.own and each.roster.neighbourhood == name), key=_number)
        kept: list[Roster] = []
        for roster in rosters:
            kept = [*(each for each in kept if each.valid_from < roster.valid_from), roster]
        for (_, former), (since, key) in pairwise(key_changes(kept)):
            verb = "changes" if since > now else "has changed"
            said.append(f"the Paillier key of {name} {verb} at {_moment(since)}: from {former} to {key}")
    return said


def _number(roster: Roster) -> int:
    return roster.version


def _version(each: Filed) -> int:
    return each.roster.version


def _moment(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%MZ")
