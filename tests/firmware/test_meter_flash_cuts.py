"""`make flash-cuts`, small: nothing is off, and every planted bug turns the same run red. Volume: the command."""

import bench
import flash
import flash_cuts
from flash_cuts import Life, Planted, Tally, sweep

from firmware.meter import store as store_module
from firmware.meter.saving import SAVE_MWH
from protocol import wire


def swept(medium, stride, plant=None):
    with Planted(plant):
        tally = sweep(medium, 1, Tally(), stride)
    flash.power_off()
    return tally


def test_a_flash_that_is_cut_at_its_operations_loses_no_more_than_stated():
    for medium in flash.MEDIA:
        tally = swept(medium, 7)
        assert tally.lives >= 50, tally.lives
        assert tally.cuts > tally.lives
        assert tally.off() == 0, (tally.line(), tally.first)
        assert 0 < tally.most_lost_mwh <= SAVE_MWH + 120000


def test_every_planted_bug_is_seen():
    for plant, medium, kind in (
        ("unreserved", "littlefs", "nonces reused"),
        ("registers-late", "littlefs", "registers back"),
        ("freed-early", "littlefs", "frames lost"),
        ("in-place", "host", "meters dead"),
        ("never-saved", "littlefs", "more lost than stated"),
        ("counted-twice", "littlefs", "energy doubled"),
    ):
        assert swept(medium, 6, plant).faults[kind] > 0, plant


def test_what_littlefs_writes_counts_from_the_closing_on_and_at_once():
    for operation, mode, left in (
        (1, "after", b"old"),
        (2, "after", b"old"),
        (3, "before", b"old"),
        (3, "after", b"new"),
    ):
        supply = flash.Supply(((operation, mode),))
        files = flash.Files(supply, littlefs=True)
        files.files["name"] = b"old"
        try:
            with files.open("name", "wb") as file:
                file.write(b"new")
        except bench.PowerCut:
            pass
        assert files.files["name"] == left, (operation, mode)
    assert supply.kinds == {"open": 1, "write": 1, "close": 1}


def test_a_hosts_file_is_emptied_by_opening_and_torn_by_writing():
    found = set()
    for seed in range(40):
        files = flash.Files(flash.Supply(((2, "torn"),), seed), littlefs=False)
        files.files["name"] = b"old"
        try:
            with files.open("name", "wb") as file:
                file.write(b"new")
        except bench.PowerCut:
            pass
        found.add(files.files["name"])
    assert found == {b"", b"n", b"ne", b"new"}


def test_a_blob_of_nvs_counts_once_it_is_committed_and_perhaps_before():
    found = set()
    for operation in (1, 2):
        for mode in flash.MODES:
            for seed in range(9):
                supply = flash.Supply(((operation, mode),), seed)
                nvs = flash.Nvs(supply)
                nvs.blobs["key"] = b"old"
                try:
                    nvs.NVS("name").set_blob("key", b"new")
                    nvs.commit()
                except bench.PowerCut:
                    pass
                found.add((operation, mode, nvs.blobs["key"]))
    assert {each for each in found if each[1] != "torn"} == {
        (1, "before", b"old"),
        (1, "after", b"old"),
        (2, "before", b"old"),
        (2, "after", b"new"),
    }
    assert {each[2] for each in found if each[1] == "torn"} == {b"old", b"new"}


class Unheard(Life):
    """Nobody answers but to the HELLOs, until everything is measured."""

    def _turn(self, loses):
        self._hears = not loses
        Life._turn(self, loses)

    def _note(self):
        if not self._hears:
            self.concentrator = Deaf(self.concentrator)
        elif isinstance(self.concentrator, Deaf):
            self.concentrator = self.concentrator.whole


class Deaf:
    """Takes HELLOs and nothing else."""

    def __init__(self, whole):
        self.whole = whole.whole if isinstance(whole, Deaf) else whole

    def take(self, frame):
        self.whole.now_ms = self.now_ms
        header = wire.parse_header(frame)
        if header.type == wire.HELLO:
            return self.whole.take(frame)
        return frame  # a meter's own frame is no answer


def test_a_ring_that_overflows_between_power_cuts_tells_exactly_how_many_frames_it_lost():
    kept = store_module.CARRIED, flash_cuts.STEPS
    for at in range(10, 40, 5):
        with bench.SmallSteps():
            bench.WitnessCcm.begin()
            store_module.SEGMENTS, store_module.CARRIED, flash_cuts.STEPS = 3, 1, 90
            life = Unheard("littlefs", ((at, "torn"), (at + 3, "before")), at)
            life.live()
            store_module.CARRIED, flash_cuts.STEPS = kept
            told = [each.count for each in events(life) if each.code == wire.STORE_OVERFLOW]
            lost = life.meter.store.overflowed
            assert lost > 0
            assert told[-1] == lost
            assert told == sorted(told)
            assert bench.WitnessCcm.repeated == []
            assert life.faults["registers back"] == life.faults["energy doubled"] == 0
    flash.power_off()


def events(life):
    return life.concentrator.events[bench.TITLE.hex()]


def test_the_command_ends_with_a_line_of_totals_and_says_by_its_status_whether_anything_is_off():
    assert flash_cuts.main(["1", "25"]) == 0
    assert flash_cuts.main(["1", "12", "never-saved"]) == 1
