"""The agent's parts alone: opening rows, which one is the newest, what Home Assistant is told, configuration, keys."""

import json
import re
import secrets
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from Crypto.PublicKey import ECC
from home_bench import NOON, SETTINGS
from pages_bench import Customer

from protocol import wire
from protocol.documents import parse
from protocol.envelopes import Envelope
from scripts.customer_agent import home_assistant, keys
from scripts.customer_agent.configuration import Configuration, ConfigurationError, load, read_secret
from scripts.customer_agent.newest import newest
from scripts.customer_agent.opening import Opener, Reading
from scripts.customer_agent.portal import MAX_ANSWER

TITLE = b"METER000"
DETAIL = wire.Detail(NOON, 60, 1000, 4000, 1_234_567_890, 5, 2301, 145, 987, 0)


def reading(counter=1, end=NOON, salt=b"salt", title=TITLE, **changes):
    return Reading(title, salt, counter, DETAIL._replace(end=end, **changes))


# --- Opening ------------------------------------------------------------------------------------------------------


@pytest.fixture
def customer(bench):
    return Customer(bench.north, 0)


@pytest.fixture
def opener(customer, bench):
    return Opener(customer.key, parse(customer.envelope(bench.operator).content_bytes(), Envelope))


def test_rows_of_months_open_in_whatever_order(customer, opener):
    rows = [customer.row(NOON + day * 86_400, day) for day in range(100)]
    found, failed = opener.open(b"".join(reversed(rows)))
    assert failed == 0
    assert [one.detail.import_mwh for one in found] == list(reversed(range(100)))


