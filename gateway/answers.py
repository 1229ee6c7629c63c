"""What the concentrator answers: ACK, TIME and CONFIG, sealed under the meter's keys of the day."""

from collections.abc import Callable, Mapping

from protocol import keychain, windows, wire

from .holdings import enrolled, meter_keys
from .intake import CCM, DataDecryption, MeterKeys, Opened
from .ledger import Ledger
from .neighbourhood import Neighbourhood

CONFIG_AHEAD_S = 60  # a CONFIG takes effect no sooner: it must still lie ahead when it arrives


class Answers:
    """Seals answers. They leave behind the commit, so they go by what the ledger holds."""

    def __init__(
        self,
        ledger: Ledger,
        neighbourhoods: Mapping[str, Neighbourhood],
        decryption: DataDecryption,
        random: Callable[[int], bytes],
        detail_s: int,
    ) -> None:
        """``random`` gives a downlink nonce its bytes; ``detail_s`` 0: no HELLO is answered by a CONFIG."""
        self._ledger = ledger
        self._neighbourhoods = neighbourhoods
        self._decryption = decryption
        self._random = random
        self._detail_s = detail_s

    def to_hello(self, hello: Opened, keys: MeterKeys, now_ms: int) -> list[bytes]:
        """Return TIME, and CONFIG where the concentrator gives one; nothing for a HELLO that cannot be read."""
        try:
            _, challenge = wire.parse_hello(hello.body)
        except wire.Malformed:
            return []
        header = hello.header._replace(type=wire.TIME)
        body = wire.pack_time(now_ms, challenge)
        frames = [wire.seal_downlink(CCM, keys.time_key, header, body, self._random(wire.RANDOM_BYTES))]
        if self._detail_s:
            frames += self._config(hello.header, now_ms // 1000)
        return frames

    def _config(self, hello: wire.Header, now: int) -> list[bytes]:
        """Return the CONFIG with which a meter takes over the lengths from the next window on, or nothing."""
        title = hello.system_title
        meter = enrolled.get(self._ledger, title)
        assert meter is not None, "a frame is opened with an enrolled meter's keys only"
        place = self._neighbourhoods[meter.neighbourhood]
        interval_s = place.roster.interval_s
        start = windows.window_of(now + CONFIG_AHEAD_S, place.zone).end
        if interval_s % self._detail_s or start % interval_s:
            return []  # a roster or a zone that changed since the start
        body = wire.pack_config(wire.Config(interval_s, self._detail_s, start))
        epoch, key = self._down(title)
        header = wire.Header(wire.CONFIG, title, epoch, hello.salt, hello.counter)
        return [wire.seal_downlink(CCM, key, header, body, self._random(wire.RANDOM_BYTES))]

    def _down(self, title: bytes) -> tuple[int, bytes]:
        """Return the epoch of which a meter's newest frame was opened, and the downlink key of that day."""
        meter, keys = enrolled.get(self._ledger, title), meter_keys.get(self._ledger, title)
        assert meter is not None and keys is not None, "answers are given to enrolled meters only"
        epoch = max(meter.seen_epoch, keys.chain.epoch)
        return epoch, self._decryption.daily_key(title, keys, epoch, keychain.DOWN)

    def acks(self, title: bytes, ranges: list[wire.Range]) -> list[bytes]:
        """Return the ACKs with a meter's verdicts."""
        epoch, key = self._down(title)
        merged = merge(ranges)
        frames = []
        for at in range(0, len(merged), wire.MAX_RANGES):
            part = merged[at : at + wire.MAX_RANGES]
            header = wire.Header(wire.ACK, title, epoch, part[0].salt, part[0].first)
            body = wire.pack_ack(part)
            frames.append(wire.seal_downlink(CCM, key, header, body, self._random(wire.RANDOM_BYTES)))
        return frames


def merge(ranges: list[wire.Range]) -> list[wire.Range]:
    """Return ranges of single counters joined where salt and verdict agree and counters follow each other."""
    merged: list[wire.Range] = []
    for item in sorted(set(ranges)):
        last = merged[-1] if merged else None
        if (
            last is not None
            and last.salt == item.salt
            and last.verdict == item.verdict
            and last.first + last.count == item.first
            and last.count < 0xFFFF
        ):
            merged[-1] = last._replace(count=last.count + 1)
        else:
            merged.append(item)
    return merged
