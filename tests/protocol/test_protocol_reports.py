"""What a report may say. The refusals one by one are in tests/vectors/documents.json; here is what holds for all."""

import json

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from protocol_bench import vectors

from protocol import reports
from protocol.documents import DocumentError, canonical_json, from_base64url, to_base64url
from protocol.reports import (
    BILLING_WINDOW,
    DETAIL_SEGMENT,
    INTERVAL_LOAD,
    TYPES,
    Batch,
    BatchAnswer,
    BillingWindow,
    ItemVerdict,
    pack_bitmap,
    parse_bitmap,
    parse_report,
)

GOOD = {}
for _case in vectors("documents.json")["reports"]:
    if "refused" not in _case:
        GOOD.setdefault(_case["type"], json.loads(bytes.fromhex(_case["content"])))


# --- Bitmaps ------------------------------------------------------------------------------------------------------


@given(st.integers(0, 400).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, max(n - 1, 0)), max_size=n))))
@settings(max_examples=200)
def test_a_bitmap_names_exactly_its_members(roster):
    size, members = roster
    assert parse_bitmap(pack_bitmap(members, size), size) == members


@given(st.integers(0, 70), st.binary(max_size=12))
@settings(max_examples=500)
def test_any_bitmap_is_refused_or_is_the_one_spelling_of_its_members(size, data):
    text = to_base64url(data)
    try:
        members = parse_bitmap(text, size)
    except DocumentError:
        assert len(data) != (size + 7) // 8 or int.from_bytes(data, "little") >> size
    else:
        assert pack_bitmap(members, size) == text
        assert len(members) == int.from_bytes(data, "little").bit_count()
        assert all(0 <= member < size for member in members)


@given(st.integers(1, 300), st.data())
def test_one_more_or_one_less_meter_on_the_roster_never_shifts_a_member(size, data):
    members = data.draw(st.sets(st.integers(0, size - 1)))
    other = size + data.draw(st.sampled_from([-1, 1]))
    assume(other >= 0)
    try:
        assert parse_bitmap(pack_bitmap(members, size), other) == members
    except DocumentError:
        assert (other + 7) // 8 != (size + 7) // 8 or size - 1 in members


def test_meter_i_stands_at_byte_i_div_8_and_bit_i_mod_8():
    assert from_base64url(pack_bitmap({0, 9, 15}, 17), "it") == b"\x01\x82\x00"


@pytest.mark.parametrize("member", [-1, 8, 9])
def test_a_member_outside_the_roster_is_not_packed(member):
    with pytest.raises(ValueError, match="outside the roster"):
        pack_bitmap({member}, 8)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the bitmap is not the roster's length"),
        ("_w", "the bitmap is not the roster's length"),
        ("_wMA", "the bitmap is not the roster's length"),
        ("_wc", "contributor not on the roster"),
        ("_4A", "contributor not on the roster"),
        ("_wM=", "not canonical base64url"),
        ("_wN", "not canonical base64url"),
        ("/wM", "not canonical base64url"),
        ("_w M", "not base64url"),
    ],
)
def test_a_bitmap_of_ten_that_is_not_one_is_refused(text, reason):
    with pytest.raises(DocumentError, match=reason):
        parse_bitmap(text, 10)


