"""The wear of a meter's flash: from the firmware's own writes, below a tenth, and red where they are careless."""

import pytest
from click.testing import CliRunner

from scripts import meter_wear


def run(*options):
    return CliRunner().invoke(meter_wear.main, ["--days", "1", *options])


def test_ten_years_stay_below_a_tenth_of_the_rating():
    done = run()
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[-1].startswith("worst: ")


def test_a_meter_that_writes_every_period_at_once_is_above_a_tenth(monkeypatch):
    monkeypatch.setattr(meter_wear.instrument, "WRITE_S", 1)
    assert run().exit_code == 1


def test_a_verdict_that_is_written_by_itself_is_above_a_tenth(monkeypatch):
    free = meter_wear.store_module.Store.free

    def eager(self, identifiers):
        free(self, identifiers)
        self.flush()

    monkeypatch.setattr(meter_wear.store_module.Store, "free", eager)
    assert run().exit_code == 1


@pytest.mark.parametrize(("before", "data", "blocks"), [(0, 100, 1), (4000, 200, 2), (4096, 10, 1), (100, 100, 1)])
def test_an_append_rewrites_the_last_block_and_what_it_grows_into(before, data, blocks):
    storage = meter_wear.Storage()
    storage.pieces["name"] = bytes(before)
    storage.append("name", bytes(data))
    assert storage.counted.blocks == blocks


def test_what_is_short_lives_in_the_folders_log():
    storage = meter_wear.Storage()
    storage.replace("counter", bytes(12))
    assert storage.counted.blocks == 0
    storage.replace("keys", bytes(200))
    assert storage.counted.blocks == 1
