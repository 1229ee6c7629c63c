"""Recovery shares: any t restore, fewer know nothing, and a slip of the pen is found where it is."""

import copy
import itertools
import pickle
import re

import pytest
from Crypto.Protocol.SecretSharing import Shamir
from hypothesis import given, settings
from hypothesis import strategies as st

from paillier import BadShare
from paillier.private import recovery
from paillier.private.key import PrivateKey, generate_keypair
from paillier.private.recovery import RecoveryShare, restore, split


@pytest.fixture(scope="module")
def shares(private_key):
    """Five shares, any three of which restore."""
    return split(private_key, 3, 5)


def changed(share, **changes):
    return RecoveryShare(**{name: changes.get(name, getattr(share, name)) for name in RecoveryShare.__slots__})


def tampered(share):
    return changed(share, data=bytes([share.data[0] ^ 1]) + share.data[1:])


def test_any_three_of_five_restore_the_key(private_key, shares):
    for chosen in itertools.permutations(shares, 3):
        assert restore(chosen, private_key.public) == private_key
    assert restore(shares, private_key.public) == private_key


@pytest.mark.parametrize(("threshold", "total"), [(2, 2), (2, 20), (7, 7), (20, 20)])
def test_the_ends_of_the_range_restore(private_key, threshold, total):
    made = split(private_key, threshold, total)
    assert [share.number for share in made] == list(range(1, total + 1))
    assert restore(made[total - threshold :], private_key.public) == private_key


@pytest.mark.parametrize(("threshold", "total"), [(1, 5), (0, 5), (3, 2), (2, 21), (21, 21), (-1, -1)])
def test_another_number_of_shares_is_a_mistake(private_key, threshold, total):
    with pytest.raises(ValueError, match="at most 20 shares"):
        split(private_key, threshold, total)


def test_keys_of_other_lengths_and_shapes_are_split():
    for key in (generate_keypair(270, unsafe_small_key=True), PrivateKey(2**127 - 1, 2**521 - 1)):
        assert restore(split(key, 2, 3)[1:], key.public) == key


def test_a_key_of_3072_bits_goes_through_paper(full_key):
    texts = [share.to_text("elm-street") for share in split(full_key, 3, 5)]
    read = [RecoveryShare.from_text(texts[i]) for i in (4, 0, 2)]
    assert restore(read, full_key.public) == full_key
    assert len(texts[0].splitlines()) == 6 + 13


# --- Fewer know nothing -----------------------------------------------------------------------------------------


def test_two_of_three_shares_fit_every_secret(private_key, shares):
    """For each secret there is a third share that restores it: the two that are known rule none out."""
    known = [(share.number, share.data[: recovery.BLOCK_BYTES]) for share in shares[:2]]
    for secret in (bytes(16), b"\xff" * 16, b"any other secret"):
        # The polynomial through both and the secret at 0, at 3: moved there, as adding is XOR in this field.
        third = Shamir.combine([(x ^ 3, y) for x, y in [*known, (0, secret)]])
        assert Shamir.combine([*known, (3, third)]) == secret
    true = private_key.p.to_bytes(32, "big")[:16]
    assert Shamir.combine([(x ^ 3, y) for x, y in [*known, (0, true)]]) == shares[2].data[:16]


def test_shares_of_one_key_are_drawn_anew_each_time(private_key, shares):
    again = split(private_key, 3, 5)
    assert again[0].split_id != shares[0].split_id
    assert all(one.data[:16] != other.data[:16] for one, other in zip(again, shares, strict=True))


def test_no_share_holds_a_block_of_the_factor(private_key, shares):
    p = private_key.p.to_bytes(32, "big")
    assert not any(block in share.data for share in shares for block in (p[:16], p[16:]))


def test_too_few_shares_are_refused_with_the_number_that_is_missing(private_key, shares):
    with pytest.raises(BadShare, match="3 shares are needed and 2 were given: bring 1 more"):
        restore(shares[:2], private_key.public)
    with pytest.raises(BadShare, match="no shares"):
        restore([], private_key.public)


def test_a_lowered_threshold_restores_nothing(private_key, shares):
    with pytest.raises(BadShare, match="do not restore this key"):
        restore([changed(share, threshold=2) for share in shares[:2]], private_key.public)


