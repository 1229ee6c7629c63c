"""The concentrator's benchmark: a whole tiny run, and that it cannot be satisfied by a daemon that answers wrongly.

No test here says how long anything takes.
"""

import asyncio
import json
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from gateway.intake import CCM
from protocol import keychain, wire
from scripts.bench_gateway import __main__ as command
from scripts.bench_gateway import stages
from scripts.bench_gateway.drive import Drive, DriveFailed, Plan
from scripts.bench_gateway.figures import estimates, figures, per_core
from scripts.bench_gateway.measure import Load, Measurement
from scripts.bench_gateway.street import Meter

TINY = ["--key-bits", "512", "--unsafe-small-key", "--meters", "3", "--readings", "40", "--rate", "200"]


def invoke(*arguments):
    return CliRunner().invoke(command.main, list(arguments))


def measurement(mode="strict", per_second=600.0, rate=None, meters=1000):
    load = Load(mode, meters, 1000, 1, 10, 60.0, rate=rate)
    seconds = 1000 / per_second
    return Measurement(load, 1000, seconds, seconds, 90.0, 100.0, (10.0, 20.0, 30.0), 1, 1, ())


def test_a_tiny_run_measures_every_mode_and_every_stage(tmp_path):
    file = tmp_path / "run.json"
    done = invoke(*TINY, "--in-flight", "4", "--profile", "--json", str(file))
    assert done.exit_code == 0, done.output
    found = json.loads(file.read_text())["runs"]
    assert [(run["mode"], bool(run["stages"]), bool(run["paced_per_second"])) for run in found] == [
        ("strict", False, False),
        ("strict", True, False),
        ("strict", False, True),
        ("pool", False, False),
        ("pool", True, False),
        ("fold", False, False),
        ("fold", True, False),
        ("phe", False, False),
    ]
    for run in found:
        assert run["readings"] >= 2
        assert run["peak_rss_mb"] > 1
        if run["stages"]:
            timed = {stage["name"] for stage in run["stages"]}
            assert timed == {
                stages.LINK,
                stages.OPEN,
                stages.ENCRYPT,
                stages.ENCODE,
                stages.LEDGER,
                stages.COMMIT,
                stages.ACK,
                stages.JUDGE,
                stages.CLOSE,
            } | ({stages.ADD} if run["mode"] != "fold" else timed & {stages.ADD})
    assert found[0]["readings"] == 42, "three meters, fourteen rounds"
    assert found[0]["reports"] > 0, "loads are closed and uploaded while readings come"
    assert "not measured strict" in done.output, "figures are those of 3072 bits"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--key-bits", "512"], "--key-bits 512"),
        (["--key-bits", "3071"], "--key-bits 3071"),
        (["--json", "/nowhere/at/all.json"], "is not a folder"),
    ],
)
def test_what_cannot_be_run_is_one_line(arguments, line):
    done = invoke(*arguments)
    assert done.exit_code == 2
    assert line in done.output


def test_figures_are_those_of_full_length_and_a_miss_is_said():
    missed = {f.says: f.reached for f in figures([measurement(per_second=499.0)], 3072)}
    assert missed["strict, durable ACKs, readings/s as it ran"] is False
    reached = {f.says: f.reached for f in figures([measurement(), measurement(rate=100.0)], 3072)}
    assert reached["strict, durable ACKs, readings/s as it ran"] is True
    assert reached["strict at 100 readings/s, median frame to ACK"] is True
    assert reached["fold, catching up, readings/s as it ran"] is None
    assert {f.reached for f in figures([measurement()], 2048)} == {None}


def test_an_estimate_is_the_measured_cpu_time_made_slower():
    (pi5, pi4) = estimates([measurement(per_second=600.0)], 3072)
    assert (pi5.slow, pi5.fast, pi4.slow) == pytest.approx((100, 150, 60))
    assert pi5.meters(10) == (500, 750)
    assert pi5.meters(900) == (4096, 4096), "no more than the daemon takes connections"
    assert per_core(None) is None


# --- The meters' side refuses a daemon that answers wrongly -------------------------------------------------------


def ack(meter, *ranges):
    record = meter.record()
    key = keychain.Chain(record.epoch, bytes.fromhex(record.hop_chain)).key(keychain.DOWN)
    header = wire.Header(wire.ACK, meter.title, record.epoch, ranges[0].salt, ranges[0].first)
    return wire.seal_downlink(CCM, key, header, wire.pack_ack(list(ranges)), bytes(wire.RANDOM_BYTES))


def drive_against(*, counter, verdict):
    async def scene():
        meter = Meter(0, 10)
        plan = Plan([meter], [[meter.seal(), meter.seal()]], 10, burst=1)
        answered = []

        async def daemon(reader, writer):
            while await reader.read(4096):
                frame = ack(meter, wire.Range(b"salt", counter(len(answered)), 1, verdict))
                answered.append(frame)
                writer.write(wire.encode_link(frame))
            writer.close()

        async def advance(role, now_ms):
            await asyncio.sleep(0)

        server = await asyncio.start_server(daemon, "127.0.0.1", 0)
        try:
            port = server.sockets[0].getsockname()[1]
            return await Drive(plan, SimpleNamespace(advance=advance), lambda n: None).run(port)
        finally:
            server.close()

    return asyncio.run(asyncio.wait_for(scene(), 30))


def test_a_reading_counts_when_its_own_verdict_says_stored():
    assert drive_against(counter=lambda n: n, verdict=wire.STORED).readings == 2


@pytest.mark.parametrize("verdict", [wire.DUPLICATE, wire.CONFLICT, wire.QUARANTINED])
def test_any_other_verdict_ends_the_run(verdict):
    with pytest.raises(DriveFailed, match="answered by"):
        drive_against(counter=lambda n: n, verdict=verdict)


def test_a_verdict_on_what_was_not_sent_ends_the_run():
    with pytest.raises(DriveFailed, match="or twice"):
        drive_against(counter=lambda n: 0, verdict=wire.STORED)
