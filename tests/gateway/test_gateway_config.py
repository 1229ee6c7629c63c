"""The configuration and what stands beside it: whatever is wrong is named in one line."""

import msgspec
import pytest
from gateway_bench import IDENTITY, START, Deployment, K, Meter, public_key
from msgspec.structs import replace

from gateway.__main__ import read_identity
from gateway.config import ConfigError, load
from gateway.encryption import Settings
from gateway.enrolment import EnrolmentError
from gateway.holdings import enrolled
from gateway.intake import DataDecryption
from gateway.ledger import Ledger
from gateway.outbox import Outbox
from gateway.roll import Roll, check_served, read_neighbourhoods
from protocol import documents, rosters

NEEDED = ("deployment", "operator_key", "identity_key", "rosters", "enrolment", "ledger", "listen", "mdms_url")


@pytest.fixture
def deployment(tmp_path):
    return Deployment(tmp_path / "deployment", [Meter(0), Meter(1)])


def wrong(files, **changes):
    with pytest.raises(ConfigError) as refusal:
        load(files.write(**changes))
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


# --- Keys and values --------------------------------------------------------------------------------------------


def test_paths_are_relative_to_the_configurations_folder_and_the_rest_has_safe_defaults(deployment):
    config = load(deployment.config)
    assert config.ledger == deployment.folder / "ledger.sqlite3"
    assert (config.min_contributors, config.grace_s, config.accepted_delay_days) == (10, 300, 7)
    assert config.conductor() is None
    config = load(deployment.write(unsafe_small_key=None))
    assert config.unsafe_small_key is False


@pytest.mark.parametrize("name", NEEDED)
def test_a_missing_key_is_named(deployment, name):
    assert f"missing key '{name}'" in wrong(deployment, **{name: None})


def test_an_unknown_key_is_named(deployment):
    assert "unknown key 'min_contributers'" in wrong(deployment, min_contributers=3)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("min_contributors", "10"),
        ("min_contributors", True),
        ("min_contributors", 1),
        ("min_contributors", 2.5),
        ("grace_s", -1),
        ("accepted_delay_days", 0),
        ("commit_delay_ms", -1),
        ("max_connections", 0),
        ("accumulator", "folded"),
        ("accumulator", True),
        ("table_window_bits", -1),
        ("table_window_bits", 13),
        ("table_window_bits", "8"),
        ("exponent_bits", 319),
        ("exponent_bits", -512),
        ("exponent_bits", 512.0),
        ("pool_size", 0),
        ("pool_size", False),
        ("unsafe_small_key", 1),
        ("ledger", 5),
        ("listen", "localhost"),
        ("listen", ":80"),
        ("listen", "localhost:65536"),
        ("listen", "localhost:²"),
        ("listen", "localhost:" + "9" * 5000),
        ("mdms_url", "ftp://example.org"),
        ("mdms_url", "example.org"),
        ("mdms_url", "https://"),
        ("mdms_url", "https://example.org:99999"),
        ("mdms_url", "https://example.org:port"),
        ("mdms_url", "https://[::1"),
        ("clock", "sundial"),
    ],
)
def test_a_wrong_value_is_refused_under_its_keys_name(deployment, name, value):
    assert f"'{name}'" in wrong(deployment, **{name: value})


def test_readings_are_encrypted_strictly_unless_said_otherwise(deployment):
    assert load(deployment.config).encryption() == Settings("strict", 8, 0, 256)
    said = {"accumulator": "fold", "table_window_bits": 0, "exponent_bits": 512, "pool_size": 9}
    assert load(deployment.write(**said)).encryption() == Settings("fold", 0, 512, 9)


def test_an_exponent_that_does_not_fit_a_neighbourhoods_key_is_named_with_it(deployment):
    deployment.write(exponent_bits=320)
    with pytest.raises(ConfigError, match=r"'exponent_bits' .* north"):
        neighbourhoods(deployment)


