"""What the utility says of itself: the threat model's own words, and the hash of what browsers really get."""

import hashlib
import re
import subprocess
import sys
from html import unescape
from pathlib import Path

from mdms.portal.bundle import read_bundle
from mdms.portal.honesty import read_words

ROOT = Path(__file__).resolve().parents[2]
MODEL = (ROOT / "docs" / "threat-model.md").read_text()


def section(title):
    return re.search(rf"^## {title}\n(.*?)^## ", MODEL, re.M | re.S)[1]


def table(text):
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines][1:]


def joined(text):
    return re.sub(r"\s+", " ", text)


def test_the_page_says_what_the_threat_model_says():
    parties, limits = read_words()
    assert [row[0] for row in table(section("Parties"))] == [party.party for party in parties]
    plain = section("In plain words")
    assert table(plain) == [[party.who, party.sees, party.sees_not] for party in parties]
    assert re.findall(r"^- (.*)$", plain, re.M) == [limit.says for limit in limits]
    unsolved = joined(section("What is not solved"))
    for limit in limits:
        assert f"**{limit.title}" in unsolved, limit.title


def test_everyone_may_read_it_and_the_front_page_and_the_portal_lead_to_it(pages):
    client = pages.client()
    page = unescape(client.get("/portal/honesty").text)
    parties, limits = read_words()
    for text in [text for party in parties for text in (party.who, party.sees, party.sees_not)]:
        assert text in page
    for limit in limits:
        assert limit.says in page
    assert "A malicious server could change this page" in page
    for other in ("/", "/portal/"):
        assert 'href="/portal/honesty"' in client.get(other).text


def test_the_page_the_command_and_what_is_sent_have_one_hash(pages):
    client = pages.client()
    shown = re.search(r'id="bundle">([0-9a-f]{64})<', client.get("/portal/honesty").text)[1]
    run = [sys.executable, "-m", "mdms", "bundle-hash"]
    printed = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout
    listed = subprocess.run([*run, "--list"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout
    assert printed == shown + "\n"
    assert client.get("/portal/scripts.sha256").text == listed
    assert hashlib.sha256(listed.encode()).hexdigest() == shown
    sent = [line.split("  ") for line in listed.splitlines()]
    assert len(sent) > 20
    for digest, name in sent:
        assert hashlib.sha256(client.get(f"/static/{name}").get_data()).hexdigest() == digest, name


def test_no_script_is_left_out_and_no_page_names_another(pages):
    static = ROOT / "mdms" / "static"
    names = {name for name, _ in read_bundle().scripts}
    assert names == {
        path.relative_to(static).as_posix() for path in static.rglob("*") if path.suffix in (".js", ".mjs")
    }
    for address, script in (("/portal/", "portal.js"), ("/portal/new-key", "ceremony.js")):
        page = pages.client().get(address).text
        assert re.findall(r'<script[^>]* src="([^"]+)"', page) == [f"/static/{script}"]
        assert page.count("<script") == 1
        assert f"<code>{script}</code>" in pages.client().get("/portal/honesty").text
    for name in names:
        for other in re.findall(r'(?:from|import|URL\()\s*\(?"(\./[^"]+)"', (static / name).read_text()):
            assert ((static / name).parent / other).resolve().relative_to(static).as_posix() in names, (name, other)


def test_one_changed_byte_or_one_file_more_is_another_hash(tmp_path):
    (tmp_path / "vendor").mkdir()
    for name in ("a.js", "vendor/b.js"):
        (tmp_path / name).write_text("one();\n")
    before = read_bundle(tmp_path)
    assert [name for name, _ in before.scripts] == ["a.js", "vendor/b.js"]
    (tmp_path / "vendor" / "b.js").write_text("two();\n")
    changed = read_bundle(tmp_path)
    (tmp_path / "c.js").write_text("")
    assert len({before.hash, changed.hash, read_bundle(tmp_path).hash}) == 3
