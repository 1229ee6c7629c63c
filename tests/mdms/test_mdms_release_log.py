"""The release log: whoever holds it and the public key can check every decision, and sees any change."""

import json

import pytest
from mdms_bench import DAY, DEPLOYMENT, INTERVAL, MARCH, pseudonym, words_of

from mdms.keyholder.log import EMPTY, LogBroken, check_answer, verify_log
from mdms.keyholder.messages import AskedBill, AskedLoad, AskedUnverified, load_request
from protocol.documents import document_id, generate_signing_key


@pytest.fixture(scope="module")
def told(bench, tmp_path_factory):
    """A log of four decisions, and the answers that were given."""
    holder = bench.holder(tmp_path_factory.mktemp("log"), MARCH + DAY, bench.policy("day", ["unsafe_short_periods"]))
    load = bench.north.load()
    answers = [
        holder.load(load),
        holder.load(bench.north.load(MARCH + INTERVAL, contributors=range(2))),
        holder.bill(bench.north.windows(MARCH, MARCH + DAY), pseudonym("north", 0)),
        holder.load(bench.north.load(key=generate_signing_key())),
    ]
    yield load, answers, holder.log_lines(), holder.state.head()
    holder.close()


def test_a_log_holds_what_was_asked_and_decided_and_no_energy(bench, told):
    load, answers, lines, head = told
    log = verify_log(lines, DEPLOYMENT, bench.log_key.public_key())
    assert log.head == head
    assert [entry.decision for entry in log.entries] == [answer["status"] for answer in answers]
    assert [type(entry.asked) for entry in log.entries] == [AskedLoad, AskedLoad, AskedBill, AskedUnverified]
    first = log.entries[0]
    assert (first.k, first.unsafe, first.time) == (10, ["unsafe_short_periods"], MARCH + DAY)
    assert first.asked == AskedLoad("north", MARCH, 12, 12, document_id(load.type, DEPLOYMENT, load.content_bytes()))
    assert log.entries[2].asked.windows == 8
    words = words_of(lines)
    assert {"decision", "released"} < words, "it is open"
    assert not [word for word in words if "mwh" in word]
    assert str(answers[0]["import_mwh"]) not in words


def test_an_empty_log_is_a_log(bench):
    assert verify_log([], DEPLOYMENT, bench.log_key).head == EMPTY


def test_every_change_of_a_log_is_seen(bench, told):
    _, _, lines, _ = told
    key = bench.log_key.public_key()
    changed = {
        "an entry left out": lines[:1] + lines[2:],
        "the first left out": lines[1:],
        "two exchanged": [lines[0], lines[2], lines[1], lines[3]],
        "one doubled": [lines[0], lines[0], *lines[1:]],
        "not JSON": [b"x", *lines[1:]],
        "not UTF-8": [b'{"type":"\xff"}', *lines[1:]],
    }
    for name, broken in changed.items():
        with pytest.raises(LogBroken, match="entry"):
            verify_log(broken, DEPLOYMENT, key)
            pytest.fail(name)
    with pytest.raises(LogBroken):
        verify_log(lines, "another deployment", key)
    with pytest.raises(LogBroken):
        verify_log(lines, DEPLOYMENT, generate_signing_key())


def test_every_flipped_bit_of_an_entry_is_seen(bench, told):
    _, _, lines, _ = told
    line = lines[0]
    for at in range(0, len(line) * 8, 41):
        flipped = bytearray(line)
        flipped[at // 8] ^= 1 << at % 8
        with pytest.raises(LogBroken):
            verify_log([bytes(flipped), *lines[1:]], DEPLOYMENT, bench.log_key)


def test_a_shorter_log_verifies_but_is_not_the_published_one(bench, told):
    _, _, lines, head = told
    cut = verify_log(lines[:-1], DEPLOYMENT, bench.log_key)
    assert cut.head != head


def test_a_chain_signed_anew_does_not_fit_the_published_head(bench, told, tmp_path):
    # Even the holder of the log's key cannot tell another past.
    head = told[3]
    other = bench.holder(tmp_path)
    other.load(bench.north.load())
    assert verify_log(other.log_lines(), DEPLOYMENT, bench.log_key).head != head
    other.close()


def test_an_answer_is_the_one_that_its_entry_commits_to(bench, told):
    _, answers, lines, _ = told
    entries = verify_log(lines, DEPLOYMENT, bench.log_key).entries
    for entry, answer in zip(entries, answers, strict=True):
        check_answer(entry, json.dumps(answer).encode())
    lie = {**answers[0], "import_mwh": answers[0]["import_mwh"] + 1}
    for wrong in (lie, answers[1], {**answers[0], "opening": "A" * 22}, {}, []):
        with pytest.raises(LogBroken):
            check_answer(entries[0], json.dumps(wrong).encode())


def test_two_equal_sums_have_unequal_commitments(bench, north, tmp_path):
    holder = bench.holder(tmp_path)
    for at in range(2):
        holder.answer(load_request(north.load(MARCH + at * INTERVAL)))
    first, second = verify_log(holder.log_lines(), DEPLOYMENT, bench.log_key).entries
    assert first.commitment != second.commitment
    holder.close()
