"""The release worker: what is ready is asked for in order, whatever is killed, restarted or away."""

import json
import threading

import pytest
from database_bench import database_url
from mdms_bench import APRIL, DAY, DEPLOYMENT, INTERVAL, MARCH, METERS, ManualClock, energy, pseudonym
from sqlalchemy.exc import OperationalError

from mdms import asking, releases
from mdms.ingest.admission import admit
from mdms.ingest.judgement import judge
from mdms.keyholder.client import KeyHolderUnavailable
from mdms.keyholder.messages import release_request
from mdms.records.bills import decided_bills, keep_bill
from mdms.records.documents import release_batches_named
from mdms.records.loads import decided_loads
from mdms.records.windows import unbilled_windows
from mdms.releases import ReleaseWorker
from mdms.store import Store
from protocol import wire
from protocol.releases import open_batch
from protocol.windows import WINDOW_S


class DirectLine:
    """The key holder's socket without a socket; can be cut before the question or after the decision."""

    def __init__(self, holder):
        self.holder = holder
        self.asked = []
        self.cut = None

    def ask(self, message):
        if self.cut == "before":
            raise KeyHolderUnavailable("connection refused")
        self.asked.append(message)
        answer = self.holder.answer(message)
        if self.cut == "after":
            raise KeyHolderUnavailable("the peer went away")
        return answer, json.loads(answer)


class Utility:
    """A store, a key holder and a worker between them."""

    def __init__(self, bench, folder, policy=None):
        self.bench, self.folder = bench, folder
        self.policy = policy or bench.policy("day", ["unsafe_short_periods"])
        self.store = Store(database_url(folder))
        self.holder = bench.holder(folder, MARCH, self.policy)
        self.line = DirectLine(self.holder)
        self.restart_worker()

    def restart_worker(self):
        self.worker = ReleaseWorker(self.store, self.bench.book, self.line, threading.Event())

    def receive(self, *documents):
        verdicts = admit(self.store, [judge(item, self.bench.book, DEPLOYMENT) for item in documents])
        assert {item.verdict for item in verdicts} == {"stored"}, verdicts

    def settle(self, now):
        self.holder.clock.now = now
        return self.worker.settle(now)

    def close(self):
        self.store.close()
        self.holder.close()


@pytest.fixture
def utility(bench, tmp_path):
    utility = Utility(bench, tmp_path)
    yield utility
    utility.close()


def test_each_load_gets_its_decision_once(utility, north):
    utility.receive(*(north.load(MARCH + at * INTERVAL) for at in range(4)))
    utility.receive(north.load(MARCH + 4 * INTERVAL, contributors=range(9)))
    assert utility.settle(MARCH + 5 * INTERVAL)
    statuses = [load.status for load in decided_loads(utility.store)]
    assert statuses == ["released"] * 4 + ["too_few_contributors"]
    told = {load.import_mwh for load in decided_loads(utility.store, "north")}
    assert told == {sum(map(energy, range(METERS))), None}
    assert list(decided_loads(utility.store, "south")) == []
    asked = len(utility.line.asked)
    assert utility.settle(MARCH + 5 * INTERVAL)
    assert len(utility.line.asked) == asked + 1, "only the policy is asked for again"


def test_a_load_whose_interval_is_not_over_waits(utility, north):
    utility.receive(north.load())
    assert utility.settle(MARCH + INTERVAL - 1)
    assert list(decided_loads(utility.store)) == []


def test_a_key_holder_whose_clock_is_behind_is_asked_again(utility, north):
    utility.receive(north.load())
    utility.holder.clock.now = MARCH
    assert not utility.worker.settle(MARCH + INTERVAL)
    assert utility.settle(MARCH + INTERVAL)
    assert [load.status for load in decided_loads(utility.store)] == ["released"]


def test_a_load_that_comes_days_late_gets_its_refusal(utility, north):
    utility.receive(north.load())
    assert utility.settle(MARCH + 3 * DAY)
    assert [load.status for load in decided_loads(utility.store)] == ["too_late"]


