"""Our own vectors: made anew to the byte, held by other libraries, and held by the code under test.

Frames, rows, lines and keys are tried on both interpreters in tests/protocol_both/test_both_vectors.py; here the
concentrator's CCM opens them.
"""

import ast
import hmac
import importlib.util
import os
import subprocess
import sys

import msgspec
import pytest
from Crypto.PublicKey import ECC
from Crypto.Signature import eddsa
from cryptography.hazmat.primitives.asymmetric import ed25519
from protocol_bench import ROOT, VECTORS, joined, vectors

from gateway.intake import Ccm
from protocol import documents, envelopes, keychain, rosters, windows, wire
from protocol.documents import BadSignature, Document, DocumentError
from protocol.reports import parse_report
from scripts.make_vectors.files import render

OURS = {"protocol", "paillier", "firmware", "gateway", "mdms", "hardware", "scripts", "tests"}
GENERATOR = ROOT / "scripts" / "make_vectors"


def both_vectors():
    """Return a fresh copy of the tests that both interpreters run, with the concentrator's CCM in it."""
    path = ROOT / "tests" / "protocol_both" / "test_both_vectors.py"
    spec = importlib.util.spec_from_file_location("both_vectors_of_the_concentrator", path)
    module = importlib.util.module_from_spec(spec)
    shim = str(ROOT / "tests" / "firmware" / "shim")
    sys.path.insert(0, shim)
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(shim)
    module.CCM = Ccm()
    return module


# --- The files ----------------------------------------------------------------------------------------------------


def test_making_the_vectors_anew_gives_the_same_bytes():
    rendered = dict(render())
    assert {path.name for path in VECTORS.iterdir()} == set(rendered)
    for name, text in rendered.items():
        assert (VECTORS / name).read_bytes() == text.encode("ascii"), f"{name}: run python -m scripts.make_vectors"


def test_the_command_writes_the_same_bytes_in_another_process(tmp_path):
    command = [sys.executable, "-m", "scripts.make_vectors", str(tmp_path)]
    environment = {**os.environ, "PYTHONHASHSEED": "7", "TZ": "Pacific/Apia"}
    subprocess.run(command, cwd=ROOT, env=environment, check=True, timeout=100)
    for path in VECTORS.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


