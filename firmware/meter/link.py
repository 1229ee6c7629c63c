"""The meter's end of the line, without the line: bytes in, bytes to send, and what they do to the store.

Strategy: the oldest frames of the store form the window; each is sent, and sent again with a growing pause, until
a verdict names its exact (salt, counter). Nothing is cumulative: reserved numbers are skipped. Until the time is
known only HELLOs leave, because the epochs of answers cannot be judged before.
Rule 1: whatever arrives that is not a verified answer to this meter is counted by kind, and changes nothing else.
Rule 2: a frame leaves the store on a verdict, never on sending.
Times: ``monotonic_ms`` is domain time, ``machine_ms`` serves time-outs (clock.py).
"""

from protocol import wire

WINDOW = 16
RESEND_MS = 2000
RESEND_LIMIT_MS = 60000

CORRUPT = "corrupt"  # the CRC is wrong: line noise
FORGED = "wrong key or forged"  # the CRC is right and the tag is wrong
MALFORMED = "malformed"
MISDIRECTED = "for another meter"
OUT_OF_DAYS = "outside the accepted days"
UNASKED = "unasked, late or impossible time"  # or a CONFIG that names no HELLO that it may
UNSUPPORTED = "of a type that is not supported"
IMPOSSIBLE = "impossible configuration"


