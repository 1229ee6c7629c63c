"""Several sums asked for at once: each is decided as if alone, all are proved together, or nothing has happened."""

import json

import msgspec
import pytest
from mdms_bench import DAY, DEPLOYMENT, INTERVAL, MARCH, energy, pseudonym

from mdms.keyholder import batches
from mdms.keyholder.keyring import HeldKey, hold
from mdms.keyholder.log import check_answer, verify_log
from mdms.keyholder.messages import (
    BillRequest,
    Item,
    bill_request,
    items_request,
    joined_answers,
    load_request,
    parse_answers,
    release_request,
)
from paillier import ENERGY_SLOTS, ciphertext
from paillier.errors import DecryptionFailed
from paillier.proofs import Claim, root_from_base64url, verify_decryption, verify_decryptions
from protocol import releases
from protocol.documents import Document, document_id

ME = pseudonym("north", 0)


@pytest.fixture
def holder(bench, tmp_path):
    holder = bench.holder(tmp_path, MARCH + DAY, bench.policy("day", ["unsafe_short_periods"]))
    yield holder
    holder.close()


def load(street, at=0, **changes):
    return Item(load=street.load(MARCH + at * INTERVAL, **changes))


def bill(street, meter=0, **changes):
    windows = street.windows(MARCH, MARCH + DAY, meter, **changes)
    return Item(bill=BillRequest(pseudonym(street.name, meter), MARCH, windows))


def release(bench, holder, name):
    """The release batch of a name, as whoever has the log's public key reads it."""
    told = json.loads(holder.answer(release_request(name)))
    assert told["status"] == "release"
    document = msgspec.convert(told["release"], Document)
    assert document_id(document.type, DEPLOYMENT, document.content_bytes()) == name
    return releases.open_batch(document, DEPLOYMENT, bench.log_key.public_key())


def claim(street, documents, item):
    terms = [json.loads(document.content_bytes()) for document in documents]
    texts = [text for term in terms if (text := term.get("ciphertext") or term.get("energy"))]
    total = ciphertext.product(street.public, [ciphertext.from_base64url(street.public, text) for text in texts])
    return Claim(total, ENERGY_SLOTS.pack((item.import_mwh, item.export_mwh)))


# --- What is proved -----------------------------------------------------------------------------------------------


def test_loads_and_bills_of_one_request_are_proved_apart(bench, north, south, holder):
    items = [load(north), bill(north), load(south), load(north, 1), bill(north, 1)]
    answers = holder.items(*items)
    assert [answer["status"] for answer in answers] == ["released"] * 5
    # A load has its proof in the answer, a bill in each of its sums.
    answers = [answer | answer["sums"][0] if "sums" in answer else answer for answer in answers]
    names = [answer["batch"] for answer in answers]
    assert [names.index(name) for name in names] == [0, 1, 2, 0, 1]
    for first in (0, 1, 2):
        batch = release(bench, holder, names[first])
        mine = [(item, answer) for item, answer in zip(items, answers, strict=True) if answer["batch"] == names[first]]
        street = south if batch.neighbourhood == "south" else north
        assert (batch.paillier_key, batch.k) == (street.public.fingerprint, 10)
        assert batch.unsafe == ["unsafe_short_periods"]
        claims = [
            claim(street, [item.load] if item.load else item.bill.windows, said)
            for (item, _), said in zip(mine, batch.items, strict=True)
        ]
        context = releases.proof_context(batch)
        verify_decryptions(street.public, claims, root_from_base64url(street.public, batch.root), context)
        for (_, answer), said, one in zip(mine, batch.items, claims, strict=True):
            assert (answer["import_mwh"], answer["export_mwh"]) == (said.import_mwh, said.export_mwh)
            assert answer["root"] == said.root
            verify_decryption(street.public, one, root_from_base64url(street.public, said.root), context)


def test_a_request_of_one_makes_a_batch_of_one(bench, north, holder):
    document = north.load()
    answer = holder.load(document)
    [item] = release(bench, holder, answer["batch"]).items
    assert item.documents == [document_id(document.type, DEPLOYMENT, document.content_bytes())]
    assert item.import_mwh == answer["import_mwh"] == sum(map(energy, range(12)))


def test_a_bill_names_the_windows_that_carry_energy(bench, north, holder):
    windows = north.windows(MARCH, MARCH + DAY, empty=[MARCH])
    answer = holder.bill(windows, ME)
    [item] = release(bench, holder, answer["sums"][0]["batch"]).items
    names = [document_id(window.type, DEPLOYMENT, window.content_bytes()) for window in windows]
    assert (item.pseudonym, item.period_start, item.period_end) == (ME, MARCH, MARCH + DAY)
    assert item.documents == names[1:]