def taken_from_outside(text):
    """Return what a file of the generator imports from this repository, other than the files beside it."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] in OURS]
        elif isinstance(node, ast.ImportFrom):
            name = "." * node.level + (node.module or "")
            if node.level > 1 or name.split(".")[0] in OURS:
                found.append(name)
    return found


def test_the_generator_takes_nothing_from_the_code_under_test():
    files = sorted(GENERATOR.rglob("*.py"))
    assert GENERATOR / "__main__.py" in files
    for path in files:
        assert not taken_from_outside(path.read_text(encoding="utf-8")), path


def test_nothing_of_the_code_under_test_is_loaded_where_vectors_are_made():
    code = (
        "import sys, scripts.make_vectors.__main__;"
        f"assert not {OURS - {'scripts'}!r} & {{name.split('.')[0] for name in sys.modules}};"
        "print(*(name for name in sys.modules if name.startswith('scripts.')))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=100
    )
    loaded = ran.stdout.split()
    assert "scripts.make_vectors.frames" in loaded
    assert all(name.startswith("scripts.make_vectors") for name in loaded)


def test_a_generator_that_looks_at_the_code_is_found():
    assert taken_from_outside("import protocol.wire") == ["protocol.wire"]
    assert taken_from_outside("def late():\n    from protocol import wire") == ["protocol"]
    assert taken_from_outside("from ..sealing_meter import SealingMeter") == ["..sealing_meter"]
    assert taken_from_outside("from scripts.street import Street") == ["scripts.street"]
    assert taken_from_outside("from . import frames\nfrom .frames import seal\nimport hmac") == []


# --- Other libraries ----------------------------------------------------------------------------------------------


def test_another_library_accepts_every_signature_of_the_vectors():
    book = vectors("documents.json")
    public = ed25519.Ed25519PublicKey.from_public_bytes(bytes.fromhex(book["keys"][0]["public"]))
    for case in book["documents"]:
        signature = documents.from_base64url(case["document"]["signature"], "signature")
        public.verify(signature, joined(case["fields"]))


def test_the_chains_of_the_vectors_hold_with_the_standard_librarys_hmac():
    for name, label in (("hop", b"up"), ("customer", b"detail")):
        book = vectors("keychain.json")[name]
        value, epoch = hmac.digest(bytes.fromhex(book["root"]), b"hushmeter/v1/chain", "sha256"), book["enrolment"]
        for day in book["chains"]:
            while epoch < day["epoch"]:
                value, epoch = hmac.digest(value, b"hushmeter/v1/next", "sha256"), epoch + 1
            assert value.hex() == day["chain"]
            assert hmac.digest(value, b"hushmeter/v1/" + label, "sha256").hex() == day[label.decode()]


def test_the_concentrators_ccm_gives_what_the_frames_and_rows_say():
    module = both_vectors()
    for name in dir(module):
        if name.startswith("test_") and ("frame" in name or "row" in name):
            getattr(module, name)()


# --- Documents ----------------------------------------------------------------------------------------------------


def signing_key(book, at=0):
    return eddsa.import_private_key(bytes.fromhex(book["keys"][at]["seed"]))


def outcome(call, *arguments):
    """Return (kind, reason) of a refusal as the vectors write it, or (None, None)."""
    try:
        call(*arguments)
    except BadSignature as error:
        return "bad signature", str(error)
    except DocumentError as error:
        return "document", str(error)
    return None, None


def test_the_signers_of_the_vectors_have_the_ids_that_they_say():
    book = vectors("documents.json")
    for at, key in enumerate(book["keys"]):
        private = signing_key(book, at)
        assert documents.public_key_bytes(private).hex() == key["public"]
        assert documents.key_id(private) == key["id"]


def test_every_document_of_the_vectors_is_signed_to_the_same_bytes_and_verifies():
    book = vectors("documents.json")
    key, deployment = signing_key(book), book["deployment"]
    for case in book["documents"]:
        content = bytes.fromhex(case["content"])
        document = Document(**case["document"])
        assert documents.signed_bytes(document.type, deployment, content) == joined(case["fields"])
        assert documents.document_id(document.type, deployment, content) == case["id"]
        assert documents.sign(key, document.type, deployment, content) == document
        assert documents.verify(document, deployment, key.public_key()) == content


def test_every_refused_document_of_the_vectors_is_refused_with_its_reason():
    book = vectors("documents.json")
    key = signing_key(book)
    for case in book["refused"]:
        found = outcome(documents.verify, Document(**case["document"]), book["deployment"], key)
        assert found == (case["refused"], case["reason"]), case["because"]


def test_every_report_of_the_vectors_is_read_or_refused_with_its_reason():
    for case in vectors("documents.json")["reports"]:
        kind, reason = outcome(parse_report, case["type"], bytes.fromhex(case["content"]))
        assert kind == case.get("refused"), case["because"]
        # Behind our words stand the JSON library's, which are not ours to fix.
        assert reason == case.get("reason") or reason.startswith(case["reason"] + ": "), case["because"]


def test_reports_and_rosters_of_the_vectors_are_written_to_the_same_bytes():
    book = vectors("documents.json")
    for case in [*book["reports"], *book["rosters"]]:
        if "refused" not in case:
            content = bytes.fromhex(case["content"])
            value = (
                documents.parse(content, rosters.Roster)
                if case["type"] == "roster"
                else parse_report(case["type"], content)
            )
            assert documents.canonical_json(value) == content, case["because"]


def test_every_roster_of_the_vectors_is_opened_or_refused_with_its_reason():
    book = vectors("documents.json")
    key, deployment = signing_key(book), book["deployment"]
    for case in book["rosters"]:
        document = documents.sign(key, case["type"], deployment, bytes.fromhex(case["content"]))
        kind, reason = outcome(rosters.open_roster, document, deployment, key)
        assert kind == case.get("refused"), case["because"]
        assert reason == case.get("reason") or reason.startswith(case["reason"] + ": "), case["because"]


# --- The envelope -------------------------------------------------------------------------------------------------


def customer_key(secret):
    return ECC.construct(curve="Curve25519", seed=bytes.fromhex(secret))


def test_the_envelope_of_the_vectors_opens_to_the_root():
    book = vectors("envelope.json")
    envelope = msgspec.convert(book["envelope"], envelopes.Envelope, strict=True)
    customer = customer_key(book["customer_secret"])
    assert customer.public_key().export_key(format="raw").hex() == book["customer_public"]
    assert envelopes.fingerprint(customer) == envelope.customer_key
    assert envelopes.open_root(customer, envelope, bytes.fromhex(book["system_title"])).hex() == book["root"]
    parts = documents.from_base64url(envelope.enc, "enc") + documents.from_base64url(envelope.sealed_root, "root")
    assert parts == joined(book["fields"])
    assert joined(book["info"]) == envelopes._info(
        bytes.fromhex(book["system_title"]), envelope.pseudonym, envelope.epoch
    )


def test_every_refused_envelope_of_the_vectors_is_refused_with_its_reason():
    cases = vectors("envelope.json")["refused"]
    assert sum("low order" in case["because"] for case in cases) == 9
    for case in cases:
        envelope = envelopes.Envelope(**case["envelope"])
        found = outcome(
            envelopes.open_root, customer_key(case["customer_secret"]), envelope, bytes.fromhex(case["system_title"])
        )
        assert found == (case["refused"], case["reason"]), case["because"]


# --- Windows ------------------------------------------------------------------------------------------------------


def zone(case):
    return rosters.ZoneInfo(case["zone"])


def test_every_window_of_the_vectors_is_cut_alike():
    for case in vectors("windows.json")["stretches"]:
        expected = [(window["start"], window["end"]) for window in case["windows"]]
        assert windows.windows(case["start"], case["end"], zone(case)) == expected, (case["zone"], case["about"])
        for start, end in expected:
            for at in (start, (start + end) // 2, end - 1):
                assert windows.window_of(at, zone(case)) == (start, end), (case["zone"], at)


def test_every_period_of_the_vectors_is_cut_alike():
    for case in vectors("windows.json")["periods"]:
        found = windows.period_of(case["kind"], case["window_start"], zone(case))
        assert found == (case["start"], case["end"]), (case["zone"], case["kind"], case["wall"])


def test_zones_and_intervals_of_the_vectors_align_or_are_refused_as_they_say():
    cases = vectors("windows.json")["alignments"]
    assert {case["because"] for case in cases if "because" in case} == {
        "it does not divide 3 hours",
        "a window starts inside an interval",
    }
    for case in cases:
        span = windows.Span(case["start"], case["end"])
        if "refused" in case:
            with pytest.raises(windows.Misaligned):
                windows.check_alignment(span, case["interval_s"], zone(case))
        else:
            windows.check_alignment(span, case["interval_s"], zone(case))


def test_an_unknown_kind_of_period_is_refused():
    for case in vectors("windows.json")["refused_periods"]:
        with pytest.raises(ValueError, match=case["because"].removeprefix("no ")):
            windows.period_of(case["kind"], case["at"], zone(case))


# --- The tests of the tests ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "name", "value", "test"),
    [
        (wire, "_HEADER", "<BB8sH4sQ", "test_every_frame_of_the_vectors_is_sealed_to_the_same_bytes"),
        (wire, "_READING", ">IIIHIIqqB", "test_every_body_of_the_vectors_comes_back_as_it_went"),
        (wire, "LAYER_CUSTOMER", 1, "test_every_row_of_the_vectors_opens_and_is_sealed_to_the_same_bytes"),
        (wire, "QUALITY_MASK", 0x3F, "test_every_refused_body_of_the_vectors_is_malformed"),
        (wire, "VERDICTS", ("",) * 5, "test_every_refused_body_of_the_vectors_is_malformed"),
        (wire, "DOWNLINK_TYPES", range(256), "test_every_refused_frame_of_the_vectors_is_refused_as_they_say"),
        (wire, "MAX_ENCODED", 256, "test_every_stream_of_the_vectors_is_cut_into_the_same_frames"),
        (keychain, "NEXT", b"hushmeter/v2/next", "test_every_chain_value_and_key_of_the_vectors_is_derived_alike"),
        (keychain, "DOWN", keychain.UP, "test_every_chain_value_and_key_of_the_vectors_is_derived_alike"),
        (keychain, "TIME", keychain.HELLO, "test_the_clock_keys_of_the_vectors_are_derived_alike"),
        (keychain, "SALT", b"", "test_the_boot_salts_of_the_vectors_are_the_meters"),
    ],
)
def test_the_shared_vectors_notice_a_planted_bug(monkeypatch, module, name, value, test):
    tests = both_vectors()
    getattr(tests, test)()
    monkeypatch.setattr(module, name, value)
    with pytest.raises((AssertionError, wire.WireError, ValueError)):
        getattr(tests, test)()


def unbound(kind, deployment, content):
    return documents.LABEL + kind.encode() + deployment.encode() + content


def typeless(kind, deployment, content):
    return SIGNED_BYTES("", deployment, content)


SIGNED_BYTES = documents.signed_bytes


@pytest.mark.parametrize(
    ("module", "name", "value", "test"),
    [
        (
            documents,
            "LABEL",
            b"hushmeter/v2",
            test_every_document_of_the_vectors_is_signed_to_the_same_bytes_and_verifies,
        ),
        (documents, "KEY_LABEL", b"", test_the_signers_of_the_vectors_have_the_ids_that_they_say),
        (
            documents,
            "signed_bytes",
            unbound,
            test_every_document_of_the_vectors_is_signed_to_the_same_bytes_and_verifies,
        ),
        (documents, "signed_bytes", typeless, test_every_refused_document_of_the_vectors_is_refused_with_its_reason),
        (
            documents,
            "to_base64url",
            lambda data: "A",
            test_every_refused_document_of_the_vectors_is_refused_with_its_reason,
        ),
        (envelopes, "PURPOSE", b"", test_the_envelope_of_the_vectors_opens_to_the_root),
        (envelopes, "FINGERPRINT_LABEL", b"", test_the_envelope_of_the_vectors_opens_to_the_root),
        (windows, "WINDOW_S", 2 * 3600, test_every_window_of_the_vectors_is_cut_alike),
        (windows, "_HOURS", range(0, 24, 4), test_every_window_of_the_vectors_is_cut_alike),
    ],
)
def test_the_vectors_notice_a_planted_bug(monkeypatch, module, name, value, test):
    test()
    monkeypatch.setattr(module, name, value)
    with pytest.raises((AssertionError, DocumentError)):
        test()
