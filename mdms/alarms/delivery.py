"""Sends what is to be sent, each message until a channel has taken it, ever less often while it does not.

A message leaves before it is noted as sent: where a process dies between the two it goes out twice, and never not at
all. Both times it carries the same number.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

import structlog

from ..store import Store
from .ledger import Letter, claim, due_letters, settle

FIRST_PAUSE_S = 30
LONGEST_PAUSE_S = 3600
LEASE_S = 300  # longer than any attempt takes
GIVE_UP_S = 7 * 86_400

log = structlog.get_logger()


class CannotSend(Exception):
    """A channel did not take a message; the reason holds no secret and nothing that the other side chose freely."""


class Channel(Protocol):
    """A way to a person."""

    def send(self, letter: Letter) -> None:
        """Hand a message over, or raise CannotSend."""


def deliver(store: Store, channels: Mapping[str, Channel], now: Callable[[], int]) -> tuple[int, int]:
    """Try what is due; returns how many messages were sent and how many attempts failed."""
    sent = failed = 0
    away: set[str] = set()
    for letter in due_letters(store, now()):
        # One that has just failed is not asked again for the rest: each would wait for its time-out.
        if letter.channel in away or not claim(store, letter, now() + LEASE_S):
            continue
        try:
            if letter.channel not in channels:
                raise CannotSend("this channel is not configured any more")
            channels[letter.channel].send(letter)
        except CannotSend as error:
            failed += 1
            away.add(letter.channel)
            _put_off(store, letter, str(error), now())
        else:
            sent += 1
            settle(store, letter, sent=now(), next_try=None, failure=None)
    return sent, failed


def _put_off(store: Store, letter: Letter, reason: str, now: int) -> None:
    log.warning("alarm not delivered", channel=letter.channel, attempts=letter.attempts + 1, reason=reason)
    if now - letter.made > GIVE_UP_S:
        settle(store, letter, sent=None, next_try=None, failure=f"given up: {reason}")
    else:
        settle(store, letter, sent=None, next_try=now + pause(letter.attempts), failure=reason)


def pause(attempts: int) -> int:
    """Return how long to wait after so many earlier attempts, in seconds."""
    return min(FIRST_PAUSE_S << min(attempts, 20), LONGEST_PAUSE_S)
