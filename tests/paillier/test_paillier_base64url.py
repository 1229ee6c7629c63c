"""One text per byte string, one per integer."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paillier import base64url


@settings(deadline=None)
@given(st.binary(max_size=100))
def test_bytes_survive_the_text(data):
    assert base64url.decode(base64url.encode(data)) == data


@settings(deadline=None)
@given(st.integers(1, 2**300))
def test_integers_survive_the_text(value):
    assert base64url.decode_integer(base64url.encode_integer(value)) == value


OTHER_SPELLINGS = {
    "padding": "QQ==",
    "impossible length": "Q",
    "trailing bits": "QR",
    "space": "Q Q",
    "newline": "QQ\n",
    "plus": "+_8",
    "slash": "/w",
    "non-ASCII": "\u00e9w",
    "inner padding": "Q=Q",
}


@pytest.mark.parametrize("text", OTHER_SPELLINGS.values(), ids=OTHER_SPELLINGS.keys())
def test_any_other_spelling_is_refused(text):
    with pytest.raises(ValueError, match="base64url"):
        base64url.decode(text)


@pytest.mark.parametrize("text", ["", "AA", "AAE"], ids=["nothing", "zero", "leading zero byte"])
def test_an_integer_that_is_not_in_its_shortest_form_is_refused(text):
    with pytest.raises(ValueError, match="shortest form"):
        base64url.decode_integer(text)


@settings(deadline=None)
@given(st.text(max_size=20))
def test_whatever_is_read_is_what_would_be_written(text):
    try:
        data = base64url.decode(text)
    except ValueError:
        return
    assert base64url.encode(data) == text
