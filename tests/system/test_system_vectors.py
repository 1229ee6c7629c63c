"""The browser's own cryptography against official vectors: CCM of Wycheproof and NIST, HPKE of RFC 9180."""

import json
import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = "const from = (name) => import(new URL('/static/' + name, location.href).href);"
HEX = "const bytes = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));"
SAME = "const same = (a, b) => a.length === b.length && a.every((byte, i) => byte === b[i]);"


def shared_vectors(name):
    places = [Path(os.environ["HUSHMETER_SHARED"])] if "HUSHMETER_SHARED" in os.environ else []
    for place in [*places, ROOT.parent / "shared"]:
        if (place / "vectors").is_dir():
            return json.loads((place / "vectors" / name).read_text())
    raise AssertionError("no official vectors: neither $HUSHMETER_SHARED/vectors nor ../shared/vectors exists")


def own_vectors(name):
    return json.loads((ROOT / "tests" / "vectors" / name).read_text())


@pytest.fixture
def page(browser, served):
    browser.fresh()
    browser.open(f"{served.url}/portal/")
    yield browser
    assert browser.complaints() == []


RUN_CCM = (
    MODULES
    + HEX
    + SAME
    + """
    const { Ccm } = await from(given[1]);
    const attempt = (what) => { try { return what(); } catch { return null; } };
    const faults = [];
    for (const [name, tagLength, key, nonce, aad, text, both, valid] of given[0]) {
      const [k, n, a, t, b] = [key, nonce, aad, text, both].map(bytes);
      const opened = attempt(() => new Ccm(k, tagLength).open(n, b, a));
      let right = valid ? opened !== null && same(opened, t) : opened === null;
      if (valid) {
        const sealed = attempt(() => new Ccm(k, tagLength).seal(n, t, a));
        right &&= sealed !== null && same(sealed, b);
      }
      if (!right) faults.push(name);
    }
    return faults;
    """
)


def wycheproof_cases():
    return [
        [
            case["tcId"],
            group["tagSize"] // 8,
            case["key"],
            case["iv"],
            case["aad"],
            case["msg"],
            case["ct"] + case["tag"],
            case["result"] == "valid",
        ]
        for group in shared_vectors("wycheproof/aes_ccm_test.json")["testGroups"]
        for case in group["tests"]
    ]


def nist_cases():
    return [
        [
            case["name"],
            case["tag_len"],
            case["key"],
            case["nonce"],
            case["aad"],
            case["pt"] if case["result"] == "valid" else "",
            case["ct_tag"],
            case["result"] == "valid",
        ]
        for case in shared_vectors("ccm_nist/aes_ccm_nist_rfc3610.json")["vectors"]
    ]


def test_every_wycheproof_case_comes_out_right(page):
    cases = wycheproof_cases()
    assert len(cases) == 552
    assert page.run(RUN_CCM, cases, "ccm.js") == []


def test_every_nist_and_rfc_3610_case_comes_out_right(page):
    cases = nist_cases()
    assert len(cases) == 337
    assert page.run(RUN_CCM, cases, "ccm.js") == []


def test_lengths_that_ccm_does_not_allow_are_refused(page):
    rules = shared_vectors("ccm_nist/aes_ccm_nist_rfc3610.json")["length_rules"]
    # Mbed TLS stops at associated data of 0xFF00 bytes; SP 800-38C goes on with a longer encoding.
    rules = [rule for rule in rules if rule["aad_len"] != 0xFF00]
    code = """
    const { Ccm } = await from("ccm.js");
    return given[0].map((rule) => {
      try {
        new Ccm(new Uint8Array(16), rule.tag_len).seal(
          new Uint8Array(rule.nonce_len), new Uint8Array(rule.msg_len), new Uint8Array([97]));
        return true;
      } catch { return false; }
    });
    """
    assert page.run(MODULES + code, rules) == [rule["ok"] for rule in rules]


def test_the_vectors_notice_a_ccm_that_ignores_the_last_byte_of_the_tag(page):
    code = RUN_CCM.replace(
        "const { Ccm } = await from(given[1]);",
        """const right = await from(given[1]);
        class Ccm extends right.Ccm {
          #tag;
          constructor(key, tag) { super(key, tag); this.#tag = tag; }
          open(n, sealed, a) {
            for (let last = 0; last < 256; last++) {
              const tried = sealed.slice();
              tried[tried.length - 1] = last;
              try { return super.open(n, tried, a); } catch {}
            }
            throw new Error();
          }
        }""",
    )
    assert len(page.run(code, wycheproof_cases(), "ccm.js")) == 12


