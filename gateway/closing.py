"""What time closes: loads after the grace, windows when complete or after the accepted delay, chains after it."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import replace

import structlog

import paillier
from protocol import keychain, windows
from protocol.reports import BillingWindow, IntervalLoad, pack_bitmap

from .aggregate import OpenWindow, SealedWindow, Tail
from .holdings import enrolled, events, loads, meter_keys, open_windows, seen
from .holdings.enrolled import Meter
from .intake import DataDecryption
from .keys import Era
from .ledger import Ledger
from .neighbourhood import Neighbourhood
from .outbox import Outbox

log = structlog.get_logger()

DAY_S = keychain.DAY_S
CHUNK = 200  # closings in one transaction: a long outage is caught up without holding the ledger for minutes
EVENTS_S = 366 * DAY_S  # how long a meter's events are kept
ERASED_UNTIL = "today of the last erasure"
NEVER = -1


# A street's oldest windows are of the same few hours, and the calendar takes longer than a look at the ledger.
_window_at = functools.lru_cache(maxsize=1024)(windows.window_of)


def _leaving(era: Era, ciphertext: int) -> str:
    return paillier.to_base64url(era.public_key, era.encryption.rerandomise(ciphertext))


def confirm_clock(ledger: Ledger, now_ms: int) -> None:
    """The operator's word that the clock is right after a jump: erasure goes on from here. In a transaction."""
    ledger.set_fact(ERASED_UNTIL, keychain.epoch_of(now_ms // 1000) - 1)


class Closing:
    """Closes what is due, in order, once. Every method runs in the ledger's thread."""

    def __init__(
        self,
        ledger: Ledger,
        outbox: Outbox,
        neighbourhoods: Mapping[str, Neighbourhood],
        decryption: DataDecryption,
        *,
        min_contributors: int,
        grace_s: int,
        accepted_delay_days: int,
        trusted: Callable[[], bool] = lambda: True,
    ) -> None:
        """``trusted`` says whether the clock may be believed: until then nothing is closed and nothing erased."""
        self._trusted = trusted
        self._ledger = ledger
        self._outbox = outbox
        self._neighbourhoods = neighbourhoods
        self._decryption = decryption
        self._k = min_contributors
        self._grace_s = grace_s
        self._delay_s = accepted_delay_days * DAY_S
        self._delay_days = accepted_delay_days
        self._warned = NEVER

    def close(self, now_ms: int) -> None:
        """Close everything that is due. Each transaction holds a closing whole, with its signed report."""
        if not self._trusted():
            return
        now = now_ms // 1000
        for name, place in self._neighbourhoods.items():
            while self._close_loads(name, place, now):
                pass
        for title in self._due(now):
            while self._seal_windows(title, now):
                pass
        self._erase(now)

    def close_segments(self, now_ms: int) -> bool:
        """Take a step of turning an hour's sealed rows into reports; returns whether there may be another.

        Apart from ``close``, a transaction at a time, and without a trusted clock: an hour is only a portion here.
        """
        if not self._outbox.segments.is_due(now_ms // 1000):
            return False
        with self._ledger.transaction():
            return self._outbox.close_segments(now_ms)

    # --- Loads --------------------------------------------------------------------------------------------------

    def _close_loads(self, name: str, place: Neighbourhood, now: int) -> bool:
        """Close at most CHUNK intervals; returns whether there may be more."""
        interval_s = place.roster.interval_s
        with self._ledger.transaction():
            first = loads.next_interval(self._ledger, name)
            start = self._first_interval(place, now) if first is None else first
            for _ in range(CHUNK):
                if start + interval_s + self._grace_s > now:
                    break
                self._outbox.add(self._load(name, place, start), now * 1000)
                start += interval_s
            if start != first:
                loads.set_next_interval(self._ledger, name, start)
        return start + interval_s + self._grace_s <= now

    def _first_interval(self, place: Neighbourhood, now: int) -> int:
        # A concentrator that is put up late has no word to say about the time before it could have heard.
        since = max(place.roster.valid_from, now - self._delay_s)
        return -(-since // place.roster.interval_s) * place.roster.interval_s

    def _load(self, name: str, place: Neighbourhood, start: int) -> IntervalLoad:
        total, pseudonyms = loads.take(self._ledger, name, start)
        roster = place.in_force(start)
        members = {at for at, member in enumerate(roster.members) if member.pseudonym in pseudonyms}
        whole = len(members) == len(pseudonyms)
        if not whole:
            # Its roster came after it was counted: the sum holds a meter that nobody would be told of.
            log.error("alarm: a load holds a meter that its roster does not name; no sum is sent", neighbourhood=name)
        text = None
        if total is not None and len(members) >= self._k and whole:
            key = place.era(start).public_key
            text = paillier.to_base64url(key, paillier.from_bytes(key, total))
        return IntervalLoad(
            neighbourhood=name,
            roster_version=roster.version,
            interval_start=start,
            interval_s=roster.interval_s,
            contributors=pack_bitmap(members, len(roster.members)),
            paillier_key=roster.paillier_key,
            ciphertext=text,
        )

    # --- Billing windows ----------------------------------------------------------------------------------------

    def _due(self, now: int) -> list[bytes]:
        """Return the titles of the meters whose oldest window is due: at most ticks, of thousands, none."""
        due = []
        for title, neighbourhood, start, present in open_windows.oldest(self._ledger):
            place = self._neighbourhoods[neighbourhood]
            if self._is_due(place, OpenWindow(_window_at(start, place.zone), present), now):
                due.append(title)
        return due

    def _is_due(self, place: Neighbourhood, window: OpenWindow, now: int) -> bool:
        end = window.span.end
        return end + self._delay_s <= now or (end <= now and window.complete(place.roster.interval_s))

    def _seal_windows(self, title: bytes, now: int) -> bool:
        """Seal at most CHUNK of a meter's windows, in order; returns whether there may be more."""
        with self._ledger.transaction():
            for _ in range(CHUNK):
                meter = enrolled.get(self._ledger, title)
                assert meter is not None, "meters are not removed"
                place = self._neighbourhoods[meter.neighbourhood]
                span = windows.window_of(meter.next_window, place.zone)
                left = place.left(meter.pseudonym)
                if left is not None and span.start >= left:
                    return False  # its tenancy is over, and every window of it is sealed
                window, register = open_windows.get(self._ledger, title, span)
                if not self._is_due(place, window, now):
                    return False
                sealed = self._sealed(meter, place, window, register)
                self._outbox.add(self._report(meter, place, sealed), now * 1000, title)
                if sealed.register is not None and register is not None:
                    enrolled.set_base(self._ledger, title, sealed.register_to, register)
                open_windows.remove(self._ledger, title, span.start)
                enrolled.set_next_window(self._ledger, title, span.end)
        return True

    def _sealed(self, meter: Meter, place: Neighbourhood, window: OpenWindow, register: bytes | None) -> SealedWindow:
        """Return a window's energy since the meter's base, under the key in force at that one's time."""
        era, then = place.era(meter.base_end), place.era(window.last_end)
        former = None
        if register is not None:
            window = replace(window, register=paillier.from_bytes(then.public_key, register))
        if register is not None and window.last_end > meter.base_end and then is not era:
            kept = open_windows.former_registers(self._ledger, meter.title, window.span.start)
            former = paillier.from_bytes(era.public_key, kept[era.name])
        base = Tail(meter.base_end, paillier.from_bytes(era.public_key, meter.base_register))
        return era.aggregator.seal(base, window, former)

    def _report(self, meter: Meter, place: Neighbourhood, sealed: SealedWindow) -> BillingWindow:
        window, interval_s = sealed.window, place.roster.interval_s
        energy = closing = None
        if sealed.energy is not None and sealed.register is not None:
            energy = _leaving(place.era(sealed.register_from), sealed.energy)
            closing = _leaving(place.era(sealed.register_to), sealed.register)
        return BillingWindow(
            neighbourhood=meter.neighbourhood,
            pseudonym=meter.pseudonym,
            window_start=window.span.start,
            window_end=window.span.end,
            interval_s=interval_s,
            present=window.present,
            expected=windows.expected_intervals(window.span, interval_s),
            quality=window.quality,
            register_from=sealed.register_from,
            register_to=sealed.register_to,
            paillier_key=place.era(sealed.register_from).name,
            energy=energy,
            closing_register=closing,
        )

    # --- Erasure ------------------------------------------------------------------------------------------------

    def _erase(self, now: int) -> None:
        """Once a day, forget the chain values whose accepted delay has passed, and what was seen under them.

        A clock that jumped by more than a day erases nothing: one bad clock would force a fleet to be enrolled
        again. The operator confirms the time, then erasure goes on.
        """
        today = keychain.epoch_of(now)
        last = self._ledger.fact(ERASED_UNTIL, NEVER)
        if today == last:
            return
        if last != NEVER and today - last > 1:
            if today != self._warned:  # once a day: this is asked at every tick
                log.warning("erasure waits: the clock moved by more than a day; run confirm-clock", days=today - last)
            self._warned = today
            return
        with self._ledger.transaction():
            self._ledger.set_fact(ERASED_UNTIL, today)
            if last == NEVER:
                return
            oldest = today - self._delay_days
            for title, chain in meter_keys.chains_before(self._ledger, oldest):
                meter_keys.replace_chain(self._ledger, title, chain.at(oldest))
            seen.prune_before(self._ledger, oldest)
            self._outbox.prune(now - self._delay_s)
            events.prune(self._ledger, now - EVENTS_S)
        # Erased values must not live on in the write-ahead log.
        self._ledger.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._decryption.forget()
