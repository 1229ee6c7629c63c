"""Runs the official vectors through the firmware: `micropython tests/micropython/vectors.py DIR`.

DIR holds `wycheproof/` and `ccm_nist/`. Prints a line of counts per set; exits with 1 when a case is wrong.
"""

import json
import sys
from binascii import unhexlify

ROOT = __file__.rsplit("/", 3)[0] if __file__.count("/") > 2 else "."
sys.path.insert(0, ROOT)

from firmware.meter.seal import Ccm  # noqa: E402 - the path has to be set first
from protocol.keychain import hmac_sha256  # noqa: E402

CCM_SETS = ("wycheproof/aes_ccm_test.json", "ccm_nist/aes_ccm_nist_rfc3610.json")
HMAC_SET = "wycheproof/hmac_sha256_test.json"
REFUSED_KEY_BYTES = 24


class Tally:
    """Counts of one set: right, wrong, and how many of the right ones were refused 192-bit keys."""

    def __init__(self, name):
        self.name = name
        self.right = 0
        self.refused_192 = 0
        self.wrong = []

    def judge(self, name, is_right, key_bytes=0):
        if not is_right:
            self.wrong.append(name)
        elif key_bytes == REFUSED_KEY_BYTES:
            self.refused_192 += 1
        else:
            self.right += 1

    def __str__(self):
        return (
            f"{self.name}: {self.right} right, {self.refused_192} refused (192-bit), "
            f"{len(self.wrong)} wrong {self.wrong[:5] or ''}"
        )


def outcome(call, *arguments):
    """Return what a call gives, or None when it refuses."""
    try:
        return call(*arguments)
    except ValueError:
        return None


def ccm_case(ccm, tag_bytes, key, nonce, aad, sealed, plaintext):
    """Say whether a case is right; ``plaintext`` None: it must be refused."""
    try:
        cipher = ccm(tag_bytes)
    except ValueError:
        return plaintext is None
    if len(key) == REFUSED_KEY_BYTES:
        return (
            outcome(cipher.open, key, nonce, sealed, aad) is None
            and outcome(cipher.seal, key, nonce, plaintext or b"", aad) is None
        )
    if outcome(cipher.open, key, nonce, sealed, aad) != plaintext:
        return False
    return plaintext is None or outcome(cipher.seal, key, nonce, plaintext, aad) == sealed


def run_wycheproof(directory, ccm=Ccm):
    tally = Tally(CCM_SETS[0])
    for group in load(directory, CCM_SETS[0])["testGroups"]:
        for case in group["tests"]:
            key = unhexlify(case["key"])
            is_right = ccm_case(
                ccm,
                group["tagSize"] // 8,
                key,
                unhexlify(case["iv"]),
                unhexlify(case["aad"]),
                unhexlify(case["ct"] + case["tag"]),
                unhexlify(case["msg"]) if case["result"] == "valid" else None,
            )
            tally.judge(f"tcId {case['tcId']}", is_right, len(key))
    return tally


def run_nist(directory, ccm=Ccm):
    tally = Tally(CCM_SETS[1])
    content = load(directory, CCM_SETS[1])
    for case in content["vectors"]:
        key = unhexlify(case["key"])
        is_right = ccm_case(
            ccm,
            case["tag_len"],
            key,
            unhexlify(case["nonce"]),
            unhexlify(case["aad"]),
            unhexlify(case["ct_tag"]),
            unhexlify(case["pt"]) if case["result"] == "valid" else None,
        )
        tally.judge(case["name"], is_right, len(key))
    for rule in content["length_rules"]:
        tally.judge(rule["name"], accepts(ccm, rule) == rule["ok"])
    return tally


def accepts(ccm, rule):
    try:
        sealed = ccm(rule["tag_len"]).seal(
            bytes(16), bytes(rule["nonce_len"]), bytes(rule["msg_len"]), bytes(rule["aad_len"])
        )
    except ValueError:
        return False
    return len(sealed) == rule["msg_len"] + rule["tag_len"]


def run_hmac(directory):
    tally = Tally(HMAC_SET)
    for group in load(directory, HMAC_SET)["testGroups"]:
        for case in group["tests"]:
            tag = hmac_sha256(unhexlify(case["key"]), unhexlify(case["msg"]))[: group["tagSize"] // 8]
            is_right = (tag == unhexlify(case["tag"])) == (case["result"] == "valid")
            tally.judge(f"tcId {case['tcId']}", is_right)
    return tally


def load(directory, name):
    with open(directory + "/" + name) as file:
        return json.load(file)


def main(arguments):
    if len(arguments) != 1:
        print("usage: micropython tests/micropython/vectors.py DIR", file=sys.stderr)
        return 2
    wrong = 0
    for run in (run_wycheproof, run_nist, run_hmac):
        tally = run(arguments[0])
        print(tally)
        wrong += len(tally.wrong)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
