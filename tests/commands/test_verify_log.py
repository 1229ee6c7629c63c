"""`scripts.verify_log`: a log that holds is summed up, any break is one line and status 1."""

import json
import sys
from pathlib import Path

import pytest

# The small deployment of the MDMS's own tests serves here as well.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "mdms"))

from mdms_bench import APRIL, DEPLOYMENT, INTERVAL, MARCH, Bench, pseudonym

from protocol.documents import generate_signing_key, public_key_bytes, to_base64url
from scripts.verify_log import main


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """A log of five entries, its key and its head."""
    bench = Bench()
    folder = tmp_path_factory.mktemp("log")
    holder = bench.holder(folder, APRIL)
    north = bench.north
    holder.load(north.load(APRIL - INTERVAL))
    holder.load(north.load(APRIL - 2 * INTERVAL, contributors=range(3)))
    holder.load(north.load(key=generate_signing_key()))
    march = north.windows(MARCH, APRIL)
    holder.bill(march[1:], pseudonym("north", 0))
    holder.bill(march, pseudonym("north", 0))
    head = holder.state.head()
    holder.close()
    return holder.log_path, to_base64url(public_key_bytes(bench.log_key)), head


def run(told, capsys, *more, log=None, key=None):
    path, own, _ = told
    status = main([str(log or path), "--deployment", DEPLOYMENT, "--log-key", key or own, *more])
    return status, capsys.readouterr()


def test_a_log_that_holds_is_summed_up(told, capsys):
    status, said = run(told, capsys)
    head = told[2]
    assert (status, said.err) == (0, "")
    assert said.out.splitlines() == [
        "5 entries verify, each signed and naming the one before it",
        "from 2026-04-01T00:00Z to 2026-04-01T00:00Z, k never below 10",
        "loads: 1 released; refused: too_few_contributors 1",
        "bills: 1 released; refused: windows_missing 1",
        "unverified: 0 released; refused: bad_document 1",
        f'head: {{"seq": 5, "hash": "{head.hash}"}}',
        "note: whether entries behind the head are missing cannot be seen; give --head a published one",
    ]


def test_a_published_head_is_looked_for(told, capsys, tmp_path):
    head = told[2]
    file = tmp_path / "head.json"
    file.write_text(json.dumps({"seq": head.seq, "hash": head.hash}))
    for given in (f"{head.seq}:{head.hash}", str(file), "0:" + "0" * 64):
        status, said = run(told, capsys, "--head", given)
        assert status == 0
        assert "note" not in said.out


def changed_logs(path):
    lines = path.read_bytes().splitlines(keepends=True)
    first = json.loads(lines[0])
    changed = json.dumps(first | {"content": first["content"][:-4] + "AAAA"}).encode() + b"\n"
    return {
        "an entry changed": [changed, *lines[1:]],
        "an entry left out": lines[:1] + lines[2:],
        "two exchanged": [lines[0], lines[2], lines[1], *lines[3:]],
        "one doubled": [lines[0], *lines],
        "cut short": lines[:-1],
        "cut in the middle of an entry": [*lines[:-1], lines[-1][:50]],
        "emptied": [],
        "no log at all": [b"\xff\x00\n"],
    }


def test_every_break_is_status_1(told, capsys, tmp_path):
    head = told[2]
    for name, lines in changed_logs(told[0]).items():
        copy = tmp_path / "copy.jsonl"
        copy.write_bytes(b"".join(lines))
        status, said = run(told, capsys, "--head", f"{head.seq}:{head.hash}", log=copy)
        assert (status, said.out) == (1, ""), name
        assert said.err.startswith("broken: "), name
        assert len(said.err.splitlines()) == 1


def test_a_log_that_is_not_the_published_one_is_broken(told, capsys):
    for given in (f"3:{'ab' * 32}", f"6:{'ab' * 32}"):
        assert run(told, capsys, "--head", given)[0] == 1


def test_another_key_or_deployment_breaks_it_and_nonsense_is_status_2(told, capsys, tmp_path):
    other = generate_signing_key()
    assert run(told, capsys, key=to_base64url(public_key_bytes(other)))[0] == 1
    assert main([str(told[0]), "--deployment", "elsewhere", "--log-key", told[1]]) == 1
    assert run(told, capsys, key="nonsense")[0] == 2
    assert run(told, capsys, log=tmp_path / "none.jsonl")[0] == 2
    assert run(told, capsys, "--head", "nonsense")[0] == 2
