"""A billing run: what it makes, what it refuses, and that it goes on wherever it was killed."""

import csv
import io
import json
import os
import signal
import stat
import subprocess
import sys
import time
from contextlib import closing
from datetime import date
from pathlib import Path

import pypdf
import pytest
from bill_run_bench import NOW, MonthsEnd, files, month
from mdms_bench import APRIL, MARCH, pseudonym
from rich.console import Console

from mdms.asking import Asking, DueBills
from mdms.bill_run.opening import open_due_bills
from mdms.bill_run.progress import Bars, Lines, progress_on
from mdms.bill_run.summary import DONE, LEFT, exit_status, summary
from mdms.errors import CannotStart, ConfigError
from mdms.keyholder.client import KeyHolderClient
from mdms.periods import parse_periods
from mdms.reasons import words
from mdms.records.bills import decided_bills
from protocol.windows import Span

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 120
METERS = 3
# What the meters of the bench used: 62 rounds of four windows.
IMPORTED = [62 * (4 * 1000 * (meter + 1) + 6) for meter in range(METERS)]


@pytest.fixture
def end(tmp_path):
    folder = tmp_path / "utility"
    folder.mkdir()
    end = MonthsEnd(folder, METERS)
    yield end
    end.close()


def table(folder):
    return list(csv.DictReader(io.StringIO((folder / "bills.csv").read_text())))


def text_of(pdf):
    return " ".join(" ".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(pdf)).pages).split())


# --- What it makes --------------------------------------------------------------------------------------------------


def test_a_run_bills_everybody_and_says_what_is_left(end, tmp_path):
    out = tmp_path / "bills"
    with end.key_holder() as keyholder:
        outcome, lines = end.run(out)
        assert sorted(keyholder.names()) == sorted(end.meters)
    rows = {row["pseudonym"]: row for row in table(out)}
    assert [int(rows[name]["import_mwh"]) for name in end.meters] == IMPORTED
    assert {row["status"] for row in rows.values()} == {"released"}
    for row in rows.values():
        said = text_of((out / row["file"]).read_bytes())
        assert f"EUR {row['total']}" in said
        assert row["pseudonym"] in said
    assert outcome.made == METERS
    others = len(end.bench.north.members) + len(end.bench.south.members) - METERS
    assert set(outcome.left.values()) == {"0 of 248 windows since 2026-03-01 are reported"}
    assert len(outcome.left) == others
    said = "\n".join(summary(outcome))
    assert f"released {METERS}" in said
    assert f"left {others}" in said
    assert "run the same command again" in said
    assert exit_status(outcome) == LEFT
    assert lines[0] == f"bills asked for: 0 of {others + METERS}"
    assert any(line.startswith(f"pages written: {METERS} of {METERS}") for line in lines)


def test_the_folder_is_its_owners_alone(end, tmp_path):
    out = tmp_path / "bills"
    with end.key_holder():
        end.run(out)
    assert stat.S_IMODE(out.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in out.iterdir()} == {0o600}


def test_a_second_run_asks_for_nothing_and_writes_nothing_again(end, tmp_path):
    out = tmp_path / "bills"
    with end.key_holder() as keyholder:
        end.run(out)
        before, names = files(out), keyholder.names()
        log = keyholder.holder.log_lines()
        times = {path: path.stat().st_mtime_ns for path in out.glob("*.pdf")}
        outcome, _ = end.run(out)
        assert outcome.made == 0
        assert keyholder.names() == names
        assert keyholder.holder.log_lines() == log
    assert files(out) == before
    assert {path: path.stat().st_mtime_ns for path in out.glob("*.pdf")} == times


def test_what_came_late_is_billed_by_the_next_run(end, tmp_path):
    out = tmp_path / "bills"
    late = month(end.bench.north, METERS)
    end.receive(late[:-1])
    with end.key_holder():
        outcome, _ = end.run(out)
        assert "247 of 248 windows since 2026-03-01 are reported" in outcome.left.values()
        end.receive(late[-1:])
        outcome, _ = end.run(out)
    assert outcome.made == 1
    assert len(table(out)) == METERS + 1


def test_a_refused_bill_is_named_with_what_to_do(end, tmp_path):
    """A sum above the meter's rating: spent, without a page of energy, and a person is told."""
    north = end.bench.north
    end.receive(north.window(start, METERS, import_mwh=2**40) for start in range(MARCH, APRIL, 3 * 3600))
    with end.key_holder():
        outcome, _ = end.run(tmp_path / "bills")
    assert outcome.refused == {pseudonym("north", METERS): "not_releasable"}
    said = list(summary(outcome))
    assert any(line.endswith(words("not_releasable")) for line in said)
    assert any(line.startswith("next, for not_releasable: ") for line in said)