# --- Wrong shares -----------------------------------------------------------------------------------------------


def test_a_share_given_twice_is_refused(private_key, shares):
    with pytest.raises(BadShare, match=r"share 2 of set \w{6} was given twice"):
        restore([shares[1], shares[0], shares[1]], private_key.public)


def test_shares_of_another_key_are_refused(private_key, shares):
    other = split(generate_keypair(512, unsafe_small_key=True), 3, 5)
    with pytest.raises(BadShare, match=r"share 3 .* is for the key"):
        restore([*shares[:2], other[2]], private_key.public)


def test_shares_of_two_splits_are_refused(private_key, shares):
    with pytest.raises(BadShare, match="not made together"):
        restore([*shares[:2], split(private_key, 3, 5)[2]], private_key.public)


@pytest.mark.parametrize("change", [{"threshold": 2}, {"total": 6}, {"data": bytes(16)}])
def test_a_share_that_contradicts_the_others_is_refused(private_key, shares, change):
    with pytest.raises(BadShare, match="was changed"):
        restore([*shares[:2], changed(shares[2], **change)], private_key.public)


def test_a_tampered_share_restores_nothing_and_says_what_to_do(private_key, shares):
    with pytest.raises(BadShare, match=r"shares 1, 2, 3 do not restore this key.*try another") as caught:
        restore([*shares[:2], tampered(shares[2])], private_key.public)
    assert not any(shown(caught.value, share) for share in shares)
    assert restore([*shares[:2], shares[3]], private_key.public) == private_key


def test_an_unchecked_secret_would_be_a_wrong_key(private_key, shares):
    """pycryptodome combines whatever it is given, and a wrong secret looks like any other."""
    wrong = [(share.number, share.data[:16]) for share in (*shares[:2], tampered(shares[2]))]
    assert len(Shamir.combine(wrong)) == 16
    assert len(Shamir.combine(wrong[:2])) == 16


def test_a_trivial_factor_is_not_a_key(private_key):
    ones = [bytes(31) + b"\x01"] * 2  # the constant polynomial 1
    key = private_key.public.fingerprint[:12]
    with pytest.raises(BadShare, match="do not restore"):
        restore([RecoveryShare(x, 2, 2, key, "000000", data) for x, data in enumerate(ones, 1)], private_key.public)


@pytest.mark.parametrize("change", [{"number": 0}, {"number": 6}, {"threshold": 1}, {"total": 2}, {"total": 21}])
def test_numbers_that_no_split_yields_are_refused(shares, change):
    with pytest.raises(BadShare, match="none that a split yields"):
        changed(shares[0], **change)
    with pytest.raises(BadShare, match="whole blocks"):
        changed(shares[0], data=b"short")


# --- Paper ------------------------------------------------------------------------------------------------------


def shown(message, share):
    return any(block in str(message).encode() or block.hex() in str(message) for block in (share.data[:16],))


def test_a_text_says_what_it_is_on_lines_of_40_characters(private_key, shares):
    text = shares[1].to_text("elm-street")
    assert "share 2 of 5, any 3 restore" in text
    assert private_key.public.fingerprint[:12] in text
    assert "for elm-street" in text
    assert max(len(line) for line in text.splitlines()) <= 40
    numbered = [line for line in text.splitlines() if re.match(r"\d\d  ", line)]
    assert [line[:2] for line in numbered] == ["00", "01", "02"]
    assert all(re.fullmatch(r"\d\d(?:  ?[0-9A-HJKMNP-TV-Z]{5}){6}", line) for line in numbered)


def test_a_label_cannot_pass_for_a_line(shares):
    text = shares[0].to_text("elm\n01  ABCDE\n")
    assert same(RecoveryShare.from_text(text), shares[0])


def same(one, other):
    return all(getattr(one, name) == getattr(other, name) for name in RecoveryShare.__slots__)