def test_a_bill_is_asked_for_when_its_period_is_over_and_complete(utility, north):
    day = north.windows(MARCH, MARCH + DAY)
    utility.receive(*day[:-1])
    assert utility.settle(MARCH + DAY)
    assert list(decided_bills(utility.store)) == []
    utility.receive(day[-1])
    assert utility.settle(MARCH + DAY - 1)
    assert list(decided_bills(utility.store)) == []
    assert len(list(unbilled_windows(utility.store))) == 8
    assert utility.settle(MARCH + DAY)
    [bill] = decided_bills(utility.store)
    assert (bill.pseudonym, bill.period_start, bill.period_end) == (pseudonym("north", 0), MARCH, MARCH + DAY)
    assert (bill.status, bill.import_mwh, bill.export_mwh, bill.windows, bill.estimated) == ("released", 8, 0, 8, 0)
    assert list(unbilled_windows(utility.store)) == []


def test_several_periods_that_became_complete_at_once_are_billed_in_order(utility, north):
    utility.receive(*north.windows(MARCH + DAY, MARCH + 3 * DAY))
    assert utility.settle(MARCH + 3 * DAY)
    assert list(decided_bills(utility.store)) == [], "a later period waits for the earlier one"
    utility.receive(*north.windows(MARCH, MARCH + DAY))
    assert utility.settle(MARCH + 3 * DAY)
    assert [bill.import_mwh for bill in decided_bills(utility.store)] == [8, 8, 8]


def test_a_period_without_energy_is_done_with(utility, north):
    empty = range(MARCH, MARCH + DAY, WINDOW_S)
    utility.receive(*north.windows(MARCH, MARCH + 2 * DAY, empty=empty))
    assert utility.settle(MARCH + 2 * DAY)
    first, second = decided_bills(utility.store)
    assert (first.status, first.import_mwh, first.windows) == ("no_energy", None, 0)
    assert (second.status, second.import_mwh, second.windows) == ("released", 8, 8)
    assert [span.register_to - span.register_from for span in unbilled_windows(utility.store)] == [0] * 8


def test_windows_in_which_intervals_are_missing_are_counted_as_estimated(utility, north):
    day = north.windows(MARCH + WINDOW_S, MARCH + DAY)
    utility.receive(north.window(MARCH, present=3), *day)
    assert utility.settle(MARCH + DAY)
    [bill] = decided_bills(utility.store)
    assert (bill.windows, bill.estimated) == (8, 1)


def test_a_meter_that_measures_apparent_power_only_gets_bills_that_say_estimate(utility, north):
    day = north.windows(MARCH + WINDOW_S, MARCH + DAY)
    utility.receive(north.window(MARCH, quality=wire.APPARENT_ONLY), *day)
    assert utility.settle(MARCH + DAY)
    [bill] = decided_bills(utility.store)
    assert (bill.windows, bill.estimated) == (8, 1)


def test_windows_of_an_impossible_bill_stay_unbilled_and_enter_no_other(utility, north):
    day = north.windows(MARCH + WINDOW_S, MARCH + 2 * DAY)
    utility.receive(north.window(MARCH, import_mwh=10**12), *day)
    assert utility.settle(MARCH + 2 * DAY)
    assert [bill.status for bill in decided_bills(utility.store)] == ["not_releasable", "released"]
    unbilled = [window.window_start for window in unbilled_windows(utility.store)]
    assert unbilled == list(range(MARCH, MARCH + DAY, WINDOW_S))


def test_a_key_holder_that_is_away_delays_and_loses_nothing(utility, north):
    utility.receive(north.load(), *north.windows(MARCH, MARCH + DAY))
    utility.line.cut = "before"
    assert not utility.settle(MARCH + DAY)
    assert list(decided_loads(utility.store)) == list(decided_bills(utility.store)) == []
    utility.line.cut = None
    assert utility.settle(MARCH + DAY)
    assert len(list(decided_loads(utility.store))) == len(list(decided_bills(utility.store))) == 1


