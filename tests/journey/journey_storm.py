"""A day against the meter: 30 % of everything is lost, doubled or late, the power fails and the clock jumps.

True time runs evenly and drives what flows and every oscillator; the concentrator's clock, which it deals out as TIME,
is true time plus jumps. A meter's clamp knows no clock at all, and forgets with its power what was not stored.
"""

from journey_world import DAY, INTERVAL, METERS, START, Board, Home, World

import firmware.main
from firmware.meter.measured import energies
from firmware.meter.saving import SAVE_MWH
from gateway.validation import AHEAD_S
from mdms.records.bills import decided_bills

DETAIL_S = 300
STEP_S = 60
MOST_MWH = 160_000  # in a step: 9.6 kW
CUTS = 100
JUMPS = 8
LONGEST_JUMP_S = 1800


class TrueBoard(Board):
    """Its oscillator runs by true time, whatever the concentrator says."""

    def __init__(self, world, flash):
        super().__init__(world, flash)
        self._booted_ms = world.true_s * 1000 - 12_345

    def monotonic_ms(self):
        return self._world.true_s * 1000 - self._booted_ms


class Clamp:
    """What flowed and was not taken: (when by the oscillator, import, export); gone with the power.

    As the meter's own sensor does it, each bit belongs to the period that the present clock says it flowed in; what
    is older than the period that is asked for is given apart.
    """

    def __init__(self, utc_ms_of):
        self._utc_ms_of = utc_ms_of
        self._kept = []

    def flow(self, monotonic_ms, import_mwh, export_mwh):
        self._kept.append((monotonic_ms, import_mwh, export_mwh))

    def pending(self):
        return _sum(self._kept)

    def take(self, start_s, end_s):
        older, inside, newer = [], [], []
        for bit in self._kept:
            utc_s = self._utc_ms_of(bit[0]) / 1000
            (older if utc_s <= start_s else inside if utc_s <= end_s else newer).append(bit)
        if not inside:
            return None
        self._kept = newer
        return energies(*_sum(inside))._replace(before_import_mwh=_sum(older)[0], before_export_mwh=_sum(older)[1])


def _sum(bits):
    return sum(bit[1] for bit in bits), sum(bit[2] for bit in bits)


class StormHome(Home):
    """A meter with a clamp and an even oscillator."""

    def __init__(self, world, index):
        self.cuts = 0
        self.true_mwh = [0, 0]
        self.missing_mwh = 0
        self.most_lost_mwh = 0
        super().__init__(world, index)

    def boot(self):
        self.board = TrueBoard(self.world, self.flash)
        self.clamp = Clamp(lambda monotonic_ms: self.meter.instrument._clock.utc_ms(monotonic_ms))
        first = self.provisioning() if self.flash.read("keys") is None else None
        self.meter = firmware.main.build(self.board, self.clamp, INTERVAL, DETAIL_S, first)
        store = self.meter.store
        missing = sum(self.true_mwh) - sum(store.registers) - sum(store.spare)
        self.most_lost_mwh = max(self.most_lost_mwh, missing - self.missing_mwh)
        assert missing >= self.missing_mwh, "energy was doubled by a power cut"
        self.missing_mwh = missing

    def flow(self, import_mwh, export_mwh):
        self.true_mwh[0] += import_mwh
        self.true_mwh[1] += export_mwh
        self.clamp.flow(self.board.monotonic_ms(), import_mwh, export_mwh)

    def cut(self):
        self.cuts += 1
        self.boot()


class Storm(World):
    """The world of the journeys with such meters; ``faults`` end with ``tame`` as there."""

    home = StormHome

    def __init__(self, *arguments, **settings):
        self.true_s = START - 60
        self.jumps = []
        self.jumped_s = 0
        super().__init__(*arguments, **settings)
        moments = self.rng.sample(range(self.hours * 60), CUTS + JUMPS)
        self.cuts_at, self.jumps_at = set(moments[:CUTS]), set(moments[CUTS:])

    def chance(self, probability):
        # What is one in ten for the journeys is three in ten here: losses, doubles and delays of both directions.
        return super().chance(0.3 if probability == 0.1 else probability)

    def minute(self, number):
        """Pass one minute of true time; what is measured in it is measured before anything fails."""
        self.true_s += STEP_S
        for home in self.homes:
            home.flow(self.rng.randrange(MOST_MWH), self.rng.randrange(MOST_MWH // 10))
        if self.faults and number in self.jumps_at:
            self._jump()
        self.now = self.true_s + self.jumped_s
        if self.faults and number in self.cuts_at:
            self.homes[0].cut()
        self.measure()
        self.exchange()
        if number % 5 == 0:
            self.close_due()
            self.carry()

    def measure(self):
        """As there, but that nothing is dark for long and only the first meter is cut."""
        for home in self.homes:
            if self.chance(0.001):
                home.dark_until = self.now + self.rng.randrange(600, 7200)
            while home.meter.instrument.tick(home.board.monotonic_ms()):
                pass

    def _jump(self):
        # Forward and back by turns. What is more than 300 s in its future a concentrator sets aside (validation.py).
        if len(self.jumps) % 2 == 0:
            self.jumps.append(self.rng.randrange(AHEAD_S, LONGEST_JUMP_S))
        else:
            self.jumps.append(-self.rng.randrange(60, AHEAD_S))
        self.jumped_s += self.jumps[-1]

    def run_day(self):
        """Pass the hours, a calm hour behind them, and the days until everything is billed."""
        self.begin()
        minutes = self.hours * 60
        for number in range(minutes):
            self.minute(number)
        # A meter that is ahead takes no TIME before what it has sealed: it needs some of that hour.
        self.faults = False
        for number in range(minutes, minutes + 60):
            self.minute(number)
        self.true_s += DAY
        self.now = max(self.now, self.true_s)
        self.rest()

    def tame(self):
        """As there; true time goes on with the concentrator's."""
        self.true_s = max(self.true_s, self.now)
        super().tame()


def registers_differ(world):
    """Return what is off between the bills, the registers and what has flowed, per meter."""
    found = []
    for home in world.homes:
        store = home.meter.store
        bills = [bill for bill in decided_bills(world.store) if bill.pseudonym == home.pseudonym]
        billed = (sum(bill.import_mwh or 0 for bill in bills), sum(bill.export_mwh or 0 for bill in bills))
        if billed != tuple(store.registers):
            found.append(f"{home.title.hex()}: {billed} billed, {tuple(store.registers)} in the registers")
        missing = sum(home.true_mwh) - sum(store.registers)
        if not home.missing_mwh <= missing <= home.missing_mwh:
            found.append(f"{home.title.hex()}: {missing} mWh missing, {home.missing_mwh} of them lost with the power")
        if home.most_lost_mwh > SAVE_MWH + 2 * MOST_MWH:
            found.append(f"{home.title.hex()}: a power cut has cost {home.most_lost_mwh} mWh")
    assert len(world.homes) == METERS
    return found
