"""The wire oracle: decrypts everything that has left a concentrator, and says of each piece what it is.

It knows what was measured. A ciphertext is the sum of k meters or more over one interval, a sealed window's energy,
or a window's closing register, and equals the truth; a row is one that its customer opens and nobody on the way; an
answer to a meter holds names, verdicts, times and lengths. Every byte is accounted for: what is parsed is packed
again and compared. Anything else is a fault.
"""

import re
from collections import Counter

import msgspec
from gateway_bench import CCM, DECRYPTOR, DEPLOYMENT, IDENTITY, INTERVAL, NAME, PRIVATE, START
from oracle_street import DETAIL_S, METERS, K

from paillier import ENERGY_SLOTS, PaillierError, from_base64url
from protocol import documents, keychain, reports, wire

WINDOW_S = 3 * 3600
HEADERS = {b"host", b"accept-encoding", b"content-length", b"content-type"}
WAYS = 2  # a row leaves live, and with its hour
SUM, ENERGY, CLOSING, ROW = "sum of k or more", "sealed window's energy", "closing register", "sealed row"
BELOW, EMPTY = "load without a sum", "window without energy"
ACK, TIME, CONFIG = "ACK", "TIME", "CONFIG"


class Oracle:
    """What has left a street's concentrator: ``pieces`` counts what each is, ``faults`` says what is none of those."""

    def __init__(self, street):
        self.street = street
        self.pieces = Counter()
        self.faults = []
        self._known = set()
        self._said = set()
        self._residues = set()
        self._rows = Counter()
        self._homes = {home.pseudonym: home for home in street.homes}
        self._windows = {home.pseudonym: START for home in street.homes}
        for head, body in street.uploads:
            self._upload(head, body)
        for home in street.homes:
            for stream in home.streams:
                self._stream(home, bytes(stream))
        self._whole()

    def _fault(self, what):
        self.faults.append(what)

    # --- Uploads ------------------------------------------------------------------------------------------------

    def _upload(self, head, body):
        first, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
        named = {line.partition(b":")[0].lower(): line.partition(b":")[2].strip() for line in lines}
        if first != b"POST /api/v1/reports HTTP/1.1" or named.keys() - HEADERS:
            self._fault("a request with more in it than its body")
        if named[b"content-type"] != b"application/json" or int(named[b"content-length"]) != len(body):
            self._fault("a request whose headers are not its body's")
        if not re.fullmatch(rb"127\.0\.0\.1:\d{1,5}", named[b"host"]):
            self._fault("a request to nobody")
        batch = documents.parse(body, reports.Batch)
        if msgspec.json.encode(batch) != body:
            self._fault("a batch with more in it than its documents")
        for document in batch.reports:
            self._hits(document)
            self._document(document)

    def _hits(self, document):
        self.street.hits += [("an upload", value) for value in self.street.canaries.in_document(document)]

    def _document(self, document):
        content = documents.verify(document, DEPLOYMENT, IDENTITY.public_key())
        name = documents.document_id(document.type, DEPLOYMENT, content)
        if name in self._known:
            return  # sent again: its answer was lost
        self._known.add(name)
        try:
            report = reports.parse_report(document.type, content)
        except documents.DocumentError as error:
            return self._fault(f"a document that is no report: {error}")
        if documents.canonical_json(report) != content or report.neighbourhood != NAME:
            self._fault("a report with more in it than its fields")
        if isinstance(report, reports.DetailSegment):
            return self._segment(report)
        if report.paillier_key != PRIVATE.public.fingerprint:
            self._fault("a report under another key")
        about = getattr(report, "pseudonym", "load"), getattr(report, "window_start", 0) or report.interval_start
        if about in self._said:
            self._fault(f"{about} is said twice, in two ways")
        self._said.add(about)
        (self._load if isinstance(report, reports.IntervalLoad) else self._window)(report)

    def _open(self, text, kind):
        """Decrypt a ciphertext and count it; None, and a fault, where it is none or blinds nothing."""
        try:
            ciphertext = from_base64url(PRIVATE.public, text)
            opened = ENERGY_SLOTS.unpack(DECRYPTOR.decrypt(ciphertext))
        except PaillierError as error:
            return self._fault(f"a {kind} that does not open: {error}")
        residue = ciphertext % PRIVATE.public.n  # the randomiser's power alone: 1 + mn is 1
        if residue == 1:
            self._fault(f"a {kind} that everybody can read")
        if residue in self._residues:
            self._fault(f"a {kind} under a randomiser that was used before")
        self._residues.add(residue)
        self.pieces[kind] += 1
        return tuple(opened)

    def _load(self, load):
        there = self.street.loads.get(load.interval_start, {})
        names = [home.pseudonym for home in self.street.homes]
        contributors = {names[at] for at in reports.parse_bitmap(load.contributors, METERS)}
        if contributors != there.keys() or (load.interval_s, load.roster_version) != (INTERVAL, 1):
            self._fault(f"the load of {load.interval_start} names others than those who were in time")
        if load.ciphertext is None:
            self.pieces[BELOW] += 1
            if len(there) >= K:
                self._fault(f"the load of {load.interval_start} has no sum")
            return
        if len(there) < K:
            self._fault(f"a sum of {len(there)} meters has left")
        if self._open(load.ciphertext, SUM) != total(there.values()):
            self._fault(f"the load of {load.interval_start} is not the sum of its contributors")

    def _window(self, window):
        home = self._homes[window.pseudonym]
        if window.window_end - window.window_start != WINDOW_S or window.window_start % WINDOW_S:
            self._fault("a window that is none")
        if window.energy is None:
            self.pieces[EMPTY] += 1
            return
        before, after = window.register_from, window.register_to
        if before != self._windows[window.pseudonym] or after not in home.registers:
            return self._fault("a window whose registers nobody had then")
        if not window.window_start < after <= window.window_end:
            self._fault("a window whose register is not its own")
        self._windows[window.pseudonym] = after
        difference = tuple(b - a for a, b in zip(home.registers[before], home.registers[after], strict=True))
        if self._open(window.energy, ENERGY) != difference:
            self._fault(f"the window of {window.window_start} is not the difference of its registers")
        if self._open(window.closing_register, CLOSING) != home.registers[after]:
            self._fault(f"the window of {window.window_start} closes with another register")

    def _segment(self, segment):
        home = self._homes[segment.pseudonym]
        for text in segment.rows:
            row = documents.from_base64url(text, "row", wire.ROW_BYTES)
            self._rows[row] += 1
            if row not in self.street.rows or self._rows[row] > WAYS:
                self._fault("a row that no meter has sent, or that has left too often")
            epoch = wire.parse_header(row).epoch
            if opens(home.key(epoch, keychain.UP), row):
                self._fault("a row that the concentrator can open")
            if not opens(home.customer.at(epoch).key(keychain.DETAIL), row):
                self._fault("a row that its customer cannot open")
            self.pieces[ROW] += 1

    # --- Answers ------------------------------------------------------------------------------------------------

    def _stream(self, home, stream):
        """Look at all the bytes that a connection brought; the last piece may be cut by a death."""
        *pieces, rest = stream.split(b"\x00")
        if rest and not self.street.kills:
            self._fault("an answer that was cut")
        for piece in pieces:
            deframer = wire.Deframer()
            deframer.feed(piece + b"\x00")
            (frame,) = list(deframer) or [None]
            if frame is None or wire.encode_link(frame) != piece + b"\x00":
                self._fault("bytes on the line that are no frame")
            else:
                self._answer(home, frame)

    def _answer(self, home, frame):
        header = wire.parse_header(frame)
        key = home.time_key if header.type == wire.TIME else home.key(header.epoch, keychain.DOWN)
        try:
            body = wire.open_downlink(CCM, key, frame)[1]
            kind = self._explained(home, header, body)
        except wire.WireError as error:
            return self._fault(f"an answer that is none: {error}")
        if kind is None:
            return self._fault("an answer with something in it that nobody asked for")
        self.pieces[kind] += 1

    def _explained(self, home, header, body):
        """Return an answer's kind where every field of it is what the meter or the clock has said, else None."""
        if header.type == wire.ACK:
            ranges = wire.parse_ack(body)
            names = {(each.salt, each.first + at) for each in ranges for at in range(each.count)}
            first = ranges[0].salt, ranges[0].first
            right = names <= home.sent.keys() and (header.salt, header.counter) == first
            return ACK if right and wire.pack_ack(ranges) == body else None
        if (header.salt, header.counter) not in home.sent:
            return None
        if header.type == wire.TIME:
            now_ms, challenge = wire.parse_time(body)
            right = now_ms in self.street.times_ms and challenge == b"sixteen bytes, C"
            return TIME if right and wire.pack_time(now_ms, challenge) == body else None
        config = wire.parse_config(body)
        right = config == wire.Config(INTERVAL, DETAIL_S, START + WINDOW_S)
        return CONFIG if right and wire.pack_config(config) == body else None

    # --- Nothing is missing -------------------------------------------------------------------------------------

    def _whole(self):
        """What did not leave was not looked at: every load, window and row must have."""
        until = START + self.street.intervals * INTERVAL
        about = {("load", start) for start in range(START, until, INTERVAL)}
        about |= {(name, start) for name in self._homes for start in range(START, until, WINDOW_S)}
        if about - self._said or self.street.rows != self._rows.keys():
            self._fault(
                f"{len(about - self._said)} reports and {len(self.street.rows - self._rows.keys())} rows have not left"
            )
        for home in self.street.homes:
            if self._windows[home.pseudonym] != max(home.registers):
                self._fault("a meter's last register closes no window")


def opens(key, row):
    try:
        wire.open_row(CCM, key, row)
    except wire.WireError:
        return False
    return True


def total(pairs):
    pairs = list(pairs)
    return sum(pair[0] for pair in pairs), sum(pair[1] for pair in pairs)