def test_what_is_no_toml_is_refused(deployment):
    for data in (b"listen = ", b"\xff\xfe", b"a = 1\na = 2\n"):
        deployment.config.write_bytes(data)
        with pytest.raises(ConfigError, match="is not TOML"):
            load(deployment.config)
    with pytest.raises(ConfigError, match="cannot read"):
        load(deployment.folder / "none.toml")


def test_https_is_required_for_anything_but_loopback(deployment):
    for url in ("http://10.0.0.1:8600", "http://mdms.example.org", "http://127.0.0.1.example.org", "http://[::2]"):
        assert "https" in wrong(deployment, mdms_url=url)
    for url in ("http://127.0.0.1:8600", "http://localhost", "http://[::1]:8600", "https://mdms.example.org/hushmeter"):
        assert load(deployment.write(mdms_url=url)).mdms_url == url


def test_a_conducted_clock_needs_its_unsafe_flag_and_loopback(deployment):
    assert "unsafe_simulated_clock" in wrong(deployment, clock="conducted:127.0.0.1:7000")
    far = {"clock": "conducted:10.0.0.1:7000", "unsafe_simulated_clock": True}
    assert "loopback" in wrong(deployment, **far)
    near = {"clock": "conducted:127.0.0.1:7000", "unsafe_simulated_clock": True}
    assert load(deployment.write(**near)).conductor() == ("127.0.0.1", 7000)


# --- Identity, rosters, enrolment -------------------------------------------------------------------------------


def test_an_identity_that_is_none_is_named(deployment):
    path = deployment.folder / "identity.pem"
    assert documents.key_id(read_identity(path)) == documents.key_id(IDENTITY)
    for text in ("", "no key", IDENTITY.public_key().export_key(format="PEM"), "-----BEGIN PRIVATE KEY-----\n"):
        path.write_text(text)
        with pytest.raises(ConfigError, match="'identity_key'"):
            read_identity(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="'identity_key'"):
        read_identity(path)
    path.unlink()
    with pytest.raises(ConfigError, match="'identity_key': cannot read"):
        read_identity(path)


def neighbourhoods(deployment):
    return read_neighbourhoods(load(deployment.config), documents.key_id(IDENTITY))


def roster_of(deployment):
    (path,) = (deployment.folder / "rosters").iterdir()
    document = msgspec.json.decode(path.read_bytes(), type=documents.Document)
    return path, document, documents.parse(document.content_bytes(), rosters.Roster)


def test_the_newest_signed_roster_is_served(deployment):
    _, _, roster = roster_of(deployment)
    deployment.write_roster(replace(roster, version=7), "north 7")
    deployment.write_roster(replace(roster, version=3), "north 3")
    other = documents.generate_signing_key()
    deployment.write_roster(replace(roster, neighbourhood="south", concentrator=public_key(other)), "south")
    served = neighbourhoods(deployment)
    assert list(served) == ["north"]
    assert served["north"].roster.version == 7


def test_a_roster_that_the_operator_did_not_sign_is_refused_by_its_file(deployment):
    path, document, roster = roster_of(deployment)
    forged = rosters.sign_roster(documents.generate_signing_key(), "bench", roster)
    elsewhere = rosters.sign_roster(IDENTITY, "elsewhere", roster)
    for bad in (forged, elsewhere, replace(document, type="interval-load"), replace(document, signature="A" * 86)):
        path.write_bytes(msgspec.json.encode(bad))
        with pytest.raises(EnrolmentError, match=r"north\.json"):
            neighbourhoods(deployment)


def test_a_roster_that_is_no_document_is_refused(deployment):
    path, _, _ = roster_of(deployment)
    for data in (b"", b"{", b"[]", b'{"type":"\xff"}', b"\x00" * 100):
        path.write_bytes(data)
        with pytest.raises(EnrolmentError, match="rosters"):
            neighbourhoods(deployment)
    path.unlink()
    with pytest.raises(EnrolmentError, match="no roster in"):
        neighbourhoods(deployment)


