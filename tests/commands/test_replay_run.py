"""The whole path with real processes: meters on MicroPython, concentrator, MDMS, key holder."""

import asyncio
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from mdms.store import Store
from scripts.conductor import Conductor
from scripts.readings import read
from scripts.replay.conduct import Conduct
from scripts.replay.plan import energies_of, layout_of, make_plan
from scripts.replay_check import check, table
from scripts.street import Ports, append_energies, free_port, set_up
from scripts.street_balance import take_balance
from scripts.supervisor import Supervisor

ROOT = Path(__file__).resolve().parents[2]
MIDNIGHT = 1451606400
SMALL = ("--key-bits", "512", "--unsafe-small-key")


def street_rows(seed, homes, intervals, interval_s=900, missing=0.0, neighbourhood="north"):
    rng = random.Random(seed)
    rows = []
    for home in range(homes):
        for number in range(intervals):
            if rng.random() >= missing:
                energy = rng.randrange(0, 4_000_000)
                start = MIDNIGHT + number * interval_s
                text = f"{energy // 1000}.{energy % 1000:03d}"
                rows.append((f"{neighbourhood}-{home}", neighbourhood, start, text))
    rng.shuffle(rows)
    return rows


def start(readings, out, *arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "scripts.replay", "--readings", str(readings), "--out", str(out), *SMALL, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process):
    said, _ = process.communicate(timeout=240)
    assert process.returncode == 0, said
    assert "Traceback" not in said
    return said


def ledger(out):
    return json.loads((out / "ledger.json").read_text())


def results(out):
    names = ["loads.csv", "bills.csv", *(f"customer/{path.name}" for path in (out / "customer").iterdir())]
    return {name: (out / name).read_text() for name in sorted(names)}


def test_a_file_comes_out_as_loads_bills_and_rows(readings_file, tmp_path):
    path = readings_file([*street_rows(1, 10, 96), *street_rows(2, 3, 96, neighbourhood="south")])
    out = tmp_path / "out"
    said = finish(start(path, out, "--period", "day"))
    assert "unsafe_short_periods" in said
    assert check(path, out).differences == []
    status = {(row["neighbourhood"], row["status"], row["expected"]) for row in table(out / "loads.csv")}
    assert status == {("north", "released", "10"), ("south", "too_few_contributors", "3")}
    assert len(table(out / "loads.csv")) == 2 * 96
    assert {(row["windows"], row["estimated"]) for row in table(out / "bills.csv")} == {("8", "0")}
    assert ledger(out) == {
        "readings": 13 * 96,
        "measured_mwh": ledger(out)["billed_mwh"],
        "billed_mwh": ledger(out)["measured_mwh"],
        "queued_mwh": 0,
        "quarantined_mwh": 0,
        "duplicates": 0,
        "refused": 0,
    }
    assert (out / "releases" / "log.jsonl").read_text().count("\n") >= 2 * 96 + 13
    assert "96 loads and 13 bills in 1 published days follow from their signed ciphertexts" in said
    (day,) = (out / "published").iterdir()
    assert verified(out, day) == 0
    loads = (day / "loads.csv").read_text()
    (day / "loads.csv").write_text(loads.replace(",0\n", ",1\n", 1))
    assert verified(out, day) == 1


