"""The specification (protocol/README.md) and the code say the same numbers and words; what is in git names no machine.

The README is read as text: a table by its columns, a sentence by the words around its numbers. Whoever changes one
side alone turns a test red here.
"""

import ast
import json
import re
import struct
import subprocess
from pathlib import Path

import pytest

import paillier
from gateway import config, intake
from mdms import web
from mdms.keyholder import gate, messages
from protocol import documents, envelopes, keychain, reports, rosters, windows, wire

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "protocol" / "README.md").read_text(encoding="utf-8")
FLAT = " ".join(TEXT.split())


def chapter(title):
    """Return what stands under a heading, up to the next one."""
    found = re.search(rf"^##+ {re.escape(title)}[^\n]*\n(.*?)(?=^##|\Z)", TEXT, re.M | re.S)
    assert found, f"the specification has no chapter {title}"
    return found.group(1)


def tables(text):
    """Yield every table as a list of rows, without its head."""
    for block in re.findall(r"(?:^\|.*\n)+", text, re.M):
        rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in block.splitlines()]
        assert len({len(row) for row in rows}) == 1, rows[0]
        yield rows[2:]


def said(pattern, text=FLAT):
    """Return what the one place that fits ``pattern`` says."""
    found = re.findall(pattern, text)
    assert len(found) == 1, f"{pattern}: {found}"
    return found[0]


def body(name):
    """Return the table behind the words ``name (0x..)``."""
    start = re.search(rf"^{name} \(0x", TEXT, re.M).start()
    return next(tables(TEXT[start:]))


def sizes(layout):
    """Return the size of every field of a struct layout."""
    return [struct.calcsize(">" + code) for code in re.findall(r"\d*[a-zA-Z]", layout)]


def in_code(text):
    """Return the names in back quotes."""
    return re.findall(r"`([^`]+)`", text)


# --- Frames -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "layout", "total"),
    [
        (next(tables(chapter("2.1"))), wire._HEADER, wire.HEADER_BYTES),
        (body("READING"), wire._READING, wire.READING_BYTES),
        (body("DETAIL"), wire._DETAIL, wire.DETAIL_BYTES),
        (body("EVENT"), wire._EVENT, wire.EVENT_BYTES),
        (body("CONFIG"), wire._CONFIG, wire.CONFIG_BYTES),
    ],
    ids=["header", "reading", "detail", "event", "config"],
)
def test_the_fields_of_a_table_follow_each_other_and_have_the_codes_sizes(rows, layout, total):
    at = 0
    for offset, size, _ in rows:
        assert int(offset) == at
        at += int(size)
    assert [int(size) for _, size, _ in rows] == sizes(layout)
    assert at == struct.calcsize(layout) == total


@pytest.mark.parametrize(
    ("rows", "names"),
    [
        (next(tables(chapter("2.1")))[1:], wire.Header._fields),
        (body("READING"), wire.Reading._fields),
        (body("DETAIL"), wire.Detail._fields),
        (body("EVENT"), wire.Event._fields),
        (body("CONFIG"), wire.Config._fields),
    ],
    ids=["header", "reading", "detail", "event", "config"],
)
def test_the_fields_of_a_table_stand_in_the_codes_order(rows, names):
    words = {
        "salt": "boot salt",
        "counter": "invocation counter",
        "import_mwh": "import energy",
        "export_mwh": "export energy",
        "interval_s": "interval length",
        "length_s": "length",
        "detail_s": "detail length",
        "series": "register series",
        "decivolts": "voltage",
        "centiamperes": "current",
    }
    assert len(rows) == len(names)
    for (_, _, field), name in zip(rows, names, strict=True):
        assert field.startswith(words.get(name, name.replace("_", " "))), (field, name)


def test_the_header_is_24_bytes_of_version_1():
    assert int(said(r"2\.1 Header \((\d+) bytes")) == wire.HEADER_BYTES
    assert int(said(r"\| version, (\d+) \|")) == wire.VERSION
    assert int(said(r"epoch: UTC days [^|]*; (0xFFFF) in HELLO and TIME"), 16) == wire.EPOCH_NONE


