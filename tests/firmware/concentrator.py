"""A working concentrator for tests, without a line: a frame in, its sealed reply out. Runs on both interpreters."""

import hashlib
import os

from protocol import keychain, wire


class Enrolled:
    """What an enrolment leaves behind: the meter's provisioning, and the chains of its other two parties."""

    def __init__(self, title, epoch, seed=b"", series=1):
        hop_root, customer_root, self.secret = (
            hashlib.sha256(purpose + title + seed).digest() for purpose in (b"hop", b"customer", b"salt")
        )
        self.title = title
        self.epoch = epoch
        self.series = series
        self.hop = keychain.Chain(epoch, keychain.first_chain(hop_root))
        self.customer = keychain.Chain(epoch, keychain.first_chain(customer_root))
        self.hello, self.time = keychain.clock_keys(hop_root)

    def provisioning(self):
        return {
            "system_title": self.title.hex(),
            "epoch": self.epoch,
            "hop_chain": self.hop.value.hex(),
            "customer_chain": self.customer.value.hex(),
            "hello_key": self.hello.hex(),
            "time_key": self.time.hex(),
            "salt_secret": self.secret.hex(),
            "series": self.series,
        }


class Concentrator:
    """Opens, remembers and acknowledges. ``now_ms`` is its UTC; ``faults`` names what a meter did wrong."""

    def __init__(self, ccm, enrolled, now_ms=None):
        self.now_ms = now_ms
        self.readings = {}  # (title hex, interval start) -> the Readings that came as different frames
        self.details = {}
        self.events = {}  # title hex -> the Events that came
        self.hellos = 0
        self.duplicates = 0
        self.faults = []
        self._ccm = ccm
        self._enrolled = {each.title: each for each in enrolled}
        self._frames = {}  # (title, salt, counter) -> frame

    def take(self, frame):
        """Return the reply to a frame."""
        header = wire.parse_header(frame)
        meter = self._enrolled[header.system_title]
        if header.type == wire.HELLO:
            self._is_new(header, frame)
            return self._time(meter, header, frame)
        body = wire.open_uplink(self._ccm, meter.hop.at(header.epoch).key(keychain.UP), frame)[1]
        verdict = wire.DUPLICATE
        if self._is_new(header, frame):
            verdict = wire.STORED
            self._keep(meter, header, frame, body)
        else:
            self.duplicates += 1
        return self.acknowledge(meter, (wire.Range(header.salt, header.counter, 1, verdict),))

    def acknowledge(self, meter, ranges, epoch=None):
        """Return an ACK of these ranges, sealed under today's key."""
        if epoch is None:
            epoch = max(meter.epoch, keychain.epoch_of(self.now_ms // 1000))
        header = wire.Header(wire.ACK, meter.title, epoch, ranges[0].salt, ranges[0].first)
        return self.seal(meter.hop.at(epoch).key(keychain.DOWN), header, wire.pack_ack(ranges))

    def seal(self, key, header, body):
        return wire.seal_downlink(self._ccm, key, header, body, os.urandom(wire.RANDOM_BYTES))

    def _time(self, meter, header, frame):
        body = wire.open_uplink(self._ccm, meter.hello, frame)[1]
        self.hellos += 1
        challenge = wire.parse_hello(body)[1]
        reply = wire.Header(wire.TIME, meter.title, wire.EPOCH_NONE, header.salt, header.counter)
        return self.seal(meter.time, reply, wire.pack_time(self.now_ms, challenge))

    def _keep(self, meter, header, frame, body):
        title = meter.title.hex()
        if header.type == wire.READING:
            reading = wire.parse_reading(body)
            start = reading.interval_end - reading.interval_s
            self.readings.setdefault((title, start), []).append(reading)
        elif header.type == wire.EVENT:
            self.events.setdefault(title, []).append(wire.parse_event(body))
        else:
            row = frame[: wire.HEADER_BYTES] + body
            key = meter.customer.at(header.epoch).key(keychain.DETAIL)
            detail = wire.open_row(self._ccm, key, row)[1]
            self.details.setdefault((title, detail.end - detail.length_s), []).append(detail)

    def _is_new(self, header, frame):
        name = (header.system_title, header.salt, header.counter)
        known = self._frames.get(name)
        if known is not None and known != frame:
            self.faults.append("two frames under one salt and counter")
        self._frames[name] = frame
        return known is None
