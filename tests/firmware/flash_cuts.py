"""`make flash-cuts`: the power is cut at every operation of the flash under a meter, and again while it recovers.

Runs on both interpreters: `micropython -X heapsize=32M tests/firmware/flash_cuts.py [SEEDS [STRIDE [PLANT]]]`. Prints
a line per storage and one of totals; the status is 0 only if nothing is off. STRIDE: every how many operations.
"""

import sys

if __name__ == "__main__":
    ROOT = __file__.rsplit("/", 3)[0] if __file__.count("/") > 2 else "."
    sys.path[:0] = [ROOT, ROOT + "/tests/firmware"]
    if sys.implementation.name == "cpython":
        sys.path.insert(0, ROOT + "/tests/firmware/shim")

import bench
import flash

import firmware.main
from firmware.meter.counter import Counter
from firmware.meter.link import Link
from firmware.meter.saving import SAVE_MWH, Saving
from firmware.meter.store import Store
from protocol import wire

STEP_S = 20  # between two looks of the meter at what it measures
DETAIL_S = 60
INTERVAL_S = 300
MIDNIGHT = 19700 * 86400
START = MIDNIGHT - INTERVAL_S
STEPS = 36
REST = 60  # more turns of the line at the end
RECOVERY = 5  # operations of a recovery that are cut as well
KINDS = (
    "nonces reused",
    "registers back",
    "frames lost",
    "energy doubled",
    "more lost than stated",
    "meters dead",
)
PLANTS = ("unreserved", "registers-late", "freed-early", "in-place", "never-saved", "counted-twice")


class Clamp:
    """A sensor that measures what flows, and forgets it with its power: energies by the second of their end."""

    def __init__(self):
        self._steps = []

    def flow(self, end_s, import_mwh, export_mwh):
        self._steps.append((end_s, import_mwh, export_mwh))

    def pending(self):
        return sum(step[1] for step in self._steps), sum(step[2] for step in self._steps)

    def take(self, start_s, end_s):
        taken = [step for step in self._steps if step[0] <= end_s]
        self._steps = [step for step in self._steps if step[0] > end_s]
        return (sum(step[1] for step in taken), sum(step[2] for step in taken)) if taken else None


