"""A meter's keys and its seal, without a board: what measures, loads and torments a concentrator seals with these.

What a meter measures and when it sends is each user's own; so is the codec's other end, the gateway's.
"""

from gateway.enrolment import EnrolmentRecord
from gateway.intake import Ccm, MeterKeys
from protocol import keychain, wire

# Its own, so that whoever spoils a concentrator's on purpose leaves the meters as they are.
CCM = Ccm()


class SealingMeter:
    """A meter with the keys of a hop root. ``salt`` is its boot's; ``start`` (UTC seconds) lies in its first day."""

    def __init__(self, *, title: bytes, pseudonym: str, root: bytes, salt: bytes, start: int) -> None:
        self.title = title
        self.pseudonym = pseudonym
        self.salt = salt
        chain = keychain.Chain(keychain.epoch_of(start), keychain.first_chain(root))
        self.keys = MeterKeys(chain, *keychain.clock_keys(root))
        self._daily: dict[tuple[int, bytes], bytes] = {}

    def record_of(self, neighbourhood: str, since: int, registers: tuple[int, int] = (0, 0)) -> EnrolmentRecord:
        """Return what a concentrator is told of it; ``registers`` are import and export at enrolment, mWh."""
        return EnrolmentRecord(
            system_title=self.title.hex(),
            pseudonym=self.pseudonym,
            neighbourhood=neighbourhood,
            since=since,
            series=1,
            first_import_mwh=registers[0],
            first_export_mwh=registers[1],
            epoch=self.keys.chain.epoch,
            hop_chain=self.keys.chain.value.hex(),
            hello_key=self.keys.hello_key.hex(),
            time_key=self.keys.time_key.hex(),
        )

    def daily_key(self, epoch: int, label: bytes) -> bytes:
        """Return one of its keys of a day."""
        name = epoch, label
        if name not in self._daily:
            self._daily[name] = self.keys.chain.at(epoch).key(label)
        return self._daily[name]

    def seal_frame(self, kind: int, body: bytes, epoch: int, counter: int) -> bytes:
        """Return a body sealed under the day's uplink key, as the firmware seals it."""
        header = wire.Header(kind, self.title, epoch, self.salt, counter)
        frame: bytes = wire.seal_uplink(CCM, self.daily_key(epoch, keychain.UP), header, body)
        return frame

    def verdicts(self, frame: bytes) -> list[tuple[bytes, int, int]]:
        """Return (salt, counter, verdict) of each frame that an ACK answers; raises Malformed for no ACK of its own."""
        header = wire.parse_header(frame)
        if (header.type, header.system_title) != (wire.ACK, self.title):
            raise wire.Malformed("not an ACK of this meter")
        _, body = wire.open_downlink(CCM, self.daily_key(header.epoch, keychain.DOWN), frame)
        return [
            (each.salt, counter, each.verdict)
            for each in wire.parse_ack(body)
            for counter in range(each.first, each.first + each.count)
        ]