def test_every_changed_bit_of_a_row_is_found(customer, opener):
    row = customer.row(NOON, 5)
    for bit in range(len(row) * 8):
        changed = bytearray(row)
        changed[bit // 8] ^= 1 << bit % 8
        assert opener.open(bytes(changed)) == ([], 1), bit
    assert opener.open(row)[1] == 0


def test_rows_cut_short_noise_and_many_titles_are_counted_and_no_error(customer, opener):
    row = customer.row(NOON, 5)
    assert opener.open(row[:-1]) == ([], 1)
    assert opener.open(b"") == ([], 0)
    assert opener.open(secrets.token_bytes(wire.ROW_BYTES * 50))[1] == 50
    header = wire.parse_header(row)
    noise = b"".join(
        wire.pack_header(header._replace(system_title=secrets.token_bytes(8))) + row[24:] for _ in range(20)
    )
    found, failed = opener.open(noise + row)
    assert (len(found), failed) == (1, 20)


def test_a_row_of_an_absurd_day_does_not_cost_more_than_once(customer, opener):
    row = customer.row(NOON, 5)
    header = wire.parse_header(row)
    far = wire.pack_header(header._replace(epoch=0xFFFE)) + row[24:]
    assert opener.open(far * 200) == ([], 200)
    assert len(opener._chains) == 1
    none = wire.pack_header(header._replace(epoch=wire.EPOCH_NONE)) + row[24:]
    assert opener.open(none)[1] == 1


# --- The newest ---------------------------------------------------------------------------------------------------


def test_the_counter_decides_within_a_meter_and_no_clock():
    hours_ahead = reading(counter=5, end=NOON + 36_000)
    back = reading(counter=6, end=NOON + 60)
    assert newest([hours_ahead, back], None) is back
    assert newest([back, hours_ahead], None) is back
    rebooted = reading(counter=1000, end=NOON + 120, salt=b"SALT")
    assert newest([hours_ahead, rebooted], None) is rebooted


def test_a_meter_that_lost_its_memory_goes_by_its_clock():
    before = reading(counter=1_000_000, end=NOON)
    wiped = reading(counter=1, end=NOON + 60, salt=b"SALT", import_register=5)
    assert newest([before, wiped], None) is wiped
    assert newest([reading(counter=9, end=NOON - 60, salt=b"SALT")], before) is before


def test_a_replaced_meter_goes_by_the_clock_and_the_old_ones_late_rows_change_nothing():
    old, new = reading(counter=900, end=NOON), reading(counter=1, end=NOON + 60, title=b"METER900")
    late = reading(counter=901, end=NOON + 30)
    assert newest([old, new, late], None) is new


def test_the_same_row_again_is_not_newer():
    one = reading()
    assert newest([reading()], one) is one


# --- Home Assistant -----------------------------------------------------------------------------------------------

# developers.home-assistant.io/docs/core/entity/sensor: which units a device class may have.
UNITS = {"energy": "kWh", "power": "W", "voltage": "V", "current": "A", "power_factor": None, "timestamp": None}


def test_discovery_is_what_home_assistants_documentation_wants():
    found = home_assistant.announcements(SETTINGS, TITLE, home_assistant.members(reading()))
    assert len({message.topic for message in found}) == len(home_assistant.SENSORS)
    for message in found:
        assert message.retain
        assert re.fullmatch(r"homeassistant/sensor/[a-zA-Z0-9_-]+/config", message.topic)
        config = json.loads(message.payload)
        assert message.topic.split("/")[2] == config["unique_id"]
        assert config.get("unit_of_measurement") == UNITS[config["device_class"]]
        energy = config["device_class"] == "energy"
        timestamp = config["device_class"] == "timestamp"
        assert config.get("state_class") == ("total_increasing" if energy else None if timestamp else "measurement")
        assert config["expire_after"] == 900
        assert config["availability_topic"] == "hushmeter/agent/availability"
        assert config["device"]["identifiers"] == [f"hushmeter_{TITLE.hex()}"]
        member = re.fullmatch(r"\{\{ value_json\.(\w+) \}\}", config["value_template"])[1]
        assert member in home_assistant.values(reading(), fresh=True)


def test_states_are_not_retained():
    assert not home_assistant.state(SETTINGS, reading(), fresh=True).retain


def test_energies_are_exact_to_the_last_milliwatt_hour():
    biggest = 2**64 - 1
    state = home_assistant.state(SETTINGS, reading(import_register=biggest, export_register=1), fresh=True)
    read = json.loads(state.payload, parse_float=Decimal)
    assert (read["import_kwh"] * 10**6, read["export_kwh"] * 10**6) == (biggest, 1)


@pytest.mark.parametrize(
    ("length", "import_mwh", "export_mwh", "watts"),
    [(60, 1000, 0, "60.0"), (900, 0, 250_000, "-1000.0"), (1, 1, 0, "3.6"), (60, 0, 0, "0.0"), (0, 5, 0, None)],
)
def test_power_is_the_energy_of_the_newest_row_over_its_length(length, import_mwh, export_mwh, watts):
    one = reading(length_s=length, import_mwh=import_mwh, export_mwh=export_mwh)
    power = home_assistant.values(one, fresh=True)["power_w"]
    assert power == (Decimal(watts) if watts else None)


def test_what_a_meter_does_not_measure_is_not_announced():
    blind = reading(decivolts=wire.NOT_MEASURED, centiamperes=wire.NOT_MEASURED, power_factor=wire.FACTOR_NOT_MEASURED)
    topics = {m.topic for m in home_assistant.announcements(SETTINGS, TITLE, home_assistant.members(blind))}
    assert len(topics) == 4
    assert not any("voltage" in topic or "current" in topic or "factor" in topic for topic in topics)


def test_names_are_in_both_languages():
    for sensor in home_assistant.SENSORS:
        assert set(sensor.names) == {"en", "de"}


REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "configuration.md"


def test_every_key_is_documented_with_its_default():
    section = REFERENCE.read_text().split("## agent.toml\n")[1].split("\n## ")[0]
    documented = {
        name: default.strip().strip("`")
        for name, default in re.findall(r"^\| `(\w+)` \| \w+ \| ([^|]*) \|", section, re.M)
    }
    shown = {True: "true", False: "false", None: "none", "": "empty"}
    real = {
        field.name: "required" if field.required else shown.get(field.default, str(field.default))
        for field in msgspec.structs.fields(Configuration)
    }
    assert documented == real


# --- Configuration and key ----------------------------------------------------------------------------------------

LEAST = {"server": "https://utility.example", "account": "A" * 22, "key": "me.pem"}


def write(folder, **values):
    path = folder / "agent.toml"
    path.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in {**LEAST, **values}.items()))
    return path


