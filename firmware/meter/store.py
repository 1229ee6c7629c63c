"""What must survive: sealed frames until they are acknowledged, the registers and the account, in a ring of segments.

Strategy: a segment is one piece of storage that fits a flash block. Records (records.py) are appended to the newest;
when it is full, the oldest piece is replaced as a whole by a new segment that begins with the present state. Frames
stay in flash: the memory holds a place for each, and reads them when they are sent.
Rule 1: nothing is sent that is not in flash. The account, its registers and its frames are one record, so that no
power cut can part them. Records may wait for each other (``commit``): a write costs a block's erasure, however short.
Rule 2: a record that a power cut has torn is the last one; nothing of it was sent, and nothing is appended behind it.
A damage in the newest segment is refused: going on would set the registers back. One in an older segment can only
have cost frames (``spoilt``).
Rule 3: a full store loses its oldest frames and counts them. A segment with few waiting frames is no loss: they are
carried over into the segment that takes its place.
"""

from firmware.meter import records
from firmware.meter.records import Held, State
from firmware.meter.registers import ZERO, went_back
from protocol import wire

SEGMENTS = 64
SEGMENT_BYTES = 4096
CAPACITY = 1400  # frames: seven days of one READING and one DETAIL per quarter of an hour
CARRIED = 8
_BATCH_BYTES = 1500  # more than this does not wait
_WINDOW = 32  # frames that are kept in memory once they were read
_FRESH = 4  # so many are kept when they were written: to read them again, a whole segment would have to fit in memory
_MOST_GONE = 100  # places in a record


class Damaged(ValueError):
    """The newest segment is damaged: an operator restarts the register series."""


def erase(storage):
    """Forget everything: registers, account and frames. Only a new enrolment may."""
    for slot in range(SEGMENTS):
        for name in ("ring%02d" % slot, "kept%02d" % slot):
            if storage.read(name):
                storage.replace(name, b"")