def test_a_batch_is_split_before_it_names_too_many_documents(bench, north, holder, monkeypatch):
    monkeypatch.setattr(batches, "MAX_DOCUMENTS", 16)
    answers = holder.items(*(bill(north, meter) for meter in range(5)))
    names = [answer["sums"][0]["batch"] for answer in answers]
    assert [names.index(name) for name in names] == [0, 0, 2, 2, 4]
    assert [len(release(bench, holder, name).items) for name in dict.fromkeys(names)] == [2, 2, 1]


def test_what_is_refused_or_impossible_stands_in_no_batch(bench, north, holder):
    impossible = north.text(north.encryptor.encrypt(1 << ENERGY_SLOTS.slot_bits - 1))
    items = [load(north, 0, ciphertext=impossible), load(north, 1, contributors=range(9)), load(north, 2)]
    answers = holder.items(*items)
    assert [answer["status"] for answer in answers] == ["not_releasable", "too_few_contributors", "released"]
    assert ["batch" in answer for answer in answers] == ["root" in answer for answer in answers] == [False, False, True]
    [item] = release(bench, holder, answers[2]["batch"]).items
    assert item.interval_start == MARCH + 2 * INTERVAL
    assert holder.load(north.load())["status"] == "already_released", "an impossible sum is spent all the same"
    assert holder.holder._state.load_is_spent("north", MARCH + INTERVAL) is False


def test_a_log_entry_commits_to_the_proof_as_well(bench, north, holder):
    message = holder.answer(items_request([load(north), load(north, 1)]))
    entries = verify_log(holder.log_lines(), DEPLOYMENT, bench.log_key).entries
    for entry, answer in zip(entries, parse_answers(message, 2), strict=True):
        check_answer(entry, answer)
        for name in ("batch", "root"):
            with pytest.raises(Exception, match="commits to another answer"):
                check_answer(entry, json.dumps({**json.loads(answer), name: "another"}).encode())


def test_a_release_that_is_not_there_is_not_told(holder, north):
    assert json.loads(holder.answer(release_request("0" * 64))) == {"status": "unknown_release"}
    assert json.loads(holder.answer(b'{"release": "' + b"x" * 64 + b'"}'))["status"] == "bad_document"


# --- Each as if alone ---------------------------------------------------------------------------------------------


def test_an_item_has_one_answer_alone_or_with_others(holder, north):
    first, second, third = load(north), bill(north), load(north, 1)
    alone = holder.answer(load_request(first.load))
    [again, told] = parse_answers(holder.answer(items_request([first, second])), 2)
    assert again == alone
    assert holder.answer(bill_request(ME, MARCH, second.bill.windows)) == told
    [*known, _] = parse_answers(holder.answer(items_request([second, first, third])), 3)
    assert known == [told, alone]
    assert len(holder.log_lines()) == 3
    assert [entry["seq"] for entry in holder.items(first, second, third)] == [1, 2, 3]


def test_an_item_that_stands_in_a_request_twice_is_answered_once(holder, north):
    one, other = load(north), load(north, 1)
    answers = holder.items(one, other, one)
    assert answers[0] == answers[2] != answers[1]
    assert [answer["status"] for answer in answers] == ["released"] * 3
    assert len(holder.log_lines()) == 2


def test_an_item_finds_spent_what_the_one_before_it_spent(holder, north):
    # Two reports of one interval, and two bills of one period: the first of each is opened.
    answers = holder.items(load(north), load(north), bill(north), bill(north))
    assert [answer["status"] for answer in answers] == ["released", "already_released", "released", "window_spent"]