class Link:
    """One meter's conversation with its concentrator. ``counts`` says how often which verdict or fault came."""

    def __init__(self, ccm, keys, counter, clock, store, lengths, random, window=WINDOW, resend_ms=RESEND_MS):
        self._ccm = ccm
        self._keys = keys
        self._title = keys.enrolment.system_title
        self._counter = counter
        self._clock = clock
        self._store = store
        self._lengths = lengths
        self._random = random
        self._window = window
        self._resend_ms = resend_ms
        self._deframer = wire.Deframer()
        self._sent = {}  # (salt, counter) of a frame in flight -> (when it is due again, the pause after that)
        self._hello = None  # (salt, counter) of the HELLO that waits for its TIME
        self._timed = None  # (salt, counter) of the HELLO whose TIME was taken last: a CONFIG must name it, once
        self._hello_due = 0
        self._hello_pause = resend_ms
        self.counts = {}
        self.acknowledged_ms = None  # monotonic_ms of the last ACK that verified

    def connected(self):
        """A new connection: what was in flight is due again at once, a piece of an old frame is void."""
        corrupt = self._deframer.corrupt
        self._deframer = wire.Deframer()
        self._deframer.corrupt = corrupt
        self._sent = {}
        self._hello_due = 0
        self._hello_pause = self._resend_ms

    def idle(self, monotonic_ms):
        """Say whether every frame has its verdict and no HELLO is due or pending."""
        return not len(self._store) and self._clock.reason_to_ask(monotonic_ms) is None

    # --- What leaves --------------------------------------------------------------------------------------------

    def to_send(self, monotonic_ms, machine_ms):
        """Return the bytes that are due now (perhaps none); the caller writes them at once."""
        out = b""
        reason = self._clock.reason_to_ask(monotonic_ms)
        if reason is not None and machine_ms >= self._hello_due:
            out += wire.encode_link(self._make_hello(reason, machine_ms))
        if self._clock.utc_ms(monotonic_ms) is None:
            return out
        sent = {}
        for held in self._store.oldest(self._window):
            name = (held.salt, held.counter)
            due, pause = self._sent.get(name, (machine_ms, self._resend_ms))
            if machine_ms >= due:
                out += wire.encode_link(held.frame)
                due = machine_ms + pause
                pause = min(2 * pause, RESEND_LIMIT_MS)
            sent[name] = (due, pause)
        self._sent = sent
        return out

    def wait_ms(self, monotonic_ms, machine_ms):
        """Return the milliseconds until something is due (0: now), or None while nothing will be by itself."""
        due = []
        if self._clock.reason_to_ask(monotonic_ms) is not None:
            due.append(self._hello_due)
        if self._clock.utc_ms(monotonic_ms) is not None:
            for held in self._store.oldest(self._window):
                due.append(self._sent.get((held.salt, held.counter), (machine_ms, 0))[0])
        return max(0, min(due) - machine_ms) if due else None

    def _make_hello(self, reason, machine_ms):
        challenge = self._random(wire.CHALLENGE_BYTES)
        self._hello = (self._counter.salt, self._counter.take())
        self._hello_due = machine_ms + self._hello_pause
        self._hello_pause = min(2 * self._hello_pause, RESEND_LIMIT_MS)
        self._clock.ask(challenge, machine_ms)
        header = wire.Header(wire.HELLO, self._title, wire.EPOCH_NONE, *self._hello)
        body = wire.pack_hello(reason, challenge)
        return wire.seal_uplink(self._ccm, self._keys.enrolment.hello, header, body)

    # --- What arrives -------------------------------------------------------------------------------------------

    def receive(self, data, monotonic_ms, machine_ms):
        """Take bytes from the line, in pieces of any size. Raises nothing that a peer could cause."""
        corrupt = self._deframer.corrupt
        self._deframer.feed(data)
        self._count(CORRUPT, self._deframer.corrupt - corrupt)
        for frame in self._deframer:
            try:
                self._take(frame, monotonic_ms, machine_ms)
            except wire.Forged:
                self._count(FORGED)
            except wire.Malformed:
                self._count(MALFORMED)

    def _take(self, frame, monotonic_ms, machine_ms):
        header = wire.parse_header(frame)
        if header.system_title != self._title:
            self._count(MISDIRECTED)
        elif header.type == wire.ACK:
            self._take_ack(header, frame, monotonic_ms)
        elif header.type == wire.TIME:
            self._take_time(header, frame, monotonic_ms, machine_ms)
        elif header.type == wire.CONFIG:
            self._take_config(header, frame, monotonic_ms)
        else:
            self._count(UNSUPPORTED)

    def _take_ack(self, header, frame, monotonic_ms):
        key = self._key(header.epoch, monotonic_ms)
        if key is None:
            self._count(OUT_OF_DAYS)
            return
        ranges = wire.parse_ack(wire.open_downlink(self._ccm, key, frame)[1])
        if (header.salt, header.counter) != (ranges[0].salt, ranges[0].first):
            raise wire.Malformed("an ACK whose header does not name its first range")
        self._keys.confirm(header.epoch)
        self.acknowledged_ms = monotonic_ms
        self._free(ranges)

    def _key(self, epoch, monotonic_ms):
        """Return the downlink key of an epoch, or None for one that is not accepted now."""
        today = self._clock.today(monotonic_ms)
        if today is None:
            return None
        self._keys.advance(today)
        try:
            return self._keys.down(epoch)
        except ValueError:
            return None

    def _free(self, ranges):
        # Only what is in flight can be named: a replayed ACK finds its numbers gone, and they never come again.
        freed = []
        for salt, number in self._sent:
            for item in ranges:
                if salt == item.salt and item.first <= number < item.first + item.count:
                    freed.append((salt, number))
                    self._count(wire.VERDICTS[item.verdict])
                    break
        self._store.free(freed)
        for name in freed:
            del self._sent[name]

    def _take_config(self, header, frame, monotonic_ms):
        # An older CONFIG that comes again names a HELLO that is over.
        if self._timed is None or (header.salt, header.counter) != self._timed:
            self._count(UNASKED)
            return
        key = self._key(header.epoch, monotonic_ms)
        if key is None:
            self._count(OUT_OF_DAYS)
            return
        body = wire.open_downlink(self._ccm, key, frame)[1]
        self._timed = None
        try:
            possible = self._lengths.set(wire.parse_config(body), self._clock.utc_ms(monotonic_ms) // 1000)
        except wire.Malformed:
            possible = False
        self._count("config" if possible else IMPOSSIBLE)

    def _take_time(self, header, frame, monotonic_ms, machine_ms):
        if header.epoch != wire.EPOCH_NONE or (header.salt, header.counter) != self._hello:
            self._count(UNASKED)
            return
        body = wire.open_downlink(self._ccm, self._keys.enrolment.time, frame)[1]
        utc_ms, challenge = wire.parse_time(body)
        account = self._store.account
        sealed_until = account.sealed_until if account else 0
        if self._clock.answer(utc_ms, challenge, monotonic_ms, machine_ms, sealed_until):
            self._timed = self._hello
            self._hello = None
            self._hello_due = 0
            self._hello_pause = self._resend_ms
            self._count("time")
        else:
            self._count(UNASKED)

    def _count(self, kind, number=1):
        if number:
            self.counts[kind] = self.counts.get(kind, 0) + number
