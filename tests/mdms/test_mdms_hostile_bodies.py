"""The door under attack: whatever is sent, the answer is JSON with a reason and never a 5xx."""

import gzip
import json

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError

from mdms.ingest import routes
from mdms.problems import PROBLEM_JSON
from protocol.reports import Batch

PATH = "/api/v1/reports"
JSON = "application/json"

NOT_A_BATCH = {
    "nothing": b"",
    "5,000 digits": b'{"reports": ' + b"9" * 5000 + b"}",
    "5,000 digits in a list": b'{"reports": [' + b"9" * 5000 + b"]}",
    "lists a hundred thousand deep": b"[" * 100_000,
    "objects a hundred thousand deep": b'{"reports":' * 50_000,
    "deep in an unknown member": b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "not UTF-8": b'{"reports": ["\xff\xfe"]}',
    "not UTF-8 in a member": b'{"reports":[{"type":"\xff","content":"","signer":"","signature":""}]}',
    "half a surrogate": b'{"reports":[{"type":"\\ud800","content":"","signer":"","signature":""}]}',
    "UTF-16": '{"reports": []}'.encode("utf-16"),
    "a float": b'{"reports": 1.5}',
    "not a number": b'{"reports": NaN}',
    "an infinite float": b'{"reports": 1e999}',
    "no reports": b'{"reports": []}',
    "101 reports": b'{"reports": [' + b",".join([b"{}"] * 101) + b"]}",
    "a wrong type": b'{"reports": "all of them"}',
    "null": b"null",
    "an unknown member with an endless name": b'{"' + b"x" * 500_000 + b'": 1}',
    "an unknown member": b'{"reports": [], "and": 1}',
    "a report that lacks all": b'{"reports": [{}]}',
    "two values": b"{}{}",
    "a body cut off": b'{"reports": [{"type": "interval-load", "cont',
}


@pytest.mark.parametrize("name", NOT_A_BATCH)
def test_what_is_no_batch_is_a_400_with_a_reason(web, name):
    answer = web.client.post(PATH, data=NOT_A_BATCH[name], content_type=JSON)
    assert (answer.status_code, answer.mimetype) == (400, PROBLEM_JSON)
    assert 0 < len(answer.get_json()["detail"]) < 300


def test_a_body_above_a_mebibyte_is_a_413(web):
    for body in (b" " * (1 << 20) + b" ", b'{"reports": "' + b"A" * (1 << 20) + b'"}'):
        answer = web.client.post(PATH, data=body, content_type=JSON)
        assert (answer.status_code, answer.mimetype) == (413, PROBLEM_JSON)


def test_a_compressed_body_is_a_415_and_is_not_unfolded(web):
    bomb = gzip.compress(b" " * (64 << 20))
    for encoding in ("gzip", "deflate", "br", "gzip, gzip", "x"):
        headers = {"Content-Encoding": encoding}
        answer = web.client.post(PATH, data=bomb, content_type=JSON, headers=headers)
        assert (answer.status_code, answer.mimetype) == (415, PROBLEM_JSON)


def test_another_content_type_is_a_415(web, north):
    body = msgspec.json.encode(Batch([north.load()]))
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "/"):
        answer = web.client.post(PATH, data=body, content_type=content_type)
        assert (answer.status_code, answer.mimetype) == (415, PROBLEM_JSON)
    answer = web.client.post(PATH, data=body, content_type="application/json; charset=utf-8")
    assert answer.status_code == 200


def test_other_methods_and_paths_are_refused_in_json(web):
    for method, path, code in (("GET", PATH, 405), ("PUT", PATH, 405), ("POST", "/", 404), ("GET", "/x/%00", 404)):
        answer = web.client.open(path, method=method)
        assert (answer.status_code, answer.mimetype) == (code, PROBLEM_JSON)


def test_health_is_told(web):
    assert web.client.get("/healthz").get_json() == {"status": "ok"}


def test_a_storage_that_fails_is_a_503_so_that_the_reports_are_sent_again(web, north, monkeypatch):
    def fail(*_):
        raise OperationalError("insert", {}, Exception("database or disk is full"))

    monkeypatch.setattr(routes, "admit", fail)
    answer = web.post([north.load()])
    assert (answer.status_code, answer.mimetype) == (503, PROBLEM_JSON)
    assert "disk" not in answer.get_data(as_text=True)


_text = st.text(max_size=60)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | _text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_text, inner, max_size=4),
    max_leaves=12,
)
_document = st.fixed_dictionaries({"type": _text, "content": _text, "signer": _text, "signature": _text})


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=200) | _json.map(lambda value: json.dumps(value).encode()))
def test_no_body_makes_the_door_fail(web, body):
    assert web.client.post(PATH, data=body, content_type=JSON).status_code in (200, 400)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(items=st.lists(_document, min_size=1, max_size=5))
def test_no_document_makes_the_door_fail(web, items):
    answer = web.client.post(PATH, data=json.dumps({"reports": items}).encode(), content_type=JSON)
    # A lone half of a surrogate is no JSON text; everything else gets its verdicts.
    if answer.status_code == 200:
        assert [item["verdict"] for item in answer.get_json()["verdicts"]] == ["refused"] * len(items)
    else:
        assert answer.status_code == 400


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.dictionaries(st.sampled_from(["type", "content", "signer", "signature"]), _text, min_size=1))
def test_a_report_with_any_member_changed_is_not_stored(web, north, changes):
    document = msgspec.structs.replace(north.load(), **changes)
    body = msgspec.json.encode({"reports": [msgspec.to_builtins(document)]})
    answer = web.client.post(PATH, data=body, content_type=JSON)
    assert answer.status_code in (200, 400)
    if answer.status_code == 200:
        [item] = answer.get_json()["verdicts"]
        assert item["verdict"] == "refused"