def test_the_types_are_the_codes():
    found = {name: int(code, 16) for name, code in re.findall(r"\b([A-Z]{3,}) \((0x[0-9A-F]{2})\)", TEXT)}
    code = {name: getattr(wire, name) for name in ("READING", "DETAIL", "HELLO", "EVENT", "ACK", "TIME", "CONFIG")}
    assert found == code
    assert sorted(code.values()) == sorted(wire.UPLINK_TYPES + wire.DOWNLINK_TYPES)
    assert "bit 7 set on the downlink" in chapter("2.1")
    assert all((each in wire.DOWNLINK_TYPES) == bool(each & 0x80) for each in code.values())


def test_the_lengths_of_frames_and_bodies_are_the_codes():
    assert int(said(r"A frame has at most (\d+) bytes")) == wire.MAX_FRAME
    assert int(said(r"at most (\d+) bytes between two 0x00")) == wire.MAX_ENCODED
    assert int(said(r"READING \(0x01\), (\d+) bytes")) == wire.READING_BYTES
    assert int(said(r"DETAIL \(0x02\): (\d+) bytes")) == wire.DETAIL_BLOB_BYTES
    assert int(said(r"the inner seal of 2\.2 over (\d+) bytes")) == wire.DETAIL_BYTES
    assert int(said(r"header \| these 66 bytes = (\d+) bytes")) == wire.ROW_BYTES
    assert int(said(r"HELLO \(0x03\), (\d+) bytes")) == len(wire.pack_hello(0, bytes(16)))
    assert int(said(r"EVENT \(0x04\), (\d+) bytes")) == wire.EVENT_BYTES
    assert int(said(r"CONFIG \(0x83\), (\d+) bytes")) == wire.CONFIG_BYTES
    assert int(said(r"TIME \(0x82\), (\d+) bytes")) == len(wire.pack_time(0, bytes(16)))
    assert int(said(r"UTC milliseconds \((\d+)\), the HELLO's")) == 8
    assert int(said(r"challenge \((\d+) random bytes\)")) == wire.CHALLENGE_BYTES
    assert int(said(r"the HELLO's challenge \((\d+)\)")) == wire.CHALLENGE_BYTES
    assert int(said(r"CRC-32 \(IEEE 802\.3, (\d+) bytes\)")) == wire.CRC_BYTES


def test_an_acks_ranges_are_the_codes():
    most, size = said(r"ACK \(0x81\): 1 to (\d+) ranges of (\d+) bytes")
    assert (int(most), int(size)) == (wire.MAX_RANGES, wire.RANGE_BYTES)
    widths = said(r"salt \((\d)\), first counter \((\d)\), count \((\d)\), verdict \((\d):")
    assert [int(width) for width in widths] == sizes(wire._RANGE)


def test_the_verdicts_reasons_and_quality_bits_are_the_codes():
    verdicts = said(r"verdict \(1: ([^)]+)\)")
    assert verdicts == ", ".join(f"{code} {name}" for code, name in enumerate(wire.VERDICTS))
    assert [wire.STORED, wire.DUPLICATE, wire.CONFLICT, wire.QUARANTINED] == [0, 1, 2, 3]
    assert said(r"reason \(1: ([^)]+)\)") == (
        f"{wire.BOOT} boot, {wire.TIME_UNKNOWN} time unknown, {wire.PERIODIC} periodic"
    )
    bits = re.findall(r"(0x[0-9A-F]{2}) ([a-z -]+?)(?: in the interval)?(?:,| \|)", said(r"quality: (0x01 [^|]*\|)"))
    assert {name.replace(" ", "_").upper(): int(bit, 16) for bit, name in bits} == {
        "APPARENT_POWER_ONLY": wire.APPARENT_ONLY,
        "CLOCK_UNSYNCHRONISED": wire.CLOCK_UNSYNCHRONISED,
        "POWER_FAILED": wire.POWER_FAILED,
        "ESTIMATED": wire.ESTIMATED,
        "COVER_OPENED": wire.COVER_OPENED,
    }
    assert sum(int(bit, 16) for bit, _ in bits) == wire.QUALITY_MASK