def test_a_roster_that_cannot_be_served_is_refused(deployment):
    _, _, roster = roster_of(deployment)
    for changes in (
        {"interval_s": 1000},
        {"zone": "Asia/Kathmandu", "interval_s": 1800},
        {"paillier_key": "A" * 43},
        {"paillier_n": "AAAA"},
        {"zone": "Nowhere/Atlantis"},
    ):
        deployment.write_roster(replace(roster, **changes))
        with pytest.raises(EnrolmentError):
            neighbourhoods(deployment)


def test_a_small_key_is_refused_without_its_unsafe_flag(deployment):
    deployment.write(unsafe_small_key=None)
    with pytest.raises(EnrolmentError, match="2048"):
        neighbourhoods(deployment)


def take_in(deployment):
    config = load(deployment.config)
    ledger = Ledger(config.ledger)
    try:
        served = neighbourhoods(deployment)
        outbox = Outbox(ledger, IDENTITY, config.deployment)
        roll = Roll(config, documents.key_id(IDENTITY), ledger, outbox, DataDecryption(7), served)
        refused = roll.begin(START * 1000)
        if refused:
            raise EnrolmentError(refused[0])
        check_served(ledger, served)
        return enrolled.titles(ledger)
    finally:
        ledger.close()


def test_an_enrolment_record_is_taken_in_once_and_erased(deployment):
    assert take_in(deployment) == [Meter(0).title, Meter(1).title]
    assert list((deployment.folder / "enrolment").iterdir()) == []
    assert take_in(deployment) == [Meter(0).title, Meter(1).title]


def test_a_record_that_an_interrupted_start_left_behind_is_erased_at_the_next(deployment):
    take_in(deployment)
    path = deployment.folder / "enrolment" / "again.json"
    path.write_bytes(msgspec.json.encode(Meter(0).record()))
    assert take_in(deployment) == [Meter(0).title, Meter(1).title]
    assert not path.exists()


def test_a_record_that_cannot_be_taken_in_is_refused_by_its_file_and_kept(deployment):
    take_in(deployment)
    path = deployment.folder / "enrolment" / "new.json"
    another = replace(Meter(0).record(), pseudonym=Meter(1).pseudonym)
    elsewhere = replace(Meter(5).record(), neighbourhood="south")
    for record in (another, elsewhere, Meter(5).record()):
        path.write_bytes(msgspec.json.encode(record))
        with pytest.raises(EnrolmentError, match=r"new\.json"):
            take_in(deployment)
        assert path.exists()
    taken = replace(Meter(5).record(), pseudonym=Meter(1).pseudonym)
    path.write_bytes(msgspec.json.encode(taken))
    with pytest.raises(EnrolmentError, match=r"new\.json.*enrolled already"):
        take_in(deployment)


def test_a_record_that_is_none_is_refused_without_quoting_a_key(deployment):
    take_in(deployment)
    path = deployment.folder / "enrolment" / "new.json"
    record = Meter(0).record()
    for data in (
        b"",
        b"\xff",
        msgspec.json.encode(record)[:-9],
        msgspec.json.encode(replace(record, hop_chain=record.hop_chain + "g")),
        msgspec.json.encode({**msgspec.to_builtins(record), "more": record.hop_chain}),
    ):
        path.write_bytes(data)
        with pytest.raises(EnrolmentError, match=r"new\.json") as refusal:
            take_in(deployment)
        assert record.hop_chain[:16] not in str(refusal.value)


def test_a_ledger_with_a_meter_of_a_neighbourhood_without_a_roster_is_refused(deployment):
    take_in(deployment)
    _, _, roster = roster_of(deployment)
    deployment.write_roster(replace(roster, neighbourhood="south", version=2))
    with pytest.raises(EnrolmentError, match="no roster for north"):
        take_in(deployment)


def test_the_first_register_is_encrypted_and_the_first_window_holds_the_beginning(make):
    meter = Meter(since=START + 3600)
    gateway = make([meter], k=K)
    standing = enrolled.get(gateway.ledger, meter.title)
    assert (standing.next_window, standing.base_end) == (START, START + 3600)
    assert len(standing.base_register) == gateway.place.era(START).public_key.ciphertext_bytes