def test_what_cannot_be_decided_yet_waits_alone(holder, north):
    late = load(north, DAY // INTERVAL)
    lacking = Item(bill=BillRequest(ME, MARCH, north.windows(MARCH, MARCH + DAY)[1:]))
    answers = holder.items(late, load(north), lacking)
    assert [answer["status"] for answer in answers] == ["not_closed", "released", "windows_missing"]
    # What was closed and what lacks a window is logged; what is not over yet is not.
    assert len(holder.log_lines()) == 2
    holder.clock.now += INTERVAL
    assert holder.items(late, lacking)[0]["status"] == "released"


def test_before_the_time_is_known_only_what_is_known_is_answered(holder, north):
    known, other = load(north), load(north, 1)
    [first] = holder.items(known)
    holder.clock.now = None
    assert holder.items(known, other) == [first, {"status": "not_closed"}]


def test_a_request_of_none_or_too_many_is_no_request(holder, north):
    one = load(north)
    for items in ([], [one] * 65):
        assert json.loads(holder.answer(items_request(items)))["status"] == "bad_document"
    both = {"items": [], "policy": True}, {"items": [{"policy": True}]}, {"items": [{}]}, {"release": 1}
    for request in both:
        assert json.loads(holder.answer(json.dumps(request).encode()))["status"] == "bad_document"
    assert len(holder.items(*[one] * 64)) == 64


def test_answers_are_carried_byte_for_byte():
    answers = [b'{"a":1, "b" : 2}', b'{"status":"x"}']
    assert parse_answers(joined_answers(answers), 2) == answers
    for message, count in ((joined_answers(answers), 3), (b"{}", 0), (b"[", 1), (b"\xff", 1)):
        with pytest.raises(ValueError):
            parse_answers(message, count)


# --- Whatever breaks ----------------------------------------------------------------------------------------------


def test_a_batch_killed_between_commit_and_answer_is_repeated_byte_for_byte(bench, north, tmp_path, monkeypatch):
    policy = bench.policy("day", ["unsafe_short_periods"])
    holder = bench.holder(tmp_path, policy=policy)

    def crash(*_):
        raise KeyboardInterrupt

    items = [load(north), load(north, 1), bill(north)]
    monkeypatch.setattr(holder.log_file, "follow", crash)
    with pytest.raises(KeyboardInterrupt):
        holder.answer(items_request(items))
    committed = [holder.state.stored_answer(item.name()) for item in items]
    holder.close()
    again = bench.holder(tmp_path, policy=policy)
    assert len(again.log_lines()) == 3
    others = [load(north, 2), items[2], items[0]]
    told = parse_answers(again.answer(items_request(others)), 3)
    assert told[1:] == [committed[2], committed[0]]
    assert again.answer(load_request(items[1].load)) == committed[1]
    for answer in committed:
        told = json.loads(answer)
        release(bench, again, told["sums"][0]["batch"] if "sums" in told else told["batch"])
    again.close()


def test_a_batch_killed_before_its_commit_has_not_happened(bench, north, tmp_path, monkeypatch):
    holder = bench.holder(tmp_path)

    def crash(*_):
        raise KeyboardInterrupt

    items = [load(north), load(north, 1)]
    for step in ("spend_load", "keep_release_batch", "append", "keep_answer"):
        with monkeypatch.context() as broken:
            broken.setattr(holder.state, step, crash)
            with pytest.raises(KeyboardInterrupt):
                holder.answer(items_request(items))
    nothing_happened(holder, items)
    assert [answer["status"] for answer in holder.items(*items)] == ["released"] * 2
    holder.close()


def nothing_happened(holder, items):
    assert not any(holder.state.load_is_spent("north", MARCH + at * INTERVAL) for at in range(96))
    assert holder.state.spent_windows(ME) == set()
    assert [holder.state.stored_answer(item.name()) for item in items] == [None] * len(items)
    assert holder.state._db.execute("SELECT count(*) FROM release_batches").fetchone() == (0,)
    assert (holder.log_lines(), holder.state.head().seq) == ([], 0)


@pytest.mark.parametrize("half", ["_p_exponent", "_q_exponent", "_p_inverse"])
def test_a_fault_in_a_proof_lets_nothing_out_and_spends_nothing(bench, north, holder, monkeypatch, capsys, half):
    faulty = hold(north.private)
    setattr(faulty.prover, half, getattr(faulty.prover, half) ^ 1 << 77)
    items = [bill(north), load(north), load(north, 1)]
    before = dict(holder.holder._keyring)
    monkeypatch.setattr(holder.holder, "_keyring", {**before, north.public.fingerprint: faulty})
    capsys.readouterr()
    assert holder.answer(items_request(items)) == b'{"status":"unavailable"}'
    said = "".join(capsys.readouterr())
    assert "no decision: decryption or proof failed" in said
    assert str(sum(map(energy, range(12)))) not in said
    nothing_happened(holder, items)
    monkeypatch.setattr(holder.holder, "_keyring", before)
    assert [answer["status"] for answer in holder.items(*items)] == ["released"] * 3


def test_a_fault_in_a_decryption_lets_nothing_out_and_spends_nothing(north, holder, monkeypatch):
    class Faulty:
        def decrypt(self, c, *, below):
            raise DecryptionFailed("the arithmetic of a decryption failed")

    whole = hold(north.private)
    items = [load(north)]
    with monkeypatch.context() as broken:
        broken.setattr(holder.holder, "_keyring", {north.public.fingerprint: HeldKey(Faulty(), whole.prover)})
        assert holder.load(items[0].load) == {"status": "unavailable"}
    nothing_happened(holder, items)


def test_a_decryption_that_is_wrong_is_not_proved(north, holder, monkeypatch):
    # A fault that no half sees: the proof does.
    class Faulty:
        def decrypt(self, c, *, below):
            return whole.decryptor.decrypt(c, below=below) + 1

    whole = hold(north.private)
    items = [load(north)]
    with monkeypatch.context() as broken:
        broken.setattr(holder.holder, "_keyring", {north.public.fingerprint: HeldKey(Faulty(), whole.prover)})
        assert holder.load(items[0].load) == {"status": "unavailable"}
    nothing_happened(holder, items)
    assert holder.load(items[0].load)["status"] == "released"