class Store:
    """The frames that wait, oldest first, and ``account`` (None at first), ``registers``, ``spare`` and ``dropped``.

    ``spare`` is energy that was measured and is in no stored period. Of the dropped frames ``aged`` were too old;
    EVENTs have told of ``told_overflowed`` and ``told_aged``. ``stored`` are the registers that are in flash, the
    ``registers`` may be ahead of them by what waits to be written.
    """

    def __init__(self, storage, capacity=CAPACITY, name="ring"):
        """Read the segments back; ``capacity`` bounds the frames that may wait. Raises Damaged."""
        if not 2 <= capacity <= 0xFFFF:
            raise ValueError("a store holds 2 to 65535 frames")
        self._storage = storage
        self._name = name
        self._capacity = capacity
        self._places = []
        self._known = {}  # place -> Held of the oldest frames
        self._read = (None, b"")  # the segment that was read last
        self._unwritten = []  # payloads but GONE
        self._unwritten_frames = 0
        self._gone = []  # places of a GONE that is not written
        self._slot = SEGMENTS - 1
        self._sequence = 0
        self._size = SEGMENT_BYTES
        self._torn = False
        self._turning = False
        self._carried = []  # (place, interval_start, frame) of the segment that is being replaced
        self.account = None
        self.registers = self.stored = self.spare = ZERO
        self.dropped = self.aged = self.told_overflowed = self.told_aged = 0
        self.spoilt = False
        self._load()

    def __len__(self):
        return len(self._places)

    def oldest(self, count):
        """Return up to ``count`` Held frames that may be sent, oldest first: none while the storage fails."""
        if self._turning:
            return []
        return [self._held(place) for place in self._places[:count]]

    def readings(self):
        """Return the interval starts (UTC seconds) of the READINGs that wait."""
        return [self._held(place).interval_start for place in self._places if place >> 18 == wire.READING]

    @property
    def overflowed(self):
        """How many frames were lost because the store was full."""
        return self.dropped - self.aged

    @property
    def unwritten(self):
        """Say whether a period waits to be written."""
        return bool(self._unwritten)

    @property
    def failed(self):
        """Say whether a write has failed that ``flush`` may do now."""
        return self._unwritten and (self._torn or self._turning)

    def room(self):
        """Return how many frames fit without losing one."""
        if self._in_slot((self._slot + 1) % SEGMENTS) > CARRIED:
            return 0
        return max(0, self._capacity - len(self._places) - self._unwritten_frames)

    def waits(self, kind):
        """Return how many frames of this type wait."""
        return sum(place >> 18 == kind for place in self._places)

    # --- What changes it ----------------------------------------------------------------------------------------

    def report(self, utc_s, frame, overflowed=None, aged=None):
        """Store a sealed EVENT and how many lost frames it tells of (None: of none). There must be room."""
        if overflowed is not None:
            self.told_overflowed = overflowed
        if aged is not None:
            self.told_aged = aged
        self._queue(records.pack_told(self.told_overflowed, self.told_aged, ((utc_s, frame),)), 1)
        self.flush()

    def commit(self, account, registers, frames, wait=False, counted=True):
        """Store a period: its account, the registers behind it and its sealed frames, all or nothing.

        ``frames`` are (interval_start, frame). With ``wait`` it may wait for the next ``flush``: the account and the
        registers count at once, the frames are there when they are in flash. ``counted``: the spare is in them.
        """
        if went_back(self.registers, registers):
            raise ValueError("a register never goes back")
        over = len(self._places) + self._unwritten_frames + len(frames) - self._capacity
        if over > 0:
            self.dropped += len(self._places[:over])
            self._forget(self._places[:over])
        self._queue(records.pack_period(account, registers, counted, frames), len(frames))
        self.account, self.registers = account, registers
        self.spare = ZERO if counted else self.spare
        if not wait or over > 0 or sum(len(payload) for payload in self._unwritten) > _BATCH_BYTES:
            self.flush()

    def save(self, spare):
        """Store the energy that was measured and is in no period yet, and all that waits to be written."""
        self._queue(records.pack_saved(spare))
        self.spare = spare
        self.flush()

    def skip(self, account):
        """Move past periods in which nothing was measured: not worth a write, a restart finds them empty again."""
        self.account = account

    def free(self, identifiers):
        """Forget frames that have a verdict; ``identifiers`` are (salt, counter).

        It is written with the next record: a power cut before that sends them again, as duplicates.
        """
        if self._turning or not identifiers:
            return
        wanted = list(identifiers)
        gone = [place for place in self._places[:_WINDOW] if self._named(place) in wanted]
        if len(gone) < len(wanted):
            gone = [place for place in self._places if self._named(place) in wanted]
        self._forget(gone)
        if len(self._gone) >= _MOST_GONE:
            self.flush()

    def expire(self, oldest_epoch):
        """Drop the frames of epochs before ``oldest_epoch``: the concentrator would refuse them. Counted."""
        while self._places and not self._turning and self._held(self._places[0]).epoch < oldest_epoch:
            old = []
            for place in self._places[:_MOST_GONE]:
                if self._held(place).epoch >= oldest_epoch:
                    break
                old.append(place)
            self.dropped += len(old)
            self.aged += len(old)
            self._forget(old)
            self.flush()

    # --- Segments -----------------------------------------------------------------------------------------------

    def flush(self):
        """Write what waits, in one piece."""
        if not self._unwritten and not self._gone:
            return
        batch = self._batch()
        if self._torn or self._turning or self._size + _length(batch) > SEGMENT_BYTES:
            batch = self._turn()
        else:
            self._torn = True
            self._storage.append(self._piece(self._slot), _joined(batch))
            self._torn = False
        self._read = (None, b"")
        for payload in batch:
            self._add_frames(payload, self._size, fresh=True)
            self._size += _length((payload,))
        self.stored = self.registers
        self._unwritten = []
        self._unwritten_frames = 0
        self._gone = []

    def _queue(self, payload, frames=0):
        self._unwritten.append(payload)
        self._unwritten_frames += frames

    def _batch(self, but_slot=None):
        # Verdicts first: a place that is named may be taken again by what follows.
        gone = [place for place in self._gone if _slot_of(place) != but_slot]
        return ([records.pack_gone(self.dropped, self.aged, gone)] if gone else []) + self._unwritten

    def _turn(self):
        """Begin a segment in the place of the oldest one: the state, what is carried over, a batch. Returns these."""
        slot = (self._slot + 1) % SEGMENTS
        old = [place for place in self._places if _slot_of(place) == slot]
        if not self._turning:
            # Read before the first attempt: one that fails may have replaced the segment all the same.
            few = len(old) <= CARRIED
            self._carried = [(place,) + self._frame(place) for place in old] if few else []
            self._turning = True
        carried = [each[1:] for each in self._carried if each[0] in old]
        dropped = self.dropped + len(old) - len(carried)
        before = self._size if self._sequence else 0
        counts = (self._sequence + 1, before, dropped, self.aged, self.told_overflowed, self.told_aged)
        state = State(*(counts + (self.account, self.registers, self.spare)))
        batch = [records.pack_state(state, carried)] + self._batch(slot)
        self._storage.replace(self._piece(slot), _joined(batch))
        self._places = [place for place in self._places if _slot_of(place) != slot]
        self._known = {}
        self._slot, self._sequence, self._size = slot, state.sequence, 0
        self.dropped = dropped
        self._torn = self._turning = False
        return batch

    def _add_frames(self, payload, at, fresh=False):
        for kind, offset in records.frames_in(payload):
            place = kind << 18 | self._slot << 12 | at + 2 + offset
            self._places.append(place)
            if fresh and len(self._known) < _FRESH:
                self._known[place] = _held(*records.frame_at(payload, offset))

    # --- Reading back -------------------------------------------------------------------------------------------

    def _load(self):
        found = []
        bad = []
        for slot in range(SEGMENTS):
            segment = self._storage.read(self._piece(slot))
            if segment:
                payload = records.unwrap(segment, 0)[0]
                if payload is None or payload[0] != records.STATE:
                    bad.append(slot)
                else:
                    state = records.parse_state(payload)
                    found.append((state.sequence, slot, state.before))
        found.sort()
        # The one behind the newest may have been the newest itself.
        if bad and (not found or (found[-1][1] + 1) % SEGMENTS in bad):
            raise Damaged("the newest segment of the store is damaged")
        self.spoilt = bool(bad)
        for number in range(len(found)):
            self._sequence, self._slot = found[number][:2]
            newest = number == len(found) - 1
            self._take(self._storage.read(self._piece(self._slot)), None if newest else found[number + 1][2])
        self._gone = []
        self.stored = self.registers

    def _take(self, segment, counted):
        """Apply a segment's records; ``counted``: how many bytes of it count, None for the newest."""
        at = 0
        while at < (len(segment) if counted is None else counted):
            payload, behind = records.unwrap(segment, at)
            if payload is not None:
                self._apply(payload, at)
                at = behind
                continue
            whole = records.next_whole(segment, at)
            if counted is None:
                if whole is not None:
                    raise Damaged("the newest segment of the store is damaged")
                self._torn = True
                break
            self.spoilt = True
            if whole is None:
                break
            at = whole
        self._size = at

    def _apply(self, payload, at):
        kind = payload[0]
        if kind == records.STATE:
            state = records.parse_state(payload)
            self._forget([place for place in self._places if _slot_of(place) == self._slot])
            _, _, self.dropped, self.aged, self.told_overflowed, self.told_aged = state[:6]
            self.account, self.registers, self.spare = state[6:]
        elif kind == records.PERIOD:
            self.account, self.registers, counted = records.parse_period(payload)
            self.spare = ZERO if counted else self.spare
        elif kind == records.GONE:
            self.dropped, self.aged, places = records.parse_gone(payload)
            self._forget(places)
        elif kind == records.TOLD:
            self.told_overflowed, self.told_aged = records.parse_told(payload)
        else:
            self.spare = records.parse_saved(payload)
        self._add_frames(payload, at)

    # --- Frames -------------------------------------------------------------------------------------------------

    def _forget(self, places):
        if places:
            self._gone += places
            gone = set(places)
            self._places = [place for place in self._places if place not in gone]
            for place in gone:
                self._known.pop(place, None)

    def _piece(self, slot):
        return "%s%02d" % (self._name, slot)

    def _in_slot(self, slot):
        return sum(_slot_of(place) == slot for place in self._places)

    def _named(self, place):
        held = self._held(place)
        return held.salt, held.counter

    def _held(self, place):
        held = self._known.get(place)
        if held is None:
            held = _held(*self._frame(place))
            if len(self._known) < _WINDOW:
                self._known[place] = held
        return held

    def _frame(self, place):
        slot = _slot_of(place)
        if self._read[0] != slot:
            self._read = (slot, self._storage.read(self._piece(slot)))
        return records.frame_at(self._read[1], place & 0xFFF)


def _held(start, frame):
    header = wire.parse_header(frame)
    return Held(header.salt, header.counter, header.epoch, start, frame)


def _slot_of(place):
    return place >> 12 & 0x3F


def _joined(payloads):
    return b"".join(records.wrap(payload) for payload in payloads)


def _length(payloads):
    return sum(len(payload) + records.AROUND for payload in payloads)