def test_the_codes_of_an_event_are_the_codes():
    codes = next(table for table in tables(chapter("2.3")) if table[0][:2] == ["1", wire.EVENTS[wire.POWER_LOST]])
    assert {int(row[0]): row[1] for row in codes} == wire.EVENTS
    assert [int(row[0]) for row in codes if row[3] != "none"] == list(wire.EVENTS_WITH_TEXT)
    assert int(said(r"UTC seconds; (0x[0-9A-F]{8}) not known"), 16) == wire.TIME_NOT_KNOWN


def test_what_was_not_measured_is_the_codes():
    for field, value in (
        ("voltage", wire.NOT_MEASURED),
        ("current", wire.NOT_MEASURED),
        ("power factor", wire.FACTOR_NOT_MEASURED),
    ):
        assert int(said(rf"\| {field}, [^|]*; (0x[0-9A-F]{{4}}) not measured"), 16) == value


def test_the_seals_are_the_codes():
    rows = {row[0]: row for row in next(tables(chapter("2.2")))}
    for name, layer in (
        ("uplink", wire.LAYER_HOP),
        ("downlink", wire.LAYER_DOWN),
        ("DETAIL, inner", wire.LAYER_CUSTOMER),
    ):
        assert int(re.match(r"0x\d\d", rows[name][2]).group(), 16) == layer
    nonce, tag = said(r"(\d+)-byte nonce, (\d+)-byte tag")
    assert (int(nonce), int(tag)) == (wire.NONCE_BYTES, wire.TAG_BYTES)
    assert int(said(r"\| 0x03, random \((\d+)\) \|")) == wire.RANDOM_BYTES
    salt, counter = said(r"\| 0x01, salt \((\d)\), counter \((\d)\) \|")
    assert (int(salt), 1 + int(salt) + int(counter)) == (wire.SALT_BYTES, wire.NONCE_BYTES)
    assert f"nonce ({wire.NONCE_BYTES}), ciphertext, tag" in rows["DETAIL, inner"][1]
    assert int(said(r"The boot salt is the first (\d) bytes")) == wire.SALT_BYTES


def test_what_a_concentrator_finds_is_what_it_counts():
    counted = {name for table in tables(chapter("2.5")) for row in table for name in in_code(row[1])}
    refusals = {intake.CORRUPT, intake.UNKNOWN_METER, intake.STALE_EPOCH, intake.WRONG_KEY, intake.REVOKED}
    assert counted == refusals | set(wire.VERDICTS)
    answered = {in_code(row[1])[0] for table in tables(chapter("2.5")) for row in table if "ACK" in row[2]}
    assert answered == set(wire.VERDICTS)


# --- Keys and labels ----------------------------------------------------------------------------------------------


def labels_in(folder):
    """Return every label in the code of a folder, with the number of places that write it."""
    found = {}
    for path in sorted((ROOT / folder).rglob("*.py")):
        if "make_vectors" in path.parts:  # which reads the specification and not the code
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, bytes | str):
                value = node.value.decode("latin-1") if isinstance(node.value, bytes) else node.value
                if value.startswith("hushmeter/"):
                    found[value] = found.get(value, 0) + 1
    return found


def test_the_labels_of_the_specification_are_the_codes_and_each_is_written_once():
    code = labels_in("protocol") | {"hushmeter/v1/paillier-key": 1}  # a key's fingerprint is that library's own
    assert set(re.findall(r"hushmeter/v\d+/[a-z-]+", TEXT)) == set(code)
    assert set(code.values()) == {1}


def test_no_room_has_labels_of_its_own():
    for room in ("firmware", "gateway", "mdms", "scripts"):
        assert labels_in(room) == {}, room
    assert not set(labels_in("paillier")) & set(labels_in("protocol"))


