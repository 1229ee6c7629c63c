"""The benchmark: what it computes from times, what it refuses to time, and a whole quick run under a tiny key.

No test here says how long anything takes: where times matter, the contenders move the clock themselves.
"""

import json
import re
import sys
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

import paillier
from paillier.private.key import generate_keypair
from scripts.bench import __main__ as command
from scripts.bench import figures, installing, operations, pages, path, peers, plot, rows, timing
from scripts.bench.rows import Measured, Row
from scripts.bench.run import Effort
from scripts.bench.timing import Contender, WrongAnswer

ROOT = Path(__file__).resolve().parents[2]
TINY = Effort(batches=2, batch_s=0.0005, one_by_one=1, quick=True)
OPERATIONS = {
    "encrypt",
    "fold",
    "add",
    "decrypt",
    "decrypt_packed_value",
    "prove_1000",
    "verify_1000",
    "path_reading",
}

# --- Rows -------------------------------------------------------------------------------------------------------


def measured(operation, implementation, *samples, mode="default", bits=3072):
    return Measured(operation, mode, bits, implementation, samples)


def test_a_row_is_the_median_and_its_ratio_is_that_of_medians():
    found = rows.rows_of([measured("add", "phe", 30, 10, 900), measured("add", "hushmeter", 5, 7, 6)])
    assert [(row.microseconds, row.ratio_to_phe) for row in found] == [(30, 1), (6, 5)]


def test_a_ratio_never_mixes_lengths_of_key():
    found = rows.rows_of(
        [measured("add", "phe", 8, bits=2048), measured("add", "phe", 20), measured("add", "x", 4, bits=2048)]
    )
    assert found[2].ratio_to_phe == 2


def test_what_phe_does_not_have_has_no_ratio_and_what_it_does_otherwise_has_that_one():
    found = rows.rows_of(
        [
            measured("encrypt", "phe", 100),
            measured("decrypt", "phe", 50),
            measured("fold", "hushmeter", 1),
            measured("decrypt_packed_value", "hushmeter", 1),
            measured("prove_1000", "hushmeter", 1),
            measured("verify_1000", "hushmeter", 1),
        ]
    )
    assert [row.ratio_to_phe for row in found[2:]] == [100, 50, None, None]


def test_the_json_file_has_the_agreed_members_and_operations_only():
    found = rows.rows_of([measured("add", "phe", 2), measured("emit", "phe", 3), measured("validate", "hushmeter", 1)])
    assert json.loads(rows.to_json(found)) == {
        "rows": [
            {
                "operation": "add",
                "mode": "default",
                "bits": 3072,
                "implementation": "phe",
                "microseconds": 2.0,
                "ratio_to_phe": 1.0,
            }
        ]
    }
    assert set(rows.JSON_OPERATIONS) == OPERATIONS


def test_the_spread_is_that_of_the_middle_half():
    assert rows.spread([10, 10, 10, 10, 10, 10, 10, 1000]) == 0
    assert rows.spread([8, 9, 10, 11, 12]) == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.21649, "0.216"), (1.5, "1.50"), (9.999, "10.0"), (29.13, "29.1"), (99.96, "100"), (29130.4, "29,130")],
)
def test_numbers_have_three_digits_or_more(value, text):
    assert rows.digits(value) == text


# --- Timing -----------------------------------------------------------------------------------------------------


