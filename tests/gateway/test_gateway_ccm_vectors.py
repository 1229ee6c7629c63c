"""The concentrator's CCM against the official vectors: Wycheproof, and NIST CAVP with RFC 3610."""

import json
import os
from pathlib import Path

import pytest
from gateway_bench import CarelessCcm

from gateway.intake import Ccm

ROOT = Path(__file__).resolve().parents[2]


def shared_vectors(name):
    places = [Path(os.environ["HUSHMETER_SHARED"])] if "HUSHMETER_SHARED" in os.environ else []
    for place in [*places, ROOT.parent / "shared"]:
        if (place / "vectors").is_dir():
            return json.loads((place / "vectors" / name).read_text())
    pytest.skip("no official vectors: neither $HUSHMETER_SHARED/vectors nor ../shared/vectors exists")


def opened(ccm, *arguments):
    try:
        return ccm.open(*arguments)
    except ValueError:
        return None


def sealed(ccm, *arguments):
    try:
        return ccm.seal(*arguments)
    except ValueError:
        return None


def wycheproof_faults(make):
    """Return (cases, the numbers of those that come out wrong, the key sizes seen)."""
    faults, cases, sizes = [], 0, set()
    for group in shared_vectors("wycheproof/aes_ccm_test.json")["testGroups"]:
        for case in group["tests"]:
            key, nonce, aad, msg, ct, tag = (bytes.fromhex(case[k]) for k in ("key", "iv", "aad", "msg", "ct", "tag"))
            ccm = make(group["tagSize"] // 8)
            valid = case["result"] == "valid"
            right = opened(ccm, key, nonce, ct + tag, aad) == (msg if valid else None)
            if valid:
                right &= sealed(ccm, key, nonce, msg, aad) == ct + tag
            faults += [] if right else [case["tcId"]]
            cases += 1
            sizes.add(len(key))
    return cases, faults, sizes


def nist_faults(make):
    faults = []
    vectors = shared_vectors("ccm_nist/aes_ccm_nist_rfc3610.json")["vectors"]
    for case in vectors:
        key, nonce, aad, both = (bytes.fromhex(case[k]) for k in ("key", "nonce", "aad", "ct_tag"))
        ccm = make(case["tag_len"])
        text = bytes.fromhex(case["pt"]) if case["result"] == "valid" else None
        right = opened(ccm, key, nonce, both, aad) == text
        if text is not None:
            right &= sealed(ccm, key, nonce, text, aad) == both
        faults += [] if right else [case["name"]]
    return len(vectors), faults


def test_every_wycheproof_case_comes_out_right():
    assert wycheproof_faults(Ccm) == (552, [], {16, 24, 32})


def test_every_nist_and_rfc_3610_case_comes_out_right():
    assert nist_faults(Ccm) == (337, [])


def test_lengths_that_ccm_does_not_allow_are_refused():
    for rule in shared_vectors("ccm_nist/aes_ccm_nist_rfc3610.json")["length_rules"]:
        lengths = (bytes(rule[name]) for name in ("nonce_len", "msg_len", "aad_len"))
        made = sealed(Ccm(rule["tag_len"]), bytes(16), *lengths)
        assert (made is not None) == rule["ok"], rule["name"]


def test_the_vectors_notice_a_ccm_that_ignores_the_last_byte_of_the_tag():
    assert len(wycheproof_faults(CarelessCcm)[1]) == 12