def verified(out, day):
    """The status with which a stranger's check of a published day ends."""
    facts = json.loads((out / "releases" / "deployment.json").read_text())
    keys = ["--operator-key", facts["operator_key"], "--log-key", facts["log_key"]]
    command = [sys.executable, "-m", "scripts.verify_release", str(day), *keys, "--unsafe-small-key"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    print(done.stdout, done.stderr)  # shown where the test fails
    return done.returncode


def test_the_check_of_an_output_sees_a_difference(readings_file, tmp_path):
    path = readings_file([("m", "north", MIDNIGHT, "1.500"), ("n", "north", MIDNIGHT, "2.000")])
    out = tmp_path / "out"
    (out / "customer").mkdir(parents=True)
    (out / "customer" / "m.csv").write_text(f"interval_start,energy_wh\n{MIDNIGHT},1.500\n")
    (out / "customer" / "n.csv").write_text(f"interval_start,energy_wh\n{MIDNIGHT},2.001\n")
    (out / "bills.csv").write_text("meter,energy_wh\nm,1.500\nn,2.000\n")
    loads = "neighbourhood,interval_start,contributors,expected,energy_wh,status\n"
    (out / "loads.csv").write_text(loads + f"north,{MIDNIGHT},2,2,3.501,released\n")
    assert len(check(path, out).differences) == 2


def test_missing_rows_are_never_billed_and_mark_their_windows(readings_file, tmp_path):
    path = readings_file(street_rows(3, 4, 48, 1800, missing=0.2))
    out = tmp_path / "out"
    finish(start(path, out, "--period", "day", "--interval-s", "1800", "--min-contributors", "3"))
    assert check(path, out).differences == []
    assert any(int(row["estimated"]) for row in table(out / "bills.csv"))
    assert {row["status"] for row in table(out / "loads.csv")} == {"released", "too_few_contributors"}


def test_killing_processes_in_the_middle_changes_nothing(readings_file, tmp_path):
    path = readings_file(street_rows(4, 10, 48, 1800))
    arguments = ("--period", "day", "--interval-s", "1800")
    finish(start(path, tmp_path / "calm", *arguments))
    rng = random.Random(5)
    process = start(path, tmp_path / "killed", *arguments)
    killed = []
    victims = ["gateway", "mdms", "gateway", "keyholder", "gateway", "mdms", "worker", "street"]
    while process.poll() is None and victims:
        time.sleep(rng.uniform(0.3, 0.9))
        try:
            os.kill(int((tmp_path / "killed" / "run" / f"{victims[0]}.pid").read_text()), signal.SIGKILL)
        except (FileNotFoundError, ProcessLookupError, ValueError):
            continue  # not up yet, or gone already
        killed.append(victims.pop(0))
    said = finish(process)
    assert {"gateway", "mdms"} <= set(killed)
    # The last one may have ended together with the run.
    assert said.count("started again") >= len(set(killed[:-1]))
    assert results(tmp_path / "killed") == results(tmp_path / "calm")
    measured = ("readings", "measured_mwh", "billed_mwh", "queued_mwh", "quarantined_mwh", "refused")
    assert [ledger(tmp_path / "killed")[name] for name in measured] == [
        ledger(tmp_path / "calm")[name] for name in measured
    ]


def test_an_interrupt_stops_every_process(readings_file, tmp_path):
    out = tmp_path / "out"
    process = start(readings_file(street_rows(6, 3, 2000)), out)
    deadline = time.monotonic() + 60
    while not (out / "run" / "street.pid").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    pids = [int(path.read_text()) for path in (out / "run").glob("*.pid")]
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 1, said
    assert "stopped; what the processes kept is in" in said
    assert len(pids) >= 1
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def halfway(plan, run, world, intervals):
    """Run a street's first intervals; return it with what its meters hold, every process stopped."""
    conductor = Conductor()
    port = await conductor.listen()
    street = await asyncio.to_thread(set_up, run, world, layout_of(plan), Ports(free_port(), free_port()), port, print)
    append_energies(street, energies_of(plan, street))
    supervisor = Supervisor(run, ROOT, lambda line: None)
    try:
        for process in street.processes:
            process.stands_in = partial(conductor.connected, process.name)
            supervisor.start(process)
        conduct = Conduct(conductor, plan, lambda done, now: None)
        await conduct.boot()
        for number in range(intervals):
            await conduct.meter(MIDNIGHT + (number + 1) * plan.interval_s)
        # Metered, sealed and acknowledged, but neither its load nor its window is closed.
        return street, (await conductor.stores())["stores"]
    finally:
        await conductor.close()
        await supervisor.stop()


@pytest.mark.parametrize("table_name", ["readings", "windows"])
def test_a_queued_row_that_is_deleted_unbalances_the_ledger(readings_file, tmp_path, table_name):
    readings = read(readings_file(street_rows(7, 3, 24)), 900)
    plan = make_plan(readings, zone_name="UTC", period="day", key_bits=512, unsafe_small_key=True, min_contributors=2)
    run, world = tmp_path / "run", tmp_path / "w"
    run.mkdir()
    world.mkdir()
    street, stores = asyncio.run(halfway(plan, run, world, 17))
    store = Store(street.database_url)
    before = take_balance(street, store, stores).imported
    assert before.balances()
    assert before.readings == 3 * 17
    assert before.queued_mwh == before.measured_mwh > 0
    with sqlite3.connect(street.ledger) as db:
        condition = "window > 1451606400" if table_name == "readings" else "window_start > 1451606400"
        key = "(title, series, interval_number)" if table_name == "readings" else "(title, window_start)"
        deleted = db.execute(
            f"DELETE FROM {table_name} WHERE {key} IN (SELECT {key[1:-1]} FROM {table_name} WHERE {condition} LIMIT 1)"
        )
        assert deleted.rowcount == 1
    db.close()
    assert not take_balance(street, store, stores).imported.balances()
    store.close()
