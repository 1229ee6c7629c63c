"""Signatures that are verified ahead: no forgery passes, no answer changes, and no worker ever holds a key."""

import multiprocessing
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from os import getpid

import msgspec
import pytest
from mdms_bench import APRIL, DEPLOYMENT, MARCH, pseudonym
from test_mdms_key_memory import parts_in

from mdms.keyholder import gate, verifying
from mdms.keyholder.verifying import CHUNK, Verifier, verifying_processes
from mdms.signatures import which_verify
from protocol.documents import DocumentError, generate_signing_key, public_key_bytes

ME = pseudonym("north", 0)


class Inline(Executor):
    """Does at once what it is asked for."""

    def submit(self, function, /, *arguments, **named):
        future = Future()
        future.set_result(function(*arguments, **named))
        return future


class Broken(Executor):
    """An executor whose workers were killed."""

    def submit(self, function, /, *arguments, **named):
        raise BrokenExecutor


@pytest.fixture(scope="module")
def march(bench):
    return bench.north.windows(MARCH, APRIL)


@pytest.fixture
def holder_with(bench, tmp_path):
    """A function that makes a key holder in April with an executor of its own."""
    made = []

    def make(executor):
        made.append(bench.holder(tmp_path, APRIL))
        made[-1].holder._verifier = Verifier(bench.book, DEPLOYMENT, executor)
        return made[-1]

    yield make
    for holder in made:
        holder.close()


def forged(document):
    """The same document under a signature of somebody else's."""
    return msgspec.structs.replace(document, signature=("B" if document.signature[0] == "A" else "A") * 86)


def forgeries(bench, document):
    north, stranger = bench.north, generate_signing_key()
    later = north.window(MARCH + 9 * 3 * 3600)
    return {
        "a changed signature": forged(document),
        "another's content": msgspec.structs.replace(document, content=later.content),
        "another type": msgspec.structs.replace(document, type="interval-load"),
        "a stranger": north.window(MARCH, key=stranger),
        "a stranger in the signer's name": msgspec.structs.replace(
            north.window(MARCH, key=stranger), signer=document.signer
        ),
        "another's name": msgspec.structs.replace(document, signer=bench.south.window(MARCH).signer),
        "no base64url": msgspec.structs.replace(document, content="*"),
    }


def test_only_what_verifies_is_proven(bench, march):
    wrong = forgeries(bench, march[0])
    proven = Verifier(bench.book, DEPLOYMENT, Inline()).proven([*march, *wrong.values()])
    assert set(march) <= proven
    assert [name for name, document in wrong.items() if document in proven] == []


def test_a_document_of_another_deployment_is_not_proven(bench, march):
    assert not Verifier(bench.book, "elsewhere", Inline()).proven(march)


def test_which_verify_says_it_of_each_in_order(bench, march):
    keys = {march[0].signer: public_key_bytes(bench.north.key)}
    assert which_verify(DEPLOYMENT, keys, [march[0], forged(march[1]), march[2]]) == [True, False, True]
    assert which_verify(DEPLOYMENT, {}, march[:2]) == [False, False]


def test_a_proven_document_is_not_verified_again_and_any_other_is(holder_with, bench, march, monkeypatch):
    def refuse(*_):
        raise DocumentError("asked")

    monkeypatch.setattr(gate, "verified_content", refuse)
    assert holder_with(Inline()).bill(march, ME)["status"] == "released"
    one = bench.north.window(APRIL)
    document = bench.north.load(MARCH)
    decide = gate.Gate(bench.policy(), bench.book, DEPLOYMENT).decide_load
    assert decide(document, None, APRIL, frozenset([one, forged(document)])).reason == "bad_document"


def test_one_forgery_in_a_month_is_refused(holder_with, bench, march):
    holder = holder_with(Inline())
    for place, document in enumerate(forgeries(bench, march[0]).values()):
        assert holder.bill([document, *march[1:]], ME)["status"] == "bad_document", place
    assert holder.bill(march, ME)["status"] == "released"


def test_workers_that_were_killed_change_no_answer(holder_with, march):
    holder = holder_with(Broken())
    assert holder.bill([forged(march[0]), *march[1:]], ME)["status"] == "bad_document"
    assert holder.bill(march, ME)["status"] == "released"


def test_a_small_request_starts_no_process(bench, march):
    assert len(march) > CHUNK
    assert Verifier(bench.book, DEPLOYMENT, Broken()).proven(march[:CHUNK]) == frozenset()


def test_processes_verify_a_month_and_hold_no_part_of_the_key(holder_with, bench, march):
    with verifying_processes(1) as workers:
        holder = holder_with(workers)
        assert holder.bill([forged(march[0]), *march[1:]], ME)["status"] == "bad_document"
        assert holder.bill(march, ME)["status"] == "released"
        assert holder.holder._verifier._executor is workers, "no worker ended"
        pid = workers.submit(getpid).result()
        assert parts_in(pid, bench.north.private) == set()
    # The same search finds it in a process that was forked.
    with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as forks:
        assert {"p, limb 0", "q, limb 0"} <= parts_in(forks.submit(getpid).result(), bench.north.private)


def test_a_planted_verifier_that_believes_everything_turns_a_test_red(holder_with, bench, march, monkeypatch):
    monkeypatch.setattr(verifying, "which_verify", lambda deployment, keys, documents: [True] * len(documents))
    with pytest.raises(AssertionError):
        test_one_forgery_in_a_month_is_refused(holder_with, bench, march)


def test_roots_are_not_made_in_another_process(bench, march):
    from mdms.keyholder.batches import prove

    with ProcessPoolExecutor(1) as processes, pytest.raises(TypeError, match="border"):
        prove(None, DEPLOYMENT, bench.policy(), [object()], processes)


def test_two_requests_at_once_get_the_answers_of_one_after_the_other(holder_with, bench):
    holder = holder_with(Inline())
    asked = {meter: bench.north.windows(MARCH, APRIL, meter) for meter in range(3)}
    with ThreadPoolExecutor(3) as clients:
        told = list(clients.map(lambda meter: holder.bill(asked[meter], pseudonym("north", meter)), asked))
    assert [(one["status"], one["import_mwh"]) for one in told] == [("released", 248)] * 3
    assert sorted(one["seq"] for one in told) == [1, 2, 3]
