"""A whole street under MicroPython, against a working concentrator over a bad wire."""

import asyncio
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from concentrator import Enrolled
from peers import Conductor, Gateway

ROOT = Path(__file__).resolve().parents[2]
MICROPYTHON = Path(sys.executable).parent / "micropython"
INTERVAL_S = 900
START = 19700 * 86400 - 3 * INTERVAL_S  # a day change after three intervals


class Street:
    """The street's process, its files and its far ends."""

    def __init__(self, directory, meters, intervals, **wire_faults):
        self.directory = directory
        self.meters = [Enrolled(bytes([0xA0, *[0] * 6, n]), START // 86400) for n in range(meters)]
        self.gateway = Gateway(self.meters, **wire_faults)
        self.conductor = Conductor()
        self.process = None
        self.intervals = intervals
        rng = random.Random(7)
        self.energies = {
            (meter.title.hex(), START + n * INTERVAL_S): (rng.randrange(10**6), rng.randrange(10**6))
            for n in range(intervals)
            for meter in self.meters
        }
        (directory / "provisioning").mkdir()
        for meter in self.meters:
            self.provisioning(meter).write_text(json.dumps(meter.provisioning()))
        (directory / "energies.csv").write_text(
            "".join(f"{title},{start},{e[0]},{e[1]}\n" for (title, start), e in self.energies.items())
        )

    def provisioning(self, meter):
        return self.directory / "provisioning" / f"{meter.title.hex()}.json"

    async def open(self):
        await self.gateway.serve()
        await self.conductor.serve()
        self.time(0)
        await self.start()

    async def start(self, **pipes):
        config = self.directory / "street.json"
        config.write_text(
            json.dumps(
                {
                    "conductor": ["127.0.0.1", self.conductor.port],
                    "gateway": ["127.0.0.1", self.gateway.port],
                    "provisioning": str(self.directory / "provisioning"),
                    "energies": str(self.directory / "energies.csv"),
                    "state": str(self.directory / "state"),
                    "measured": str(self.directory / "measured.csv"),
                    "interval_s": INTERVAL_S,
                    "detail_s": INTERVAL_S,
                    "pid_file": str(self.directory / "pid"),
                }
            )
        )
        self.process = await asyncio.create_subprocess_exec(
            MICROPYTHON, "-X", "heapsize=64M", "firmware/street.py", config, cwd=ROOT, **pipes
        )

    async def kill(self, with_signal=signal.SIGKILL):
        self.conductor.hang_up()
        self.process.send_signal(with_signal)
        await self.process.wait()

    def time(self, steps):
        self.gateway.now_ms = (START + steps * INTERVAL_S) * 1000
        return self.gateway.now_ms

    async def quit(self):
        await self.conductor.say(quit=True)
        assert await asyncio.wait_for(self.process.wait(), 60) == 0

    def verify(self):
        """Every energy has arrived, once; registers are the sums; the street's own record tells the same."""
        assert self.gateway.failure is None
        assert self.gateway.faults == []
        registers = {}
        for (title, start), energy in self.energies.items():
            for arrived in (self.gateway.readings, self.gateway.details):
                assert len(arrived[(title, start)]) == 1
                assert (arrived[(title, start)][0].import_mwh, arrived[(title, start)][0].export_mwh) == energy
            reading = self.gateway.readings[(title, start)][0]
            before = registers.get(title, (0, 0))
            registers[title] = (before[0] + energy[0], before[1] + energy[1])
            assert (reading.import_register, reading.export_register) == registers[title]
            assert reading.quality == 0
        assert len(self.gateway.readings) == len(self.gateway.details) == len(self.energies)
        measured = {}
        for line in (self.directory / "measured.csv").read_text().splitlines():
            title, start, import_mwh, export_mwh = line.split(",")
            measured[(title, int(start))] = (int(import_mwh), int(export_mwh))
        assert measured == self.energies


def run(work, timeout=120):
    asyncio.run(asyncio.wait_for(work, timeout))


def test_a_street_settles_and_every_reading_arrives_exactly(tmp_path):
    async def day():
        street = Street(tmp_path, meters=20, intervals=10)
        await street.open()
        for step in range(street.intervals + 1):
            await street.conductor.settle(street.time(step))
            assert len(street.gateway.readings) == step * 20
        await street.conductor.say(query="stores")
        answer = await street.conductor.hear("stores")
        assert answer == {"stores": {meter.title.hex(): [] for meter in street.meters}, "dropped": 0}
        await street.quit()
        street.verify()

    run(day())


def test_a_wire_that_loses_delays_and_cuts_into_bytes_loses_no_reading(tmp_path):
    async def day():
        street = Street(tmp_path, meters=2, intervals=3, loses=0.15, bytewise=True, late_s=0.01)
        street.gateway.noise = b"\x03\x02\x00"
        await street.open()
        for step in range(street.intervals + 1):
            await street.conductor.settle(street.time(step))
        await street.quit()
        street.verify()
        assert street.gateway.duplicates > 0

    run(day(), 280)


@pytest.mark.parametrize("with_signal", [signal.SIGKILL, signal.SIGTERM])
def test_a_street_killed_at_any_time_and_restarted_loses_and_doubles_nothing(tmp_path, with_signal):
    async def day():
        street = Street(tmp_path, meters=10, intervals=12)
        rng = random.Random(3)
        await street.open()
        for step in range(street.intervals + 1):
            for _ in range(3):
                await street.conductor.say(now_ms=street.time(step))
                await asyncio.sleep(rng.random() * 0.06)
                await street.kill(with_signal)
                await street.start()
            await street.conductor.settle(street.time(step))
        await street.quit()
        street.verify()

    run(day(), 280)


def test_readings_wait_while_the_concentrator_is_away_and_are_named(tmp_path):
    async def day():
        street = Street(tmp_path, meters=2, intervals=3)
        await street.open()
        await street.conductor.settle(street.time(0))
        street.gateway.loses = 1.0
        await street.conductor.say(now_ms=street.time(3))
        expected = {meter.title.hex(): [START + n * INTERVAL_S for n in range(3)] for meter in street.meters}
        for _ in range(100):
            await street.conductor.say(query="stores")
            answer = await street.conductor.hear("stores")
            if answer["stores"] == expected:
                break
            await asyncio.sleep(0.05)
        assert answer == {"stores": expected, "dropped": 0}
        await street.kill()
        street.gateway.loses = 0.0
        await street.start()
        await street.conductor.settle(street.time(3))
        await street.quit()
        street.verify()

    run(day())


def test_a_conductor_that_comes_back_gets_its_answer_again(tmp_path):
    async def day():
        street = Street(tmp_path, meters=1, intervals=2)
        await street.open()
        await street.conductor.settle(street.time(1))
        street.conductor.hang_up()
        await street.conductor.settle(street.time(1))
        await street.conductor.settle(street.time(1))
        await street.conductor.settle(street.time(2))
        await street.quit()

    run(day())


def test_provisioning_is_erased_and_the_past_cannot_be_had_from_the_state(tmp_path):
    async def days():
        street = Street(tmp_path, meters=1, intervals=5)
        await street.open()
        for step in range(6):
            await street.conductor.settle(street.time(step))
        await street.quit()
        street.verify()
        meter = street.meters[0]
        assert not street.provisioning(meter).exists()
        stored = b"".join(path.read_bytes() for path in (tmp_path / "state").rglob("*") if path.is_file())
        for chain in (meter.hop, meter.customer):
            assert chain.value not in stored
            assert chain.at(meter.epoch + 1).value in stored

    run(days())


def test_nothing_is_printed_that_a_reading_could_be_learnt_from(tmp_path):
    async def day():
        street = Street(tmp_path, meters=1, intervals=1)
        await street.open()
        street.process.kill()
        await street.process.wait()
        street.conductor._connected.clear()
        street.process = await asyncio.create_subprocess_exec(
            MICROPYTHON,
            "firmware/street.py",
            tmp_path / "street.json",
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        await street.conductor.settle(street.time(1))
        await street.conductor.say(quit=True)
        printed, _ = await street.process.communicate()
        assert printed == b""

    run(day())


def refusal(tmp_path, config):
    path = tmp_path / "street.json"
    path.write_text(config if isinstance(config, str) else json.dumps(config))
    result = subprocess.run(
        [MICROPYTHON, "firmware/street.py", path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode in (1, 2)
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    return lines[0]


def good_config(tmp_path):
    (tmp_path / "energies.csv").write_text("")
    (tmp_path / "provisioning").mkdir(exist_ok=True)
    meter = Enrolled(b"\x01" * 8, 19700)
    (tmp_path / "provisioning" / f"{meter.title.hex()}.json").write_text(json.dumps(meter.provisioning()))
    return {
        "conductor": ["127.0.0.1", 9],
        "gateway": ["127.0.0.1", 9],
        "provisioning": str(tmp_path / "provisioning"),
        "energies": str(tmp_path / "energies.csv"),
        "state": str(tmp_path / "state"),
        "measured": str(tmp_path / "measured.csv"),
        "interval_s": 900,
        "detail_s": 900,
    }


def test_a_wrong_configuration_is_refused_in_one_clear_line(tmp_path):
    for name in good_config(tmp_path):
        config = good_config(tmp_path)
        del config[name]
        assert f"{name} is missing" in refusal(tmp_path, config)
        config[name] = None
        assert f"{name} is of a wrong type" in refusal(tmp_path, config)
    for changed, expected in (
        ({"colour": 1}, "unknown key colour"),
        ({"interval_s": 0, "detail_s": 0}, "interval_s must be"),
        ({"detail_s": 70}, "detail_s must divide interval_s"),
        ({"gateway": ["127.0.0.1", 70000]}, "gateway must be [host, port]"),
        ({"conductor": ["127.0.0.1", "80"]}, "conductor must be [host, port]"),
        ({"conductor": ["no.such.host.invalid", 80]}, "unknown"),
        ({"energies": str(tmp_path / "none.csv")}, "cannot be opened"),
        ({"measured": str(tmp_path / "none" / "x.csv")}, "cannot be opened"),
        ({"provisioning": str(tmp_path / "none")}, "no meter"),
    ):
        assert expected in refusal(tmp_path, {**good_config(tmp_path), **changed})
    assert "not JSON" in refusal(tmp_path, "{")
    assert "not a JSON object" in refusal(tmp_path, "[]")


def test_energies_that_are_not_in_order_or_no_numbers_are_refused_by_line(tmp_path):
    for text in ("x\n", "aa,900,1\n", "aa,900,1,x\n", "aa,901,1,1\n", "aa,900,-1,1\n", "aa,900,4294967296,1\n"):
        config = good_config(tmp_path)
        (tmp_path / "energies.csv").write_text(text)
        assert "energies.csv, line 1" in refusal(tmp_path, config)


def test_a_provisioning_that_lacks_a_key_stops_the_street_in_one_clear_line(tmp_path):
    async def start():
        street = Street(tmp_path, meters=1, intervals=1)
        meter = street.meters[0]
        provisioning = meter.provisioning()
        del provisioning["hop_chain"]
        street.provisioning(meter).write_text(json.dumps(provisioning))
        await street.open()
        street.process.kill()
        await street.process.wait()
        street.conductor._connected.clear()
        street.process = await asyncio.create_subprocess_exec(
            MICROPYTHON,
            "firmware/street.py",
            tmp_path / "street.json",
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        await street.conductor.say(now_ms=street.time(0))
        _, errors = await street.process.communicate()
        assert street.process.returncode == 1
        assert errors.decode().splitlines() == [
            f"street: meter {meter.title.hex()}: provisioning: hop_chain is missing or no hex string"
        ]
        assert street.provisioning(meter).exists()

    run(start())


def test_a_state_that_cannot_be_written_stops_the_street_in_one_clear_line(tmp_path):
    async def start():
        street = Street(tmp_path, meters=1, intervals=1)
        (tmp_path / "state").write_text("a file, where a directory is needed")
        await street.gateway.serve()
        await street.conductor.serve()
        street.time(0)
        await street.start(stderr=subprocess.PIPE)
        await street.conductor.say(now_ms=street.time(0))
        _, errors = await street.process.communicate()
        assert street.process.returncode == 1
        assert errors.decode().startswith("street: a file or a socket failed, error ")
        assert len(errors.decode().splitlines()) == 1

    run(start())


LIVE = """
import asyncio, json, sys
sys.path.insert(0, ".")
from firmware.board import unix
from firmware.main import build, run

class Steady:
    def take(self, start_s, end_s):
        return 7 * (end_s - start_s), 0

board = unix.Board(sys.argv[1] + "/meter")
provisioning = json.loads(unix.read_file(sys.argv[1] + "/meter.json"))
meter = build(board, Steady(), 2, 1, provisioning)
asyncio.run(run(meter, board, "127.0.0.1", int(sys.argv[2])))
"""


def test_a_single_meter_lives_in_real_time(tmp_path):
    class RealTime(Gateway):
        @property
        def now_ms(self):
            return time.time_ns() // 1_000_000

        @now_ms.setter
        def now_ms(self, _):
            pass

    async def live():
        meter = Enrolled(b"\x05" * 8, int(time.time()) // 86400)
        gateway = RealTime([meter])
        await gateway.serve()
        (tmp_path / "meter.json").write_text(json.dumps(meter.provisioning()))
        (tmp_path / "live.py").write_text(LIVE)
        process = await asyncio.create_subprocess_exec(
            MICROPYTHON, tmp_path / "live.py", tmp_path, str(gateway.port), cwd=ROOT
        )
        try:
            while len(gateway.readings) < 3:
                await asyncio.sleep(0.1)
        finally:
            process.kill()
            await process.wait()
        assert gateway.failure is None
        assert all([reading.import_mwh for reading in each] == [14] for each in gateway.readings.values())
        starts = sorted(start for _, start in gateway.readings)
        assert starts == list(range(starts[0], starts[-1] + 2, 2))
        assert len(gateway.details) >= 6

    run(live(), 60)