def test_every_key_of_the_table_is_derived_under_its_label():
    derived = {}
    for name, rule in next(tables(chapter("3. Keys"))):
        for part, label in zip(name.split(", ")[: rule.count("HMAC")], in_code(rule), strict=True):
            derived[part.strip("`")] = label.encode()
    assert derived == {
        "chain[e0]": keychain.CHAIN,
        "chain[e+1]": keychain.NEXT,
        "uplink key of a day": keychain.UP,
        "downlink key of a day": keychain.DOWN,
        "detail key of a day": keychain.DETAIL,
        "hello key": keychain.HELLO,
        "time key": keychain.TIME,
    }
    assert int(said(r"two independent roots of (\d+) bytes")) == keychain.KEY_BYTES


# --- Windows, documents, reports ----------------------------------------------------------------------------------


def test_the_windows_and_delays_are_the_codes():
    assert int(said(r"\*\*billing window\*\* \((\d+) hours")) * 3600 == windows.WINDOW_S
    starts = said(r"Billing windows start at ([\d, .]+) (?:and )?o'clock|start at ([\d, .]+) o'clock")
    hours = [int(hour) for hour in re.findall(r"\d+", "".join(starts))]
    assert hours == [*list(windows._HOURS)[:3], list(windows._HOURS)[-1]]
    assert int(said(r"its epoch plus the accepted delay \((\d+) days\)")) == default("accepted_delay_days")
    assert int(said(r"interval end plus grace \(default (\d+) s\)")) == default("grace_s")
    today = said(r"epoch outside today - (\d+) \.\. today \+ 1")
    assert int(today) == default("accepted_delay_days")


def default(name):
    return next(
        field.default
        for cls in vars(config).values()
        if isinstance(cls, type) and hasattr(cls, "__dataclass_fields__")
        for field in cls.__dataclass_fields__.values()
        if field.name == name
    )


def test_a_documents_members_and_what_is_signed_are_the_codes():
    members = said(r"`\{(\"type\"[^}]*)\}`: content is base64url")
    assert tuple(re.findall(r'"(\w+)"', members)) == documents.Document.__struct_fields__
    parts = said(r"RFC 8032\) over (u32 length .*?) signer is").split(" | ")
    kind, deployment, content = "interval-load", "elm-street", b"{}"
    values = {
        f'"{documents.LABEL.decode()}"': documents.LABEL,
        "type": kind.encode(),
        "deployment": deployment.encode(),
        "content": content,
    }
    signed = b"".join(
        struct.pack(">I", len(values[parts[at + 1]])) if part == "u32 length" else values[part]
        for at, part in enumerate(parts)
    )
    assert signed == documents.signed_bytes(kind, deployment, content)


def test_the_types_verdicts_and_limits_of_reports_are_the_codes():
    assert in_code(said(r"Types (`.*?); members are in")) == list(reports.TYPES)
    assert in_code(said(r"Verdicts: (.*?)All are final")) == list(reports.FINAL)
    assert int(said(r"1 to (\d+) documents, at most 1 MiB")) == reports.MAX_BATCH
    assert web.MAX_BODY == 1 << 20
    assert re.findall(r'"(\w+)"', said(r"\{\"verdicts\": \[\{(.*?)\}")) == list(reports.ItemVerdict.__struct_fields__)


def test_the_slots_of_energies_are_the_codes():
    slots, bits, guard = said(r"(two) slots of (\d+) bits, .*?each slot's upper (\d+) bits are guard bits")
    packing = paillier.ENERGY_SLOTS
    assert (slots, int(bits), int(guard)) == ("two", packing.slot_bits, packing.guard_bits)
    assert packing.slots == 2