def test_nothing_left_is_status_0(end, tmp_path):
    with end.key_holder():
        outcome, _ = end.run(tmp_path / "bills")
    outcome.left.clear()
    assert exit_status(outcome) == DONE
    outcome.refused["somebody"] = "no_energy"  # a bill all the same: its standing charge
    assert exit_status(outcome) == DONE
    outcome.refused["somebody"] = "wrong_key"
    assert exit_status(outcome) == LEFT


def test_earlier_periods_are_asked_for_first_and_later_ones_not_at_all(end, tmp_path):
    """Where periods are days, the third day's run opens the first three, and has a page for the third."""
    out = tmp_path / "bills"
    with end.key_holder(policy=end.bench.policy("day", ["unsafe_short_periods"])) as keyholder:
        outcome, _ = end.run(out, start=date(2026, 3, 3))
        assert sorted(keyholder.names()) == sorted(end.meters * 3)
        assert len(keyholder.holder.log_lines()) == 3 * METERS
    assert outcome.days == ("2026-03-03",)
    assert {row["period_start"] for row in table(out)} == {"2026-03-03T00:00:00+00:00"}
    starts = {bill.period_start for bill in decided_bills(end.store)}
    assert starts == {MARCH + day * 86_400 for day in range(3)}


# --- Killed anywhere ------------------------------------------------------------------------------------------------

# One bill in each request and portion, so that there is a middle to be killed in.
SMALL = (
    "import mdms.asking, mdms.bill_run.collecting as c, mdms.__main__ as m; "
    "mdms.asking.MOST_BYTES = 1; c.BILLS_AT_ONCE = 1; "
)
# Stands still once the first page has its name, so that it is killed there and no later.
STILL_AT_A_PAGE = (
    "import threading, mdms.bill_run.folder as f; keep = f.BillFolder.keep; "
    "f.BillFolder.keep = lambda *page: (keep(*page), threading.Event().wait()); "
)
RUN = "m.cli(prog_name='mdms')"