class Clock:
    """Time that passes only where a contender says so."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        self.log = []
        monkeypatch.setattr(timing.time, "perf_counter", lambda: self.now)

    def contender(self, name, seconds, *, right=True, **others):
        def call():
            self.now += seconds
            self.log.append(name)

        return Contender("encrypt", "default", name, call, lambda: right, **others)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def ratio(clock, seconds):
    group = [clock.contender("phe", 0.02), clock.contender("hushmeter", seconds)]
    return rows.find(rows.rows_of(timing.measure(group, 3072, 5, 0.1)), "encrypt", "default", 3072).ratio_to_phe


def test_a_planted_slower_implementation_changes_the_ratio(clock):
    assert ratio(clock, 0.001) == pytest.approx(20)
    assert ratio(clock, 0.003) == pytest.approx(20 / 3)


def test_contenders_are_timed_in_turn(clock):
    group = [clock.contender("phe", 1), clock.contender("peer", 1), clock.contender("hushmeter", 1)]
    timing.measure(group, 3072, 5, 0.1)
    assert clock.log[3:] == ["phe", "peer", "hushmeter"] * 5  # the first three found the batches' length


def test_a_slow_contender_is_timed_in_fewer_rounds_than_the_others(clock):
    group = [clock.contender("phe", 0.05), clock.contender("slow", 0.3)]
    timed = timing.measure(group, 3072, 12, 0.01)
    assert clock.log[2:].count("slow") == timing.SLOW_ROUNDS
    assert clock.log[2:].count("phe") == 12
    assert [len(one.samples) for one in timed] == [12, timing.SLOW_ROUNDS]


def test_one_slow_batch_does_not_move_the_median(clock):
    seconds = iter([0.1, 0.1, 0.1, 9.0, 0.1, 0.1])

    def call():
        clock.now += next(seconds)

    (found,) = timing.measure([Contender("add", "default", "phe", call, lambda: True)], 3072, 5, 0.1)
    assert rows.rows_of([found])[0].microseconds == pytest.approx(100_000)


def test_a_wrong_result_is_never_timed(clock):
    group = [clock.contender("phe", 1), clock.contender("hushmeter", 0.001, right=False)]
    with pytest.raises(WrongAnswer, match="hushmeter encrypt"):
        timing.measure(group, 3072, 5, 0.1)
    assert clock.log == []


def test_a_check_that_fails_names_the_contender(clock):
    def broken():
        raise paillier.DecryptionFailed("planted")

    with pytest.raises(WrongAnswer, match=r"sf-heu add \(default\): DecryptionFailed: planted"):
        timing.verify(Contender("add", "default", "sf-heu", lambda: None, broken))


def test_a_wrong_peer_is_left_out_where_the_run_can_do_without_it(clock):
    named = []
    group = [clock.contender("phe", 1), clock.contender("sf-heu", 1, right=False), clock.contender("hushmeter", 1)]
    found = timing.measure(group, 3072, 5, 0.1, without=lambda contender, error: not named.append(str(error)))
    assert [row.implementation for row in found] == ["phe", "hushmeter"]
    assert named == ["sf-heu encrypt (default): the result is wrong"]
    assert "sf-heu" not in clock.log


def test_preparing_a_batch_is_not_timed_and_batches_stay_within_their_limit(clock):
    prepared = []

    def before(calls):
        clock.now += 1000
        prepared.append(calls)

    contender = clock.contender("hushmeter", 0.001, before=before, most_calls=16)
    (found,) = timing.measure([contender], 3072, 5, 1)
    assert found.samples == pytest.approx((1000,) * 5)
    assert prepared[-5:] == [16] * 5
    assert max(prepared) == 16


def test_a_call_that_yields_many_values_is_divided_by_them(clock):
    (found,) = timing.measure([clock.contender("hushmeter", 0.1, values=50)], 3072, 5, 0.1)
    (part,) = timing.measure([clock.contender("hushmeter", 0.1, values=2 / 1000)], 3072, 5, 0.1)
    assert found.samples[0] == pytest.approx(2_000)
    assert part.samples[0] == pytest.approx(50_000_000)


@pytest.mark.skipif(not timing.HAS_AFFINITY, reason="this system does not keep threads on cores")
def test_a_run_stays_on_one_core_and_gives_the_others_back():
    before = timing.os.sched_getaffinity(0)
    with timing.one_core():
        assert len(timing.os.sched_getaffinity(0)) == 1
        with timing.every_core():
            assert timing.os.sched_getaffinity(0) == timing.ALLOWED
        assert len(timing.os.sched_getaffinity(0)) == 1
    assert timing.os.sched_getaffinity(0) == before


# --- Figures, plot and page ---------------------------------------------------------------------------------------


def of_figures(*found):
    return {figure.says: figure.reached for figure in figures.figures(found, [], {})}


def test_a_figure_is_reached_missed_or_not_measured():
    strict = Row("encrypt", "strict", 3072, "hushmeter", 1000.0, 24.9)
    verdicts = of_figures(strict, Row("encrypt", "default", 3072, "pypaillier", 2001.0, 12.0))
    assert verdicts["strict encryption with the wide table, to phe"] is False
    assert verdicts["the same, to pypaillier"] is True
    assert verdicts["the whole path, fold, to phe's"] is None


def test_figures_are_those_of_3072_bits():
    verdicts = of_figures(Row("encrypt", "strict", 2048, "hushmeter", 1.0, 1000.0))
    assert set(verdicts.values()) == {None}


def test_a_table_of_another_size_than_promised_is_missed():
    table = operations.Table("strict", 3072, 10, 1536, 156_736, 140_000_001, 3.0)
    (figure,) = [f for f in figures.figures([], [table], {}) if f.says == "memory of the wide table"]
    assert figure.reached is False


def test_the_plot_has_a_bar_for_every_ratio_and_none_outside_it():
    found = [
        Row("encrypt", "default", 3072, "phe", 30_000.0, 1.0),
        Row("encrypt", "default", 3072, "lightphe", 240_000.0, 0.125),
        Row("encrypt", "<strict> & more", 3072, "hushmeter", 1000.0, 30.0),
        Row("fold", "default", 3072, "hushmeter", 0.2, 140_000.0),
        Row("prove_1000", "batch", 3072, "hushmeter", 1.0, None),
        Row("encrypt", "default", 2048, "phe", 30_000.0, 1.0),
    ]
    tree = ElementTree.fromstring(plot.svg(found, 3072, "a machine"))
    name = "{http://www.w3.org/2000/svg}"
    bars = [bar for bar in tree.iter(f"{name}rect") if bar.get("class") in ("ours", "peer")]
    assert [bar.get("class") for bar in bars] == ["ours", "peer", "peer", "ours"]
    edges = [(float(bar.get("x")), float(bar.get("x")) + float(bar.get("width"))) for bar in bars]
    assert all(plot.LEFT <= left < right <= plot.WIDTH - plot.RIGHT for left, right in edges)
    assert edges[2][1] == pytest.approx(edges[0][0], abs=0.2), "slower than phe lies left of 1, faster right of it"
    texts = {text.text for text in tree.iter(f"{name}text")}
    assert {"hushmeter, <strict> & more", "0.125×", "140,000×", "a machine"} <= texts
    heights = [float(bar.get("y")) for bar in bars]
    assert all(below - above >= plot.BAR for above, below in pairwise(heights))


@pytest.mark.parametrize(
    ("value", "text"), [(0.1234, "0.123×"), (1, "1×"), (24.96, "25×"), (99.7, "100×"), (2954.6, "2,950×")]
)
def test_a_ratio_is_written_with_three_digits(value, text):
    assert plot.times(value) == text


def test_a_page_without_a_place_for_a_run_is_refused():
    page = f"# a\n\n{pages.BEGIN}old\n{pages.END}rest\n"
    assert pages.with_run(page, "new") == f"# a\n\n{pages.BEGIN}\nnew\n{pages.END}rest\n"
    with pytest.raises(ValueError, match="no place"):
        pages.with_run(page.replace(pages.END, ""), "new")


# --- Peers ------------------------------------------------------------------------------------------------------


@pytest.fixture
def module_path(monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])


def test_peers_that_are_not_there_are_named_with_the_reason(tmp_path, module_path):
    (tmp_path / peers.FAILED).write_text("sf-heu: no wheel for this machine\n")
    found = {peer.name: peer for peer in peers.load_peers(tmp_path)}
    assert isinstance(found["phe"], peers.Peer)
    assert found["sf-heu"] == peers.Missing("sf-heu", "no wheel for this machine")
    assert "is not installed" in found["lightphe"].reason
    assert sys.path[-1] == str(tmp_path), "before the project's own packages it would replace them"


def test_a_peer_that_cannot_be_imported_is_named_with_the_reason(tmp_path, module_path):
    for name, module in (("pypaillier", "paillier"), ("sf_heu", "heu")):
        folder = tmp_path / f"{name}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (tmp_path / module).mkdir()
        (tmp_path / module / "__init__.py").write_text("raise ImportError('libplanted.so is missing')\n")
    found = {peer.name: peer for peer in peers.load_peers(tmp_path)}
    assert found["sf-heu"].reason == "cannot be imported: libplanted.so is missing"
    assert "no extension module" in found["pypaillier"].reason, "a package called paillier is not taken for ours"
    assert Path(paillier.__file__).is_relative_to(ROOT)


def test_a_peer_that_raises_is_left_out(monkeypatch):
    monkeypatch.setattr(peers, "LEAST_BITS", 512)
    key = generate_keypair(512, unsafe_small_key=True)
    with pytest.raises(peers.PeerFailed, match="AttributeError"):
        peers.contenders_of(peers.Peer("lightphe", "1.0", object()), key, quick=True)


def test_the_lock_holds_the_peers_that_are_asked_for_and_hashes_for_all():
    lock = (ROOT / installing.LOCK).read_text()
    asked = re.findall(r"^[\w-]+==\S+$", (ROOT / "scripts/bench/peers.in").read_text(), re.M)
    requirements = dict(installing.requirements(lock))
    assert len(asked) == 3
    for line in asked:
        assert requirements[line.split("==")[0]].startswith(line)
    assert all("--hash=sha256:" in requirement for requirement in requirements.values())
    assert "://" not in lock


def test_the_environment_of_tests_and_demonstration_does_not_hold_the_peers():
    lock = (ROOT / "requirements.lock").read_text()
    assert "phe==1.5" in lock
    assert not re.findall(r"^(pypaillier|lightphe|sf-heu)\b", lock, re.M)


def test_what_pip_refuses_does_not_keep_the_others_out(tmp_path, monkeypatch):
    lock = tmp_path / "lock"
    lock.write_text("good==1 \\\n    --hash=sha256:00\nbad==2 ; python_version > '3' \\\n    --hash=sha256:11\n")
    tried = []

    def pip(file, folder):
        tried.append(file.read_text())
        return "no such wheel" if "bad" in tried[-1] else ""

    monkeypatch.setattr(installing, "pip", pip)
    assert installing.install(lock, tmp_path) == ["bad: no such wheel"]
    assert [text.split("=")[0] for text in tried[1:]] == ["good", "bad"]
    assert "good" not in tried[2]


# --- The path ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ours():
    return operations.Ours(generate_keypair(512, unsafe_small_key=True))


def test_every_way_of_a_reading_decrypts_to_what_the_meter_sent(ours):
    ways = {(contender.implementation, contender.mode): contender for contender in path.of_path(ours)}
    assert len(ways) == 7
    for contender in ways.values():
        timing.verify(contender)
        contender.before(1)
        contender.call()
        timing.verify(contender)


def test_both_implementations_count_the_same_frames_to_equal_sums(ours):
    sums = []
    for way in (path.WithPhe(ours), path.Folding(ours), path.FoldingBatches(ours, 4)):
        way.prepare(8 // way.frames_of_call)
        for _ in range(8 // way.frames_of_call):
            way.take()
        sums.append([ours.decryptor.decrypt(c) for c in way.result()])
    assert sums[0] == sums[1] == sums[2]
    assert sums[0][0] == sums[0][1] > 0


class ForgetsTheRegister(path.WithPhe):
    def take(self):
        register = self._register
        super().take()
        self._register = register


class EncryptsInClear(path.WithPhe):
    def take(self):
        reading = self.open()
        c = paillier.add_plain(self.ours.key, 1, paillier.ENERGY_SLOTS.pack((reading.import_mwh, reading.export_mwh)))
        self._load = self._register = self._load * c % self.ours.key.n_squared


@pytest.mark.parametrize("way", [ForgetsTheRegister, EncryptsInClear])
def test_a_path_that_leaves_something_out_is_not_timed(ours, way):
    assert path.WithPhe(ours).is_right()
    assert not way(ours).is_right()


def test_an_encryption_without_a_fresh_randomiser_is_not_timed(ours):
    kept = ours.strict.randomiser()
    reused = operations._fresh(ours, lambda m: paillier.add_plain(ours.key, kept, m), ours.m1)
    assert operations._fresh(ours, ours.strict.encrypt, ours.m1)()
    assert not reused()


# --- The command ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def quick_run(tmp_path_factory):
    """One whole run, a few seconds: everything but the peers, which this environment does not have."""
    folder = tmp_path_factory.mktemp("bench")
    (folder / "docs" / "reference").mkdir(parents=True)
    (folder / "docs" / "pictures").mkdir()
    (folder / pages.PAGE).write_text((ROOT / pages.PAGE).read_text())
    arguments = ["--quick", "--bits", "512", "--unsafe-small-key", "--json", str(folder / "rows.json"), "--write-docs"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path])
        patch.setattr(command, "QUICK", TINY)
        patch.setattr(pages.write_docs, "__defaults__", (folder,))
        result = CliRunner().invoke(command.main, [*arguments, "--peers", str(folder / "none")])
    assert result.exit_code == 0, result.output
    return folder, result.output


def test_a_quick_run_has_every_operation_and_mode(quick_run):
    folder, _ = quick_run
    found = json.loads((folder / "rows.json").read_text())["rows"]
    modes = {}
    for row in found:
        assert set(row) == {"operation", "mode", "bits", "implementation", "microseconds", "ratio_to_phe"}
        assert row["bits"] == 512
        assert row["microseconds"] > 0
        if row["implementation"] == "hushmeter":
            modes.setdefault(row["operation"], set()).add(row["mode"])
    assert modes == {
        "encrypt": {"strict", "strict-pi", "fast-512", "no-table", "iso", "pool"},
        "fold": {"default"},
        "add": {"default"},
        "decrypt": {"crt", "half-crt", "two-threads"},
        "decrypt_packed_value": {"encrypted-packed", "packed-by-key-holder"},
        "prove_1000": {"batch"},
        "verify_1000": {"batch", "one-by-one"},
        "path_reading": {"strict", "strict-pi", "pool", "fold", "fold-12", "fold-36"},
    }
    without = {row["operation"] for row in found if row["ratio_to_phe"] is None}
    assert without == {"prove_1000", "verify_1000"}
    phe = [row for row in found if row["implementation"] == "phe"]
    assert {row["operation"] for row in phe} == {"encrypt", "add", "decrypt", "path_reading"}
    assert {row["ratio_to_phe"] for row in phe} == {1.0}


def test_the_terminal_says_everything_that_the_file_says_and_more(quick_run):
    _, output = quick_run
    for operation in (*OPERATIONS, "emit", "validate"):
        assert re.search(rf"^ ?{operation} ", output, re.M), operation
    for name in ("pypaillier", "lightphe", "sf-heu"):
        assert f"without {name}: is not installed" in output
    assert "…" not in output, "something was cut off"
    assert output.count("not measured") == 15, "no figure is of a key this short"


def test_the_page_gets_the_run_its_plot_and_its_rows(quick_run):
    folder, _ = quick_run
    page = (folder / pages.PAGE).read_text()
    run = page.split(pages.BEGIN)[1].split(pages.END)[0]
    assert re.search(r"One run of \d{4}-\d\d-\d\d on ", run)
    assert "### 512-bit key" in run
    assert re.search(r"^\| encrypt \| strict \| hushmeter \| [\d.,]+ \| [\d.,]+× \|$", run, re.M)
    assert (folder / pages.ROWS).read_text() == (folder / "rows.json").read_text()
    ElementTree.fromstring((folder / pages.PLOT).read_text())


def test_the_page_explains_every_mode(quick_run):
    folder, _ = quick_run
    text = (ROOT / pages.PAGE).read_text().split(pages.BEGIN)[0]
    for row in json.loads((folder / "rows.json").read_text())["rows"]:
        assert f"`{row['operation']}`" in text
        assert row["mode"] == "default" or f"`{row['mode']}`" in text, row["mode"]


def test_a_wrong_result_ends_the_run_and_writes_nothing(tmp_path, monkeypatch):
    right = operations.of_addition

    def off_by_one(ours):
        (contender,) = right(ours)

        def check():
            c = paillier.add(ours.key, contender.call(), ours.strict.encrypt(1))
            return ours.opens_to(c, ours.m1 + ours.m2)

        yield Contender("add", "default", "hushmeter", contender.call, check)

    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(command, "QUICK", TINY)
    monkeypatch.setattr(operations, "of_addition", off_by_one)
    rows_file = tmp_path / "rows.json"
    arguments = ["--quick", "--bits", "512", "--unsafe-small-key", "--json", str(rows_file), "--peers", str(tmp_path)]
    result = CliRunner().invoke(command.main, arguments)
    assert result.exit_code == 1
    assert "a wrong result is not timed: hushmeter add (default)" in result.output
    assert not rows_file.exists()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--bits", "1024"], "bench: --bits 1024: a key has an even number of bits, 2048 to 16384"),
        (["--bits", "2049"], "an even number"),
        (["--bits", "256", "--unsafe-small-key"], "512 to 16384"),
        (["--json", "no/such/folder/rows.json"], "is not a folder"),
        (["--plot", "no/such/folder/plot.svg"], "is not a folder"),
    ],
)
def test_a_bad_option_is_one_line(arguments, reason, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    result = CliRunner().invoke(command.main, [*arguments, "--peers", str(tmp_path)])
    assert result.exit_code == 2
    assert reason in result.output
    assert result.output.count("\n") == 1
