"""What a run says at its end: what was made, what was refused and why, what is left and what to do next. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping

from ..keyholder import messages
from ..keyholder.messages import RELEASED
from ..pricing import WITHOUT_ENERGY
from ..reasons import words
from .run import Outcome

DONE, LEFT = 0, 3
SHOWN = 10  # of each kind by name; the rest is in the table
NEXT = {
    messages.NOT_RELEASABLE: "compare the meter's rating in the roster with what it can measure, and look into it",
    messages.BAD_DOCUMENT: "look for alarms of that street's concentrator",
    messages.WRONG_KEY: "give the key holder the Paillier key that the roster names, and start it again",
    messages.NOT_ON_ROSTER: "give the key holder the operator's newest rosters, and start it again",
    messages.WINDOW_SPENT: "compare the database with the key holder's release log (scripts.verify_log)",
}


def exit_status(outcome: Outcome) -> int:
    """Return 0 where every bill of the period is decided and needs nobody, 3 where somebody has to do something."""
    return LEFT if outcome.left or _needing(outcome.refused) else DONE


def summary(outcome: Outcome) -> Iterator[str]:
    """Yield the lines."""
    released = outcome.statuses[RELEASED]
    every = sum(outcome.statuses.values()) + len(outcome.left)
    yield f"period from {', '.join(outcome.days)}: {every} bills"
    yield f"  released {released}"
    for status, count in sorted(Counter(outcome.refused.values()).items()):
        yield f"  {status} {count}: {words(status)}"
    if outcome.left:
        yield f"  left {len(outcome.left)}"
    yield f"{outcome.folder}: {outcome.made} pages written now, {sum(outcome.statuses.values())} in all, and bills.csv"
    if outcome.unproved:
        yield f"{outcome.unproved} sums have no proof of their own: parts too small to be told, or older than proofs"
    if outcome.unpriced:
        yield f"{outcome.unpriced} bills have no amount: no tariff prices them"
    yield from _named("refused", _needing(outcome.refused))
    yield from _named("left", outcome.left)
    if outcome.left:
        yield "next: when what is missing has come, run the same command again"


def _needing(refused: Mapping[str, str]) -> dict[str, str]:
    return {pseudonym: status for pseudonym, status in refused.items() if status not in WITHOUT_ENERGY}


def _named(kind: str, found: Mapping[str, str]) -> Iterator[str]:
    for pseudonym, why in sorted(found.items())[:SHOWN]:
        yield f"{kind} {pseudonym}: {why}"
    if len(found) > SHOWN:
        yield f"{kind}: {len(found) - SHOWN} more"
    for why in sorted(set(found.values()) & NEXT.keys()):
        yield f"next, for {why}: {NEXT[why]}"