def test_an_answer_that_is_lost_on_the_way_is_repeated(utility, north):
    utility.receive(north.load(), *north.windows(MARCH, MARCH + DAY))
    real, lost = utility.line.ask, []

    def lossy(message):
        answer = real(message)
        if message not in lost:
            lost.append(message)
            raise KeyHolderUnavailable("the peer went away")
        return answer

    utility.line.ask = lossy
    for _ in range(10):
        if utility.settle(MARCH + DAY):
            break
    assert [load.status for load in decided_loads(utility.store)] == ["released"]
    assert [bill.status for bill in decided_bills(utility.store)] == ["released"]
    assert len(utility.holder.log_lines()) == 2


def test_a_worker_killed_between_answer_and_store_loses_nothing(bench, north, tmp_path):
    utility = Utility(bench, tmp_path)
    utility.receive(north.load(), *north.windows(MARCH, MARCH + DAY))

    def killed(*_):
        raise KeyboardInterrupt

    for module, name in ((releases, "keep_load_release"), (asking, "keep_bill")):
        with pytest.MonkeyPatch.context() as broken, pytest.raises(KeyboardInterrupt):
            broken.setattr(module, name, killed)
            utility.settle(MARCH + DAY)
        utility.restart_worker()
    assert utility.settle(MARCH + DAY)
    [load] = decided_loads(utility.store)
    [bill] = decided_bills(utility.store)
    assert (load.status, bill.status, bill.import_mwh) == ("released", "released", 8)
    utility.close()


def test_a_store_put_back_to_yesterday_gets_the_same_decisions_again(utility, bench, north, tmp_path):
    sent = [north.load(), *north.windows(MARCH, MARCH + 2 * DAY)]
    utility.receive(*sent)
    assert utility.settle(MARCH + 2 * DAY)
    before = list(decided_loads(utility.store)), list(decided_bills(utility.store))
    utility.store.close()
    utility.store = Store(database_url(tmp_path, "restored"))
    utility.restart_worker()
    utility.receive(*sent)
    assert utility.settle(MARCH + 2 * DAY)
    assert (list(decided_loads(utility.store)), list(decided_bills(utility.store))) == before


def test_a_decision_stored_twice_is_stored_once(utility, north):
    utility.receive(*north.windows(MARCH, MARCH + DAY))
    assert utility.settle(MARCH + DAY)
    [bill] = decided_bills(utility.store)
    keep_bill(utility.store, bill, range(MARCH, MARCH + DAY, WINDOW_S), b"again")
    assert list(decided_bills(utility.store)) == [bill]


def test_a_bill_that_the_key_holder_holds_back_does_not_stop_the_rest(utility, north):
    # The key holder has forgotten nothing, the store has: it lacks a window that is spent.
    utility.receive(north.load(), *north.windows(MARCH, MARCH + DAY), *north.windows(MARCH, MARCH + DAY, meter=1))
    with utility.holder.state.deciding():
        utility.holder.state.spend_windows(pseudonym("north", 0), [MARCH - WINDOW_S], "another time")
        utility.holder.state.spend_windows(pseudonym("north", 1), [MARCH], "another time")
    assert utility.settle(MARCH + DAY)
    assert {bill.status for bill in decided_bills(utility.store)} == {"released", "window_spent"}


def test_a_database_that_is_busy_delays_and_loses_nothing(utility, north, monkeypatch):
    utility.receive(north.load())

    def busy(*_):
        raise OperationalError("insert", {}, Exception("database is locked"))

    with monkeypatch.context() as broken:
        broken.setattr(releases, "keep_load_release", busy)
        assert not utility.settle(MARCH + DAY)
    assert utility.settle(MARCH + DAY)
    assert [load.status for load in decided_loads(utility.store)] == ["released"]


