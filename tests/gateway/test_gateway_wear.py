"""The measurement of what is written: it groups as the daemon does, takes every frame, counts what reached a disk."""

import functools

import pytest
from click.testing import CliRunner
from gateway_bench import PRIVATE

from gateway import neighbourhood
from gateway.encryption import Settings
from gateway.service import BATCH_FRAMES
from scripts import wear
from scripts.wear import Sent, groups, street


@pytest.fixture
def small(monkeypatch):
    """A short key: bytes are counted here, not compared with anybody's."""
    build = functools.partial(neighbourhood.build, settings=Settings(table_window_bits=4))
    monkeypatch.setattr(wear, "generate_keypair", lambda bits: PRIVATE)
    monkeypatch.setattr(wear, "build", lambda roster, **how: build(roster, unsafe_small_key=True))


def test_a_group_is_what_arrives_within_the_delay_of_its_first_frame():
    sent = [Sent(at, b"") for at in (0, 5, 20, 21, 40, 100)]
    assert [(at, [item.at_ms for item in batch]) for at, batch in groups(sent, 20)] == [
        (20, [0, 5, 20]),
        (41, [21, 40]),
        (120, [100]),
    ]
    assert [len(batch) for _, batch in groups([Sent(0, b"")] * (BATCH_FRAMES + 1), 20)] == [BATCH_FRAMES, 1]
    assert [frame for _, batch in groups(sent, 0) for frame in batch] == sent


def test_a_street_sends_every_interval_and_row_of_every_meter():
    sent = street([wear.Meter(i) for i in range(3)], intervals=2, interval_s=900, detail_s=60, seed=1)
    assert len(sent) == 3 * (2 + 30)
    assert [item.at_ms for item in sent] == sorted(item.at_ms for item in sent)


def test_every_frame_is_taken_and_longer_delays_commit_less_often(small, tmp_path, monkeypatch):
    steps = iter(range(0, 10**6, 1000))
    monkeypatch.setattr(wear, "written_bytes", lambda: next(steps))
    costs = []
    for delay_ms in (0, 100_000):
        meters = [wear.Meter(i) for i in range(4)]
        sent = street(meters, intervals=2, interval_s=900, detail_s=300, seed=1)
        folder = tmp_path / str(delay_ms)
        folder.mkdir()
        costs.append(wear.measure(folder, wear.neighbourhood(meters, 900), meters, sent, delay_ms))
    assert [(cost.readings, cost.details, cost.written) for cost in costs] == [(8, 24, 1000)] * 2
    assert costs[1].commits < costs[0].commits


def test_the_command_prints_a_line_for_each_delay_and_refuses_a_folder_in_memory(small, tmp_path, monkeypatch):
    options = ["--meters", "2", "--intervals", "1", "--delay-ms", "0", "--delay-ms", "20", "--folder", str(tmp_path)]
    steps = iter(range(0, 10**6, 1000))
    monkeypatch.setattr(wear, "written_bytes", lambda: next(steps))
    done = CliRunner().invoke(wear.main, options)
    assert done.exit_code == 0, done.output
    assert [line.split()[:3] for line in done.output.splitlines()[2:]] == [["0", "2", "0"], ["20", "2", "0"]]
    monkeypatch.setattr(wear, "written_bytes", lambda: 0)
    done = CliRunner().invoke(wear.main, options)
    assert done.exit_code == 2 and "in memory" in done.output