def test_hpke_of_rfc_9180_comes_out_right(page):
    """Our KEM and KDF with AES-GCM: the RFC has them with 128-bit keys; 256 bits differ in the key's length alone."""
    vectors = shared_vectors("hpke/rfc9180_appendix_a.json")["vectors"]
    (case,) = [it for it in vectors if (it["mode"], it["kem_id"], it["kdf_id"], it["aead_id"]) == (0, 0x20, 1, 1)]
    code = """
    const hpke = await from("vendor/hpke.js");
    const [it] = given;
    const suite = new hpke.CipherSuite(
      { kem: new hpke.DhkemX25519HkdfSha256(), kdf: new hpke.HkdfSha256(), aead: new hpke.Aes128Gcm() });
    const pkcs8 = new Uint8Array([...bytes("302e020100300506032b656e04220420"), ...bytes(it.skRm)]);
    const privateKey = await crypto.subtle.importKey("pkcs8", pkcs8, { name: "X25519" }, false, ["deriveBits"]);
    const publicKey = await crypto.subtle.importKey("raw", bytes(it.pkRm), { name: "X25519" }, true, []);
    const context = await suite.createRecipientContext(
      { recipientKey: { privateKey, publicKey }, enc: bytes(it.enc), info: bytes(it.info) });
    let encryptions = 0;
    // The RFC prints some of a sequence: what is left out is sealed here, so that the context counts on.
    for (let number = 0; number <= Math.max(...it.encryptions.map((each) => each.seq)); number++) {
      const each = it.encryptions.find(({ seq }) => seq === number);
      if (!each) { context.incrementSeq(context._ctx); continue; }
      const opened = new Uint8Array(await context.open(bytes(each.ct), bytes(each.aad)));
      if (!same(opened, bytes(each.pt))) throw new Error("encryption " + number);
      encryptions++;
    }
    for (const each of it.exports) {
      const value = new Uint8Array(await context.export(bytes(each.exporter_context), each.L));
      if (!same(value, bytes(each.exported_value))) throw new Error("export " + each.exporter_context);
    }
    return [encryptions, it.exports.length];
    """
    assert page.run(MODULES + HEX + SAME + code, case) == [len(case["encryptions"]), len(case["exports"])]


KEYS = """
    const keys = async (secret, open) => {
      const pkcs8 = new Uint8Array([...bytes("302e020100300506032b656e04220420"), ...bytes(secret)]);
      const text = btoa(String.fromCharCode(...pkcs8));
      const pem = `-----BEGIN PRIVATE KEY-----\\n${text}\\n-----END PRIVATE KEY-----`;
      return await (await from("keyfile.js")).readKeyFile(pem, "");
    };
"""


def test_the_envelope_of_our_vectors_opens_and_the_refused_ones_do_not(page):
    book = own_vectors("envelope.json")
    code = """
    const { openRoot } = await from("sealing.js");
    const [book] = given;
    const root = await openRoot(await keys(book.customer_secret), book.envelope, bytes(book.system_title));
    const wrong = [];
    for (const it of book.refused) {
      const opened = openRoot(await keys(it.customer_secret), it.envelope, bytes(it.system_title));
      await opened.then(() => wrong.push(it.because), () => {});
    }
    return [Array.from(root, (byte) => byte.toString(16).padStart(2, "0")).join(""), wrong];
    """
    root, wrong = page.run(MODULES + HEX + KEYS + code, book)
    assert root == book["root"]
    assert wrong == []


def test_the_login_of_our_vectors_gets_its_answer_and_the_refused_ones_none(page):
    book = own_vectors("logins.json")
    code = """
    const { answerChallenge } = await from("sealing.js");
    const [book] = given;
    const answer = await answerChallenge(await keys(book.customer_secret), book.challenge, book.origin, book.account);
    const wrong = [];
    for (const it of book.refused) {
      const answered = answerChallenge(await keys(it.customer_secret), it.challenge, it.origin, it.account);
      await answered.then(() => wrong.push(it.because), () => {});
    }
    return [answer, wrong];
    """
    answer, wrong = page.run(MODULES + HEX + KEYS + code, book)
    assert answer == book["answer"]
    assert wrong == []


def test_the_chain_of_our_vectors_gives_its_detail_keys(page):
    book = own_vectors("keychain.json")["customer"]
    code = """
    const { DetailKeys } = await from("keychain.js");
    const [book] = given;
    const chain = await DetailKeys.of(bytes(book.root), book.enrolment);
    const wrong = [];
    for (const { epoch, detail } of book.chains) if (!same(await chain.at(epoch), bytes(detail))) wrong.push(epoch);
    return [wrong, await chain.at(book.enrolment - 1)];
    """
    assert page.run(MODULES + HEX + SAME + code, book) == [[], None]


def test_the_rows_of_our_vectors_open_and_the_refused_ones_do_not(page):
    book = own_vectors("rows.json")
    code = """
    const { Ccm } = await from("ccm.js");
    const { openRow } = await from("rows.js");
    const open = (it) => openRow(new Ccm(bytes(it.key)), bytes(it.row));
    const wrong = given[0].refused.filter((it) => { try { open(it); return true; } catch { return false; } });
    return [given[0].rows.map(open), wrong.map((it) => it.because)];
    """
    opened, wrong = page.run(MODULES + HEX + code, book)
    assert wrong == []
    assert len(opened) == len(book["rows"])
    for found, case in zip(opened, book["rows"], strict=True):
        fields = {name: int(value, 16) for name, value in case["body_fields"]}
        assert (found["end"], found["length"]) == (fields["end"], fields["length"])
        assert (found["importMwh"], found["exportMwh"]) == (fields["import energy"], fields["export energy"])
        assert found["quality"] == fields["quality"]
        assert found["volts"] == (None if fields["voltage"] == 0xFFFF else fields["voltage"] / 10)
        assert found["amperes"] == (None if fields["current"] == 0xFFFF else fields["current"] / 100)
        factor = fields["power factor"] - (0x10000 if fields["power factor"] > 0x7FFF else 0)
        assert found["powerFactor"] == (None if factor == 0x7FFF else factor / 1000)