class Ticks(ManualClock):
    """A clock that ticks through given times and remembers what was settled."""

    def __init__(self, holder, *times):
        super().__init__()
        self.holder, self.times, self.done = holder, list(times), []

    def next_tick(self):
        if not self.times:
            return None
        self.now = self.holder.clock.now = self.times.pop(0)
        return self.now * 1000

    def settled(self, tick_ms):
        self.done.append(tick_ms // 1000)


def test_a_tick_is_settled_when_everything_due_has_its_decision(utility, north):
    utility.receive(north.load(), *north.windows(MARCH, MARCH + DAY))
    clock = Ticks(utility.holder, MARCH, MARCH + INTERVAL, MARCH + DAY)
    real, failures = utility.line.ask, []

    def unsteady(message):
        if len(failures) < 3:
            failures.append(message)
            raise KeyHolderUnavailable("restarting")
        return real(message)

    utility.line.ask = unsteady
    utility.worker.run(clock)
    assert clock.done == [MARCH, MARCH + INTERVAL, MARCH + DAY]
    assert len(list(decided_loads(utility.store))) == len(list(decided_bills(utility.store))) == 1


def test_a_worker_that_is_told_to_stop_stops(utility, north):
    utility.line.cut = "before"
    clock = Ticks(utility.holder, MARCH)
    stopper = threading.Timer(0.2, utility.worker._stopped.set)
    stopper.start()
    utility.worker.run(clock)
    stopper.join()
    assert clock.done == []


def test_monthly_bills_follow_the_calendar(bench, north, tmp_path):
    utility = Utility(bench, tmp_path, bench.policy("month"))
    utility.receive(*north.windows(MARCH, APRIL))
    assert utility.settle(APRIL - 1)
    assert list(decided_bills(utility.store)) == []
    assert utility.settle(APRIL)
    [bill] = decided_bills(utility.store)
    assert (bill.status, bill.windows) == ("released", 248)
    utility.close()


# --- Many at once -------------------------------------------------------------------------------------------------


def kinds(utility):
    """What the key holder was asked, question by question, and how many items each had."""
    asked = [json.loads(message) for message in utility.line.asked]
    return [("items", len(told["items"])) if "items" in told else (next(iter(told)), 1) for told in asked]


def test_a_day_goes_through_in_few_questions(utility, north):
    utility.receive(*(north.load(MARCH + at * INTERVAL) for at in range(70)))
    for meter in range(3):
        utility.receive(*north.windows(MARCH, MARCH + DAY, meter))
    assert utility.settle(MARCH + DAY)
    assert kinds(utility) == [
        ("policy", 1),
        *(("items", 64), ("release", 1), ("items", 6), ("release", 1)),
        *(("items", 3), ("release", 1)),
    ]
    assert {load.status for load in decided_loads(utility.store)} == {"released"}
    assert len({load.batch for load in decided_loads(utility.store)}) == 2
    assert [bill.import_mwh for bill in decided_bills(utility.store)] == [8, 8, 8]
    assert len({bill.batch for bill in decided_bills(utility.store)}) == 1


def test_a_request_is_no_longer_than_the_key_holder_takes(utility, north, monkeypatch):
    monkeypatch.setattr(asking, "MOST_BYTES", 20_000)
    for meter in range(5):
        utility.receive(*north.windows(MARCH, MARCH + 2 * DAY, meter))
    assert utility.settle(MARCH + 2 * DAY)
    assert len(list(decided_bills(utility.store))) == 10
    questions = [message for message in utility.line.asked if b'"items"' in message]
    assert 3 < len(questions) <= 10
    assert all(len(message) < 40_000 for message in questions)


def test_a_tenancys_next_period_waits_for_the_decision_before_it(utility, north):
    empty = range(MARCH, MARCH + DAY, WINDOW_S)
    for meter in range(2):
        utility.receive(*north.windows(MARCH, MARCH + 3 * DAY, meter, empty=empty))
    assert utility.settle(MARCH + 3 * DAY)
    asked = [message for message in map(json.loads, utility.line.asked) if "items" in message]
    periods = [[item["bill"]["period_start"] for item in message["items"]] for message in asked]
    assert periods == [[MARCH] * 2, [MARCH + DAY] * 2, [MARCH + 2 * DAY] * 2]
    # What was empty on the first day was used up by its refusal.
    assert [len(item["bill"]["windows"]) for item in asked[1]["items"]] == [8, 8]


def test_a_proof_is_stored_before_what_it_proves(bench, north, tmp_path):
    utility = Utility(bench, tmp_path)
    utility.receive(north.load(), *north.windows(MARCH, MARCH + DAY))

    def killed(*_):
        raise KeyboardInterrupt

    for module, name in ((asking, "keep_release_batch"), (releases, "keep_load_release")):
        with pytest.MonkeyPatch.context() as broken, pytest.raises(KeyboardInterrupt):
            broken.setattr(module, name, killed)
            utility.settle(MARCH + DAY)
        assert list(decided_loads(utility.store)) == []
        utility.restart_worker()
    assert utility.settle(MARCH + DAY)
    decided = [*decided_loads(utility.store), *decided_bills(utility.store)]
    documents = release_batches_named(utility.store, [decision.batch for decision in decided])
    for decision in decided:
        batch = open_batch(documents[decision.batch], DEPLOYMENT, bench.log_key.public_key())
        assert batch.items[0].import_mwh == decision.import_mwh
    utility.close()


def test_another_proof_than_the_one_that_was_asked_for_is_not_taken(utility, north):
    utility.receive(north.load())
    assert utility.settle(MARCH + INTERVAL)
    _, other = utility.line.ask(release_request(next(decided_loads(utility.store)).batch))
    utility.receive(north.load(MARCH + INTERVAL))
    real = utility.line.ask
    for lie in (other, {"status": "release", "release": {}}, {"status": "unknown_release"}):

        def lying(message, lie=lie):
            answer, told = real(message)
            return (b"", lie) if b'"release":' in message else (answer, told)

        utility.line.ask = lying
        assert not utility.settle(MARCH + 2 * INTERVAL)
        assert len(list(decided_loads(utility.store))) == 1
    utility.line.ask = real
    assert utility.settle(MARCH + 2 * INTERVAL)
    assert [load.status for load in decided_loads(utility.store)] == ["released"] * 2


def test_what_was_decided_before_there_were_proofs_keeps_its_answer(utility, north, monkeypatch):
    utility.receive(north.load())
    real = utility.line.ask

    def old(message):
        answer, told = real(message)
        if told["status"] != "answers":
            return answer, told
        for one in told["answers"]:
            del one["batch"], one["root"]
        return json.dumps(told).encode(), told

    utility.line.ask = old
    assert utility.settle(MARCH + INTERVAL)
    [load] = decided_loads(utility.store)
    assert (load.status, load.batch) == ("released", None)


def test_a_key_holder_that_answers_nonsense_is_asked_again(utility, north):
    utility.receive(north.load())
    real = utility.line.ask
    for nonsense in (
        b'{"status":"answers"}',
        b'{"status":"answers","answers":[]}',
        b'{"status":"answers","answers":[1]}',
    ):

        def broken(message, nonsense=nonsense):
            return real(message) if b"policy" in message else (nonsense, {"status": "answers"})

        utility.line.ask = broken
        assert not utility.settle(MARCH + INTERVAL)
    utility.line.ask = real
    assert utility.settle(MARCH + INTERVAL)
    assert [load.status for load in decided_loads(utility.store)] == ["released"]


@pytest.mark.parametrize("limit", ["MAX_DOCUMENTS", "MOST_BYTES_OF_A_BILL"])
def test_a_bill_that_no_request_can_carry_is_held_back_alone(utility, north, monkeypatch, capsys, limit):
    sizes = [len(document.content) for document in north.windows(MARCH, MARCH + DAY)]
    monkeypatch.setattr(asking, limit, 7 if limit == "MAX_DOCUMENTS" else sum(sizes) - 1)
    utility.receive(*north.windows(MARCH, MARCH + DAY), north.load())
    assert utility.settle(MARCH + DAY)
    assert [load.status for load in decided_loads(utility.store)] == ["released"]
    assert list(decided_bills(utility.store)) == []
    assert "bill held back" in capsys.readouterr().out
    monkeypatch.undo()
    assert utility.settle(MARCH + DAY)
    assert [bill.status for bill in decided_bills(utility.store)] == ["released"]