def command(end, out, *more, still=""):
    """Start the command in a process of its own, in small steps."""
    arguments = ["bill-run", "--config", str(end.path), "--period", "2026-03-01", "--out", str(out), *more]
    return subprocess.Popen(
        [sys.executable, "-c", SMALL + still + RUN, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_until(what, running):
    deadline = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < deadline
        assert running.poll() is None, running.communicate()
        time.sleep(0.005)


def kill(running):
    """SIGKILL to the command and whoever works for it: nothing of it gets a last word."""
    os.killpg(running.pid, signal.SIGKILL)
    running.communicate()
    assert running.returncode == -signal.SIGKILL


@pytest.mark.parametrize("at", ["the second question", "the first page"])
def test_a_run_that_was_killed_goes_on_and_ends_as_one_that_was_not(end, tmp_path, at):
    twin = end.twin(tmp_path / "twin")
    out, whole, again = tmp_path / "bills", tmp_path / "whole", tmp_path / "again"
    with end.key_holder() as keyholder:
        if at == "the second question":
            running = command(end, out)
            asked = []

            def last_word():
                asked.append(1)
                if len(asked) == 3:  # the policy, a bill, and now: decided, and its answer is lost
                    kill(running)

            keyholder.before = last_word
            running.wait(PATIENCE_S)
            keyholder.before = lambda: None
            assert len(list(decided_bills(end.store))) < METERS
            assert not list(out.glob("*.pdf"))
        else:
            running = command(end, out, still=STILL_AT_A_PAGE)
            wait_until(lambda: list(out.glob("*.pdf")), running)
            kill(running)
            assert not (out / "bills.csv").exists()
            assert len(list(out.glob("*.pdf"))) == 1
        resumed = command(end, out)
        said, errors = resumed.communicate(timeout=PATIENCE_S)
        assert resumed.returncode == LEFT, errors
        assert f"released {METERS}" in said
        decisions = keyholder.holder.log_lines()
        assert len(decisions) == METERS, "nothing is opened twice"
        # The same decisions in one go: every file is the same, byte for byte.
        end.forget_decisions()
        end.run(again)
        assert keyholder.holder.log_lines() == decisions
    assert files(again) == files(out)
    # A utility of its own that nobody killed: the same bills.
    with twin.key_holder():
        twin.run(whole)
    assert (whole / "bills.csv").read_bytes() == (out / "bills.csv").read_bytes()
    assert files(whole).keys() == files(out).keys()


def test_a_run_that_forgot_what_it_wrote_would_be_seen(end, tmp_path, monkeypatch):
    """Planted: without looking at what is there, a second run makes every page again."""
    out = tmp_path / "bills"
    with end.key_holder():
        end.run(out)
        monkeypatch.setattr("mdms.bill_run.folder.BillFolder.has", lambda *_: False)
        with pytest.raises(AssertionError):
            assert end.run(out)[0].made == 0


# --- Refusals -------------------------------------------------------------------------------------------------------


def test_a_key_holder_that_is_away_is_said(end, tmp_path):
    with pytest.raises(CannotStart, match=r"key holder: .*run the same command again"):
        end.run(tmp_path / "bills")
    assert not (tmp_path / "bills").exists()


def test_a_key_holder_that_goes_away_in_the_middle_is_said_and_what_was_decided_stays(end, tmp_path, monkeypatch):
    monkeypatch.setattr("mdms.asking.MOST_BYTES", 1)
    with end.key_holder() as keyholder:
        real, count = keyholder.holder.answer, []

        def answer(message):
            count.append(1)
            return real(message) if len(count) <= 4 else b'{"status":"unavailable"}'

        monkeypatch.setattr(keyholder.holder, "answer", answer)
        with pytest.raises(CannotStart, match="key holder: the key holder says unavailable"):
            end.run(tmp_path / "bills")
        kept = len(list(decided_bills(end.store)))
        assert 0 < kept < METERS
        monkeypatch.setattr(keyholder.holder, "answer", real)
        end.run(tmp_path / "bills")
        assert len(list(decided_bills(end.store))) == METERS
        assert len(keyholder.holder.log_lines()) == METERS


def test_another_runs_folder_and_a_strangers_are_left_alone(end, tmp_path):
    out = tmp_path / "bills"
    with end.key_holder():
        end.run(out)
        before = files(out)
        about = json.loads(before["bill-run.json"])
        (out / "bill-run.json").write_bytes(json.dumps(about | {"language": "de"}).encode())
        with pytest.raises(ConfigError, match="another billing run"):
            end.run(out)
        strange = tmp_path / "strange"
        strange.mkdir()
        (strange / "letter.txt").write_text("dear")
        with pytest.raises(ConfigError, match="not empty"):
            end.run(strange)
        assert os.listdir(strange) == ["letter.txt"]


def test_what_a_killed_run_left_unfinished_is_cleared_away(end, tmp_path):
    out = tmp_path / "bills"
    out.mkdir()
    (out / "bill-x.pdf.77.unfinished").write_bytes(b"%PDF half")
    with end.key_holder():
        end.run(out)
    assert not list(out.glob("*.unfinished"))


@pytest.mark.parametrize(
    ("more", "status", "reason"),
    [
        (["--period", "2026-03-05"], 2, "no billing period begins on 2026-03-05"),
        (["--period", "2099-01-01"], 2, "is not over"),
        (["--scheduler", "tcp://10.1.2.3:8786"], 2, "--unsafe-plain-scheduler"),
        (["--scheduler", "nonsense"], 2, "must be tls://HOST:PORT"),
        (["--scheduler", "127.0.0.1:9"], 1, "scheduler 127.0.0.1:9"),
    ],
)
def test_the_command_says_in_one_line_what_it_cannot_do(end, tmp_path, more, status, reason):
    with end.key_holder() as keyholder:
        running = command(end, tmp_path / "bills", *more)
        _, errors = running.communicate(timeout=PATIENCE_S)
        assert keyholder.names() == []
    assert running.returncode == status, errors
    assert reason in errors.splitlines()[-1]
    assert "Traceback" not in errors


# --- Progress -------------------------------------------------------------------------------------------------------


def test_a_terminal_gets_bars_and_a_log_gets_lines():
    assert isinstance(progress_on(Console(file=io.StringIO()), print), Lines)
    screen = io.StringIO()
    bars = progress_on(Console(file=screen, force_terminal=True, width=100), print)
    assert isinstance(bars, Bars)
    bars.begin("pages written", 4)
    bars.advance(3)
    bars.end()
    assert "pages written" in screen.getvalue()
    assert "3/4" in screen.getvalue()


def test_lines_tell_each_tenth_once():
    told = []
    lines = Lines(told.append)
    lines.begin("steps", 1000)
    for _ in range(1000):
        lines.advance()
    assert [line.split(",")[0] for line in told] == [f"steps: {at} of 1000" for at in range(0, 1001, 100)]
    lines.begin("nothing", 0)
    lines.end()


class Steps:
    """Progress that says how far it is."""

    def __init__(self):
        self.done = 0

    def begin(self, what, total):
        self.done = 0

    def advance(self, steps=1):
        self.done += steps


def test_progress_is_told_with_each_answer_and_not_at_the_end(end, monkeypatch):
    monkeypatch.setattr("mdms.asking.MOST_BYTES", 1)
    book, steps, told = end.bench.book, Steps(), []
    tenancies = [book.tenancy(meter) for meter in end.meters]
    with end.key_holder() as keyholder, closing(KeyHolderClient(end.config.keyholder_socket)) as client:
        keyholder.before = lambda: told.append(steps.done)
        due_bills = DueBills(end.store, book, parse_periods("month"), NOW)
        waiting = open_due_bills(
            due_bills, tenancies, {"north": Span(MARCH, APRIL)}, [Asking(end.store, client)], steps
        )
    assert waiting == {}
    assert told[0] == 0
    assert told[-1] > 0, "before the last question"
    assert steps.done == METERS