def test_a_small_configuration_is_enough_and_paths_are_beside_the_file(tmp_path):
    configuration = load(write(tmp_path))
    assert configuration.key == tmp_path / "me.pem"
    assert configuration.mqtt_url == ""


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"server": "http://utility.example"}, "https"),
        ({"server": "https://utility.example/portal"}, "origin"),
        ({"server": "https://Utility.example"}, "small letters"),
        ({"server": "https://utility.example:443"}, "own port"),
        ({"server": "https://user@utility.example"}, "origin"),
        ({"account": "short"}, "account"),
        ({"servr": "x"}, "servr"),
        ({"poll_s": 0}, "poll_s"),
        ({"poll_s": "5"}, "poll_s"),
        ({"topic": "a/#"}, "topic"),
        ({"discovery_prefix": "a/+/b"}, "discovery_prefix"),
        ({"language": "fr"}, "language"),
        ({"key": 5}, "key"),
        ({"operator_key": "A" * 43}, "go together"),
    ],
)
def test_a_wrong_configuration_is_refused_by_name(tmp_path, values, word):
    with pytest.raises(ConfigurationError, match=re.escape(word)):
        load(write(tmp_path, **values))


@pytest.mark.parametrize("data", [b"\xff", b"a = ", b"= 5"])
def test_what_is_no_toml_is_refused(tmp_path, data):
    (tmp_path / "agent.toml").write_bytes(data)
    with pytest.raises(ConfigurationError):
        load(tmp_path / "agent.toml")
    with pytest.raises(ConfigurationError, match="cannot read"):
        load(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("url", "more", "allowed"),
    [
        ("mqtts://broker.home", {}, ("broker.home", 8883, True)),
        ("mqtts://broker.home:1234", {}, ("broker.home", 1234, True)),
        ("mqtt://127.0.0.1", {}, ("127.0.0.1", 1883, False)),
        ("mqtt://broker.home", {}, None),
        ("mqtt://broker.home", {"mqtt_without_tls": True}, ("broker.home", 1883, False)),
        ("http://broker.home", {}, None),
        ("mqtts://broker.home/x", {}, None),
        ("mqtts://me:word@broker.home", {}, None),
        ("mqtts://broker.home:99999", {}, None),
    ],
)
def test_a_broker_beyond_this_machine_needs_tls_or_a_word(tmp_path, url, more, allowed):
    configuration = load(write(tmp_path, mqtt_url=url, **more))
    if allowed:
        assert configuration.broker() == allowed
    else:
        with pytest.raises(ConfigurationError):
            configuration.broker()


@pytest.fixture
def customer_files(tmp_path, customer):
    path = customer.key_file(tmp_path, "a word")
    path.chmod(0o600)
    word = tmp_path / "word"
    word.write_text("a word\n")
    word.chmod(0o600)
    return load(write(tmp_path, key=path.name, passphrase_file="word", account=customer.account))


def test_the_key_opens_with_its_passphrase_or_systemds_credential(customer_files, customer, tmp_path, monkeypatch):
    assert keys.read_customer_key(customer_files) == customer.key
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "passphrase").write_text("a word")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    given = load(write(tmp_path, key=customer_files.key.name))
    assert keys.read_customer_key(given) == customer.key
    path = tmp_path / "agent.toml"
    path.write_text("".join(line for line in path.read_text().splitlines(True) if not line.startswith("key")))
    with pytest.raises(ConfigurationError, match="there is no key"):
        keys.read_customer_key(load(path))
    (credentials / "customer.pem").write_bytes(customer_files.key.read_bytes())
    assert keys.read_customer_key(load(path)) == customer.key


def test_a_key_or_secret_that_others_may_read_is_refused(customer_files):
    customer_files.key.chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        keys.read_customer_key(customer_files)
    customer_files.passphrase_file.chmod(0o640)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        read_secret(customer_files.passphrase_file, "passphrase")


def test_a_wrong_passphrase_or_key_is_said_without_it(customer_files, tmp_path):
    customer_files.passphrase_file.write_text("another word")
    with pytest.raises(ConfigurationError, match="does not open it") as caught:
        keys.read_customer_key(customer_files)
    assert "another word" not in str(caught.value)
    other = tmp_path / "ed25519.pem"
    other.write_text(ECC.generate(curve="Ed25519").export_key(format="PEM"))
    other.chmod(0o600)
    with pytest.raises(ConfigurationError, match="X25519"):
        keys.read_customer_key(load(write(tmp_path, key="ed25519.pem")))
    with pytest.raises(ConfigurationError, match="needs its passphrase"):
        keys.read_customer_key(load(write(tmp_path, key=customer_files.key.name)))
    other.write_text("nothing")
    with pytest.raises(ConfigurationError, match="not a private key"):
        keys.read_customer_key(load(write(tmp_path, key="ed25519.pem")))


def test_an_answer_of_the_most_rows_is_within_the_limit():
    assert 5000 * wire.ROW_BYTES * 4 / 3 + 1000 < MAX_ANSWER