def lax_bitmap(text, size):
    bits = from_base64url(text, "contributors")
    return {i for i in range(len(bits) * 8) if bits[i // 8] >> i % 8 & 1}


def test_a_bitmap_whose_length_is_not_checked_would_be_seen(monkeypatch):
    monkeypatch.setattr(reports, "parse_bitmap", lax_bitmap)
    monkeypatch.setitem(globals(), "parse_bitmap", lax_bitmap)
    with pytest.raises(BaseException) as caught:
        test_any_bitmap_is_refused_or_is_the_one_spelling_of_its_members()
    assert "AssertionError" in repr(caught.value)


# --- Reports ------------------------------------------------------------------------------------------------------


def content(kind, **altered):
    return json.dumps({**GOOD[kind], **altered}).encode()


@pytest.mark.parametrize("kind", TYPES)
def test_a_report_comes_back_as_it_was_written(kind):
    report = parse_report(kind, content(kind))
    assert isinstance(report, TYPES[kind])
    assert parse_report(kind, canonical_json(report)) == report


@pytest.mark.parametrize("kind", TYPES)
def test_every_missing_member_is_refused(kind):
    for member in GOOD[kind]:
        rest = {name: value for name, value in GOOD[kind].items() if name != member}
        with pytest.raises(DocumentError, match=member):
            parse_report(kind, json.dumps(rest).encode())


WRONG = (None, True, 1.0, -1, 1 << 64, "", "x\n", "\u0000", [], {}, [[]], {"a": 1})
MAY_BE_NULL = {"ciphertext", "energy", "closing_register"}
FREE_TEXT = {"contributors", "ciphertext", "energy", "closing_register"}  # judged with roster and key at hand


@pytest.mark.parametrize("kind", TYPES)
def test_every_ill_typed_member_is_refused(kind):
    for member in GOOD[kind]:
        for value in WRONG:
            if (value is None and member in MAY_BE_NULL) or (isinstance(value, str) and member in FREE_TEXT):
                continue
            with pytest.raises(DocumentError):
                parse_report(kind, content(kind, **{member: value}))


def test_the_content_of_one_type_is_refused_as_another():
    for kind in TYPES:
        for other in TYPES:
            if other != kind:
                with pytest.raises(DocumentError):
                    parse_report(other, content(kind))


@pytest.mark.parametrize("kind", ["", "roster", "Interval-Load", "interval-load ", "x" * 1000, "customer-envelope"])
def test_an_unknown_type_is_refused_with_a_short_reason(kind):
    with pytest.raises(DocumentError, match="no such type of report") as caught:
        parse_report(kind, content(INTERVAL_LOAD))
    assert len(str(caught.value)) < 80


WINDOW = st.fixed_dictionaries(
    {
        "window_start": st.integers(0, 30_000),
        "window_end": st.integers(0, 30_000),
        "present": st.integers(0, 3),
        "expected": st.integers(0, 3),
        "register_from": st.integers(0, 2),
        "register_to": st.integers(0, 2),
        "energy": st.none() | st.just("AA"),
        "closing_register": st.none() | st.just("AA"),
    }
)


@given(WINDOW)
@settings(max_examples=500, deadline=None)
def test_a_window_is_taken_exactly_when_its_members_agree(members):
    empty = members["energy"] is None
    agree = (
        members["window_end"] - members["window_start"] >= 3 * 3600
        and empty == (members["closing_register"] is None)
        and members["present"] <= members["expected"]
        and (
            members["register_from"] == members["register_to"]
            if empty
            else members["register_from"] < members["register_to"]
        )
        and not (empty and members["present"])
    )
    try:
        report = parse_report(BILLING_WINDOW, content(BILLING_WINDOW, **members))
    except DocumentError:
        assert not agree
    else:
        assert agree
        assert isinstance(report, BillingWindow)


def test_a_window_whose_members_are_not_compared_would_be_seen(monkeypatch):
    monkeypatch.setattr(reports, "_check_window", lambda report: None)
    with pytest.raises(BaseException) as caught:
        test_a_window_is_taken_exactly_when_its_members_agree()
    assert "AssertionError" in repr(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 70_000) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(sorted(TYPES)), st.data())
@settings(max_examples=500, deadline=None)
def test_fuzz_parse_report_raises_a_document_error_only(kind, data):
    altered = data.draw(st.dictionaries(st.sampled_from(sorted(GOOD[kind])) | st.text(max_size=4), JSON, max_size=3))
    text = bytearray(json.dumps({**GOOD[kind], **altered}).encode())
    for _ in range(data.draw(st.integers(0, 2))):
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    try:
        report = parse_report(kind, bytes(text[: data.draw(st.integers(0, len(text)) | st.just(len(text)))]))
    except DocumentError:
        return
    # What was taken can be written and read again.
    assert parse_report(kind, canonical_json(report)) == report


@given(st.sampled_from(sorted(TYPES)), st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_fuzz_bytes_are_never_a_report(kind, data):
    with pytest.raises(DocumentError):
        parse_report(kind, data)


# --- Batches ------------------------------------------------------------------------------------------------------

DOCUMENT = {"type": DETAIL_SEGMENT, "content": "", "signer": "", "signature": ""}


@pytest.mark.parametrize(("count", "is_taken"), [(0, False), (1, True), (100, True), (101, False)])
def test_a_batch_holds_1_to_100_reports(count, is_taken):
    body = json.dumps({"reports": [DOCUMENT] * count}).encode()
    if is_taken:
        assert len(msgspec.json.decode(body, type=Batch).reports) == count
    else:
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(body, type=Batch)


def test_an_answer_is_written_as_the_specification_says():
    answer = BatchAnswer([ItemVerdict("ab", "stored"), ItemVerdict("cd", "refused", "bad signature")])
    assert json.loads(msgspec.json.encode(answer)) == {
        "verdicts": [
            {"id": "ab", "verdict": "stored", "reason": ""},
            {"id": "cd", "verdict": "refused", "reason": "bad signature"},
        ]
    }