@settings(deadline=None)
@given(
    data=st.binary(min_size=1, max_size=64).map(lambda part: (part * 16)[: len(part) * 16]),
    numbers=st.tuples(st.integers(2, 20), st.integers(2, 20)).map(sorted),
    split_id=st.binary(min_size=3, max_size=3).map(lambda part: part.hex().upper()),
)
def test_every_share_survives_its_text(data, numbers, split_id):
    share = RecoveryShare(numbers[0], *numbers, "AAAA_-aaaaaa", split_id, data)
    assert same(RecoveryShare.from_text(share.to_text()), share)


def test_how_it_was_typed_does_not_matter(shares):
    text = shares[0].to_text()
    typed = text.lower().replace("0", "o").replace("1", "l").replace("\n", "\r\n")
    assert same(RecoveryShare.from_text(typed), shares[0])
    dense = re.sub(r"(?m)^(\d\d)  (.*)$", lambda line: f"  {line[1]}: {line[2].replace(' ', '-')} ", text)
    assert same(RecoveryShare.from_text(dense), shares[0])
    assert same(RecoveryShare.from_text("\n".join(reversed(text.splitlines()))), shares[0])
    only_numbered = "\n".join(line for line in text.splitlines() if line[:1].isdigit())
    assert same(RecoveryShare.from_text(only_numbered), shares[0])


@pytest.mark.parametrize("line", [0, 1, 2])
@pytest.mark.parametrize("column", [4, 18, 32, 38])
def test_a_mistyped_line_is_named(shares, line, column):
    lines = numbered_lines(shares[0])
    letter = lines[line][column]
    lines[line] = lines[line][:column] + ("7" if letter != "7" else "8") + lines[line][column + 1 :]
    with pytest.raises(BadShare, match=rf"line 0{line} is mistyped"):
        RecoveryShare.from_text("\n".join(lines))


def numbered_lines(share):
    return [line for line in share.to_text().splitlines() if line[:1].isdigit()]


def test_a_missing_a_doubled_and_a_short_line_are_named(shares):
    lines = numbered_lines(shares[0])
    cases = {
        "line 00 is missing": lines[1:],
        "line 01 is missing": [lines[0], lines[2]],
        "line 02 is missing": lines[:2],
        "line 02 is there twice": [*lines, lines[2]],
        "line 01 has 29 characters": [lines[0], lines[1][:-1], lines[2]],
        "line 01 has a character": [lines[0], lines[1][:-1] + "U", lines[2]],
        "line 03, but only 2": [*lines, "03" + lines[2][2:]],
    }
    for reason, given_lines in cases.items():
        with pytest.raises(BadShare, match=reason) as caught:
            RecoveryShare.from_text("\n".join(given_lines))
        assert not any(group in str(caught.value) for line in lines for group in line.split()[1:])


def test_two_lines_that_changed_places_are_seen(shares):
    head, one, two = numbered_lines(shares[0])
    with pytest.raises(BadShare, match="line 01 is mistyped, or of another share"):
        RecoveryShare.from_text("\n".join([head, "01" + two[2:], "02" + one[2:]]))


def test_a_line_of_another_share_is_seen(shares):
    lines = numbered_lines(shares[0])
    lines[2] = numbered_lines(shares[1])[2]
    with pytest.raises(BadShare, match="line 02 is mistyped, or of another share"):
        RecoveryShare.from_text("\n".join(lines))


@settings(deadline=None)
@given(text=st.text(alphabet="0123456789OILABCXYZ -\n", max_size=200))
def test_any_text_is_read_or_refused(text):
    with pytest.raises(BadShare):
        RecoveryShare.from_text(text)


# --- Manners ----------------------------------------------------------------------------------------------------


def test_a_share_is_not_pickled_copied_changed_or_shown(shares):
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(shares[0], protocol)
    for copied in (copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="copied"):
            copied(shares[0])
    with pytest.raises(AttributeError):
        shares[0].number = 2
    assert not shown(repr(shares), shares[0])
    assert "data" not in repr(shares[0])
    assert shares[0] != changed(shares[0])  # secrets are not compared


def test_a_fault_while_splitting_is_seen(private_key, monkeypatch):
    honest = Shamir.split
    monkeypatch.setattr(
        recovery.Shamir, "split", lambda t, n, block: [(x, bytes(16) if x == n else y) for x, y in honest(t, n, block)]
    )
    with pytest.raises(BadShare):
        split(private_key, 2, 3)
