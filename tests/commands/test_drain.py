"""`make drain`, small: the outbox drains when the MDMS comes back, and a run notices what is lost or doubled."""

import pytest
from click.testing import CliRunner

from protocol import documents, reports
from scripts.bench_gateway.street import DEPLOYMENT, NAME, START, WINDOW_S
from scripts.drain import run as drain_run
from scripts.drain.__main__ import main
from scripts.drain.run import Drained, Plan
from scripts.drain.say import lines
from scripts.drain.street import ROWS, Meter
from scripts.drain.taken import Taken

TINY = ["--hours", "0.5", "--meters", "4", "--detail-s", "300", "--key-bits", "512", "--unsafe-small-key"]
SIGNER = documents.generate_signing_key()
KEY = documents.to_base64url(bytes(32))


def invoke(*arguments):
    return CliRunner().invoke(main, [*TINY, *arguments])


def test_a_tiny_run_drains_and_loses_and_doubles_nothing():
    done = invoke("--pace", "600")
    assert done.exit_code == 0, done.output
    assert "nothing lost, nothing doubled" in done.output
    assert "estimate, by proportion, for 72 h of 1000 meters" in done.output
    for name in ("reports that waited", "ledger, its log among it", "memory at the start"):
        assert name in done.output


def test_a_run_whose_mdms_forgets_a_report_ends_with_status_1(monkeypatch):
    class Forgetting(Taken):
        def take(self, document):
            is_load = document.type == reports.INTERVAL_LOAD  # a row would come again, with its hour
            return super().take(document) if self.forgot or not is_load else self._forget()

        forgot = False

        def _forget(self):
            self.forgot = True
            return "stored"

    monkeypatch.setattr(drain_run, "Taken", Forgetting)
    monkeypatch.setattr(drain_run, "STILL_S", 1)
    done = invoke()
    assert done.exit_code == 1, done.output
    assert " lost" in done.output
    assert "estimate" not in done.output


def load(start, **changes):
    said = {
        "neighbourhood": NAME,
        "roster_version": 1,
        "interval_start": start,
        "interval_s": 900,
        "contributors": "AA",
        "paillier_key": KEY,
        "ciphertext": None,
    }
    return signed(reports.INTERVAL_LOAD, reports.IntervalLoad(**said | changes))


def window(meter, start, present=0):
    said = reports.BillingWindow(
        NAME, meter.pseudonym, start, start + WINDOW_S, 900, present, 12, 0, START, START, KEY, None, None
    )
    return signed(reports.BILLING_WINDOW, said)


def segment(meter, *counters):
    rows = [documents.to_base64url(row_of(meter, counter)) for counter in counters]
    return signed(reports.DETAIL_SEGMENT, reports.DetailSegment(NAME, meter.pseudonym, rows))


def row_of(meter, counter):
    return b"\x01\x02" + meter.title + bytes(2) + ROWS + counter.to_bytes(8, "big") + bytes(66)


def signed(kind, report):
    return documents.sign(SIGNER, kind, DEPLOYMENT, documents.canonical_json(report))


@pytest.fixture
def meter():
    made = Meter(0, 0.5)
    list(made.due(START + 1000, 900, 300))
    assert (made.readings, made.rows) == (0, 2)
    return made


def whole(meter, until=START + 1800):
    return [*map(load, range(START, until, 900)), segment(meter, 1), segment(meter, 2)]


def off(meter, sent, until=START + 1800):
    taken = Taken([meter])
    verdicts = [taken.take(document) for document in sent]
    return taken.off([meter], until, 900), verdicts


def test_what_is_whole_is_not_off_and_a_second_copy_is_a_duplicate(meter):
    assert off(meter, whole(meter)) == ([], ["stored"] * 4)
    assert off(meter, [*whole(meter), whole(meter)[0]]) == ([], ["stored"] * 4 + ["duplicate"])


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda meter, sent: sent[1:], "1 loads lost"),
        (lambda meter, sent: [*sent, load(START, roster_version=2)], "1 loads doubled"),
        (lambda meter, sent: sent[:-1], "1 rows lost"),
        (lambda meter, sent: [*sent, segment(meter, 2, 1), segment(meter, 1, 2)], "2 rows doubled"),
        (lambda meter, sent: [*sent, segment(meter, 7)], "1 rows of nobody"),
    ],
)
def test_what_is_lost_or_doubled_is_named(meter, change, word):
    assert off(meter, change(meter, whole(meter)))[0] == [word]


def test_windows_are_looked_for_as_well(meter):
    until = START + WINDOW_S
    assert off(meter, whole(meter, until), until)[0] == ["1 windows lost"]
    sent = [*whole(meter, until), window(meter, START)]
    assert off(meter, sent, until)[0] == []
    assert off(meter, [*sent, window(meter, START, present=0)], until)[0] == []
    assert off(meter, [*sent, signed(reports.BILLING_WINDOW, other(meter))], until)[0] == ["1 windows doubled"]


def other(meter):
    return reports.BillingWindow(
        NAME, meter.pseudonym, START, START + WINDOW_S, 900, 0, 12, 1, START, START, KEY, None, None
    )


def test_a_figure_that_is_not_reached_is_said_so():
    plan = Plan(1000, 72, 900, 0, 10.0, 1)
    slow = Drained(drain_s=72 * 3600 / 9, peak_rss_mb=151)
    said = lines(plan, slow)
    assert [line.count("NOT reached") for line in said] == [1, 1, 0]
    assert not any("NOT" in line for line in lines(plan, Drained(drain_s=100, peak_rss_mb=149)))


@pytest.mark.parametrize("options", [["--interval-s", "700"], ["--detail-s", "7"]])
def test_lengths_that_do_not_fit_are_one_line(options):
    done = invoke(*options)
    assert done.exit_code == 2
    assert done.output.splitlines() == ["drain: --interval-s must divide three hours, and --detail-s the interval"]