def strings_of(*folders):
    """Return every text that the code of some folders writes."""
    return {
        node.value
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def test_every_reason_of_a_refusal_is_one_that_the_code_gives():
    reasons = in_code(said(r"Reasons of a refusal: (.*?), or what is wrong with the content"))
    assert len(reasons) == len(set(reasons)) >= 9
    assert set(reasons) <= strings_of("mdms/ingest", "protocol")


def test_a_rosters_members_are_named():
    names = said(r"type `roster`: (.*?)\. Both the MDMS")
    words = {
        "interval_s": "interval",
        "rating_w": "rating",
        "concentrator": "the concentrator's key",
        "paillier_key": "the Paillier key",
        "paillier_n": "the Paillier key",
    }
    assert all(words.get(field, field) in names for field in rosters.Roster.__struct_fields__)
    assert said(r"the members \((.*?)\)").split(", ") == list(rosters.Member.__struct_fields__)
    assert rosters.ROSTER == "roster"


def test_the_customers_envelope_is_the_codes():
    text = " ".join(chapter("8. The customer's envelope").split())
    title, characters = said(r"system title \((\d+)\) \| pseudonym \((\d+) ASCII characters\) \| epoch \(u16\)", text)
    assert in_code(said(r"info = (`[^`]+`)", text)) == [envelopes.PURPOSE.decode()]
    info = envelopes._info(bytes(int(title)), "A" * int(characters), 0xFFFF)
    assert len(info) == len(envelopes.PURPOSE) + int(title) + int(characters) + 2
    assert f"type `{envelopes.ENVELOPE}`" in text
    assert f"`{envelopes.FINGERPRINT_LABEL.decode()}` | public key (32)" in text


# --- The release gate ---------------------------------------------------------------------------------------------

NO_DECISIONS = {messages.RELEASED, messages.UNAVAILABLE, messages.BUSY, messages.BAD_FRAME}


def gate_table():
    """Return {reason: final} of chapter 9."""
    return {in_code(reason)[0]: final for reason, _, final in next(tables(chapter("9. The release gate")))}


def test_the_gates_reasons_are_the_codes():
    code = {
        value
        for name, value in vars(messages).items()
        if name.isupper() and isinstance(value, str) and value not in NO_DECISIONS
    }
    assert set(gate_table()) == code


def test_what_may_be_asked_again_is_what_the_table_calls_not_final():
    table = gate_table()
    assert {reason for reason, final in table.items() if final.startswith("no")} == set(messages.ASK_LATER)
    assert all(final.startswith(("yes", "no")) for final in table.values())


def test_the_gates_numbers_are_the_codes():
    text = " ".join(chapter("9. The release gate").split())
    assert int(said(r"later than (\d+) h after its interval", text)) * 3600 == gate.LOAD_OPEN_S
    assert int(said(r"fewer than (\d+) windows", text)) == gate.LEAST_WINDOWS
    assert int(said(r"at most (\d+) MiB", text)) << 20 == messages.MAX_MESSAGE


def test_the_gates_requests_are_the_codes():
    text = chapter("9. The release gate")
    assert set(re.findall(r'^    \{"(\w+)":', text, re.M)) <= set(messages.Request.__struct_fields__)
    bill = said(r'\{"bill": \{(.*?): \[', " ".join(text.split()))
    assert tuple(re.findall(r'"(\w+)"', bill)) == messages.BillRequest.__struct_fields__


# --- The files ----------------------------------------------------------------------------------------------------


def test_every_module_of_the_agreement_has_a_chapter_and_every_chapter_its_module():
    named = {name for row in next(tables(TEXT)) for name in in_code(row[1]) if name.endswith(".py")}
    assert named == {path.name for path in (ROOT / "protocol").glob("*.py")} - {"__init__.py"}


MADE = {".venv", "node_modules", "__pycache__", "out", "build", ".hypothesis", ".pytest_cache", ".ruff_cache"}


def tracked():
    """Return the files of the project that are text: what git tracks, or what an unpacked archive holds."""
    if (ROOT / ".git").exists():
        listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
        paths = [ROOT / name for name in listing.decode().split("\0") if name]
    else:
        paths = [path for path in ROOT.rglob("*") if not MADE & set(path.relative_to(ROOT).parts)]
    for path in paths:
        if path.is_file() and not path.is_symlink():
            try:
                yield path, path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue


HOSTS = ("py" + "pi.org", "python" + "hosted.org", "npm" + "js.org", "npm" + "js.com", "yarn" + "pkg.com")
INDEX = re.compile(
    "|".join(re.escape(host) for host in HOSTS)
    + r"|(?:index-url|find-links|registry)\s*[=:\s]\s*[\"']?\w+://"
    + r"|https?://[^\s/\"']+/(?:simple|artifactory|nexus|api/npm|api/pypi)\b"
)
MACHINE = re.compile(
    r"(?<![\w.~/\-])/(?:home|Users|root|work|workspace|mnt|media|private)/[\w.]" + "|" + r"\b[A-Z]:\\+Users\b"
)


def test_no_file_in_git_names_the_address_of_a_package_index():
    found = [(path.relative_to(ROOT), INDEX.findall(text)) for path, text in tracked() if INDEX.search(text)]
    assert found == []


def test_no_file_in_git_names_an_absolute_path_of_a_machine():
    found = [(path.relative_to(ROOT), MACHINE.findall(text)) for path, text in tracked() if MACHINE.search(text)]
    assert found == []


def addresses(value, inside=""):
    """Yield every address in a JSON value, but not whom npm says one may thank with money."""
    if isinstance(value, dict):
        for name, member in value.items():
            if name != "funding":
                yield from addresses(member, name)
    elif isinstance(value, list):
        for member in value:
            yield from addresses(member, inside)
    elif isinstance(value, str) and "://" in value:
        yield f"{inside}: {value}"


def test_lock_files_hold_no_address():
    locks = {path.name: text for path, text in tracked() if path.name.endswith((".lock", "-lock.json"))}
    assert {"requirements.lock", "package-lock.json"} <= set(locks)
    for name, text in locks.items():
        if name.endswith(".json"):
            assert list(addresses(json.loads(text))) == [], name
            assert '"resolved"' not in text, name
        else:
            assert "://" not in text, name
            assert not re.search(r"^\s*(?:-i|-f|--[a-z-]*(?:url|links|host))\b", text, re.M), name


# --- The tests of the tests ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "test"),
    [
        ("wire.READING_BYTES", 40, test_the_lengths_of_frames_and_bodies_are_the_codes),
        ("wire.STORED", 1, test_the_verdicts_reasons_and_quality_bits_are_the_codes),
        ("wire.ESTIMATED", 0x20, test_the_verdicts_reasons_and_quality_bits_are_the_codes),
        ("wire.LAYER_DOWN", 2, test_the_seals_are_the_codes),
        ("wire.EVENT", 5, test_the_types_are_the_codes),
        ("keychain.UP", keychain.DOWN, test_every_key_of_the_table_is_derived_under_its_label),
        ("intake.STALE_EPOCH", "stale", test_what_a_concentrator_finds_is_what_it_counts),
        ("reports.FINAL", ("stored",), test_the_types_verdicts_and_limits_of_reports_are_the_codes),
        ("messages.TOO_LATE", "late", test_the_gates_reasons_are_the_codes),
        ("messages.ASK_LATER", (), test_what_may_be_asked_again_is_what_the_table_calls_not_final),
        ("gate.LEAST_WINDOWS", 27, test_the_gates_numbers_are_the_codes),
        ("documents.LABEL", b"hushmeter/v2/signed", test_a_documents_members_and_what_is_signed_are_the_codes),
    ],
)
def test_a_number_or_word_changed_in_the_code_alone_is_seen(monkeypatch, name, value, test):
    module, attribute = name.split(".")
    test()
    monkeypatch.setattr(globals()[module], attribute, value)
    with pytest.raises((AssertionError, KeyError)):
        test()


AWAY = "https:" + "//mirror.example"


def test_planted_addresses_and_paths_are_found():
    for text in (
        "--index-url " + AWAY + "/simple",
        AWAY + "/artifactory/x",
        "https://" + HOSTS[1] + "/packages/x.whl",
        "registry=" + AWAY,
    ):
        assert INDEX.search(text), text
    for path in ("home/anna/hushmeter", "Users/anna", "root/.cache", "work/main"):
        assert MACHINE.search(f'"/{path}"'), path
    for harmless in (
        "--no-emit-index-url",
        "https://docs.example/home/x",
        "GET /api/v1/reports",
        "../work/x",
        "~/work/x",
    ):
        assert not INDEX.search(harmless)
        assert not MACHINE.search(harmless)
    assert list(addresses({"a": [{"resolved": AWAY + "/x"}]}))
    assert not list(addresses({"funding": {"url": "https://author.example"}}))