class Life:
    """One meter from an hour's beginning to its end, over all the cuts; ``faults`` is a dict of counts."""

    def __init__(self, medium, cuts, seed):
        self.dice = flash.Dice(seed)
        self.supply = flash.Supply(cuts, seed)
        self.flash = flash.MEDIA[medium](self.supply)
        self.enrolled = bench.Enrolled(bench.TITLE, START // 86400)
        self.concentrator = bench.Concentrator(bench.Ccm(), (self.enrolled,))
        self.now_ms = START * 1000
        self.machine_ms = 0
        self.meter = None
        self.true_mwh = 0  # of import and export together, like all sums below
        self.step_mwh = 0
        self.missing_mwh = 0  # of the true energy, at the last look into the flash
        self.most_lost_mwh = 0
        self.cut = 0
        self.stored = set()
        self.faults = {kind: 0 for kind in KINDS[1:]}

    def live(self):
        """Live until everything is measured and has its verdict. Returns self."""
        step = quiet = 0
        while step <= STEPS + REST:
            try:
                if self.meter is None:
                    self._boot()
                self._turn(3 if step <= STEPS else 0)
            except bench.PowerCut:
                self.cut += 1
                self.meter = None
                self._look_into_the_flash()
                continue
            except ValueError:
                self.faults["meters dead"] += 1
                return self
            step += 1
            if step <= STEPS:
                self._pass()
            else:
                # Another turn for what the meter has to say about itself when there is room again.
                quiet = quiet + 1 if self.meter.link.idle(self.board.monotonic_ms()) else 0
                if quiet == 3:
                    break
                self.machine_ms += 60000
                self.now_ms += 1000
        self._judge()
        return self

    def _boot(self):
        storage = self.flash.power_on()
        self.board = bench.Board(storage, self)
        self.clamp = Clamp()
        provisioning = None if storage.read("keys") else self.enrolled.provisioning()
        self.meter = firmware.main.build(self.board, self.clamp, INTERVAL_S, DETAIL_S, provisioning)

    def _pass(self):
        self.now_ms += STEP_S * 1000
        import_mwh, export_mwh = 1000 + self.dice.below(110000), self.dice.below(9000)  # up to 20 kW
        self.clamp.flow(self.now_ms // 1000, import_mwh, export_mwh)
        self.true_mwh += import_mwh + export_mwh
        self.step_mwh = import_mwh + export_mwh

    def _turn(self, loses):
        """What a meter does between two steps; one reply of ``loses`` is lost, or none."""
        while self.meter.instrument.tick(self.board.monotonic_ms()):
            pass
        self._note()
        self.machine_ms += 3000
        self.concentrator.now_ms = self.now_ms
        deframer = wire.Deframer()
        deframer.feed(self.meter.link.to_send(self.board.monotonic_ms(), self.machine_ms))
        for frame in deframer:
            reply = wire.encode_link(self.concentrator.take(frame))
            if not loses or self.dice.below(loses):
                self.meter.link.receive(reply, self.board.monotonic_ms(), self.machine_ms)

    # --- What is off --------------------------------------------------------------------------------------------

    def _note(self):
        for held in self.meter.store.oldest(999):
            self.stored.add((held.salt, held.counter))

    def _look_into_the_flash(self):
        """What a meter would find now: its energies, and the frames that count as stored."""
        try:
            store = Store(self.flash.power_on())
        except ValueError:
            return  # the next boot counts it
        for held in store.oldest(999):
            self.stored.add((held.salt, held.counter))
        missing = self.true_mwh - sum(store.registers) - sum(store.spare)
        lost = missing - self.missing_mwh
        self.most_lost_mwh = max(self.most_lost_mwh, lost)
        self.faults["energy doubled"] += lost < 0
        self.faults["more lost than stated"] += lost > SAVE_MWH + self.step_mwh
        self.missing_mwh = missing

    def _judge(self):
        self.faults["frames lost"] += len(self.meter.store)
        received = set((name[1], name[2]) for name in self.concentrator._frames)
        self.faults["frames lost"] += len(self.stored - received) + self.meter.store.dropped
        store = self.meter.store
        missing = self.true_mwh - sum(store.registers) - sum(store.spare) - sum(self.clamp.pending())
        self.faults["energy doubled"] += missing < self.missing_mwh
        title = bench.TITLE.hex()
        last_end = last = None
        for key in sorted(self.concentrator.readings):
            each = self.concentrator.readings[key]
            self.faults["energy doubled"] += len(each) > 1
            reading = each[0]
            now = (reading.import_register, reading.export_register)
            energies = (reading.import_mwh, reading.export_mwh)
            if last and (now[0] < last[0] or now[1] < last[1]):
                self.faults["registers back"] += 1
            elif last and key[1] == last_end and (now[0] - last[0], now[1] - last[1]) != energies:
                # The concentrator adds up what follows without a gap: it must come to the same.
                self.faults["energy doubled"] += 1
            last, last_end = now, reading.interval_end
        details = [self.concentrator.details[key] for key in sorted(self.concentrator.details)]
        totals = [each[0].import_register for each in details]
        self.faults["registers back"] += totals != sorted(totals)
        self.faults["energy doubled"] += sum(len(each) > 1 for each in details)
        if not any(key[0] == title for key in self.concentrator.readings):
            self.faults["frames lost"] += 1


class Tally:
    """What a sweep found."""

    def __init__(self):
        self.operations = self.lives = self.cuts = 0
        self.most_lost_mwh = 0
        self.faults = {kind: 0 for kind in KINDS}
        self.first = None

    def add(self, life, repeated, where):
        self.lives += 1
        self.cuts += life.cut
        self.most_lost_mwh = max(self.most_lost_mwh, life.most_lost_mwh)
        found = dict(life.faults)
        found["nonces reused"] = len(repeated) + len(life.concentrator.faults)
        for kind, number in found.items():
            self.faults[kind] += number
        if any(found.values()) and self.first is None:
            self.first = where

    def off(self):
        return sum(self.faults.values())

    def line(self):
        return ", ".join(f"{self.faults[kind]} {kind}" for kind in KINDS)


def sweep(medium, seed, tally, stride=1):
    """Cut one storage at every ``stride``-th operation, in every way, and again at each of the next ones."""
    with bench.SmallSteps():
        operations = Life(medium, (), seed).live().supply.count
        tally.operations += operations
        for at in range(1, operations + 1, stride):
            plans = [((at, mode),) for mode in flash.MODES]
            plans += [((at, "torn"), (at + again, flash.MODES[again % 3])) for again in range(1, RECOVERY + 1)]
            for cuts in plans:
                bench.WitnessCcm.begin()
                life = Life(medium, cuts, seed).live()
                tally.add(life, bench.WitnessCcm.repeated, (medium, seed, cuts))
    return tally


# --- Planted bugs -----------------------------------------------------------------------------------------------


class Planted:
    """One of PLANTS, for a while."""

    def __init__(self, name):
        if name and name not in PLANTS:
            raise ValueError("no such bug to plant: " + name)
        self._name = name

    def __enter__(self):
        from firmware.board import files

        self._kept = (firmware.main.Counter, firmware.main.Store, firmware.main.Link, Saving.look, Saving.take)
        self._replace = files.Storage.replace
        if self._name == "unreserved":
            firmware.main.Counter = _Unreserved
        elif self._name == "registers-late":
            firmware.main.Store = _RegistersLate
        elif self._name == "freed-early":
            firmware.main.Link = _FreedEarly
        elif self._name == "in-place":
            files.Storage.replace = _in_place
        elif self._name == "never-saved":
            Saving.look = lambda saver, monotonic_ms: False
        elif self._name == "counted-twice":
            Saving.take = _counted_twice(Saving.take)

    def __exit__(self, *error):
        from firmware.board import files

        firmware.main.Counter, firmware.main.Store, firmware.main.Link, Saving.look, Saving.take = self._kept
        files.Storage.replace = self._replace


class _Unreserved(Counter):
    def _reserve(self):
        self._reserved = self._next + 1
        if self._next:
            self._storage.replace("counter", bytes(7) + bytes((self._next,)))


class _RegistersLate(Store):
    """The frames are stored, and their registers with what comes next."""

    def commit(self, account, registers, frames, wait=False, counted=True):
        Store.commit(self, account, self.registers, frames, False, counted)
        Store.commit(self, account, registers, (), False, counted)


class _FreedEarly(Link):
    def to_send(self, monotonic_ms, machine_ms):
        out = Link.to_send(self, monotonic_ms, machine_ms)
        self._store.free(list(self._sent))
        self._store.flush()
        return out


def _in_place(storage, name, data):
    with flash_open()(storage._directory + name, "wb") as file:
        file.write(data)


def flash_open():
    from firmware.board import files

    return files.open


def _counted_twice(take):
    def twice(saver, start_s, end_s):
        left = saver._left
        measured = take(saver, start_s, end_s)
        saver._left = left
        return measured

    return twice


def main(arguments):
    seeds = int(arguments[0]) if arguments else 3
    stride = int(arguments[1]) if len(arguments) > 1 else 1
    total = Tally()
    with Planted(arguments[2] if len(arguments) > 2 else None):
        for medium in sorted(flash.MEDIA):
            tally = Tally()
            for seed in range(1, seeds + 1):
                sweep(medium, seed, tally, stride)
            print(
                f"{medium}: {tally.operations} operations under {seeds} seeds, {tally.lives} lives with "
                f"{tally.cuts} power cuts, at most {tally.most_lost_mwh / 1000} Wh lost by a cut"
            )
            if tally.first:
                print("flash-cuts: first at", tally.first, file=sys.stderr)
            for kind, number in tally.faults.items():
                total.faults[kind] += number
    flash.power_off()
    print(total.line())
    return 1 if total.off() else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
