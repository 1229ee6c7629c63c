"""Configuration: every key by name, nothing by guess, nothing unsafe without its flag."""

import pytest
from mdms_bench import MARCH, METERS, Bench, pseudonym, write_toml

from mdms.config import Address, load_keyholder_config, load_mdms_config
from mdms.errors import CannotStart, ConfigError
from mdms.rosters import RosterBook, load_rosters
from protocol.rosters import Member


@pytest.fixture
def files(bench, tmp_path):
    return bench.write(tmp_path)


def changed(path, **changes):
    """Rewrite a configuration with keys changed, or removed where the value is None."""
    lines = dict(line.split(" = ", 1) for line in path.read_text().splitlines())
    for name, value in changes.items():
        lines.pop(name, None)
        if value is not None:
            lines[name] = value
    path.write_text("".join(f"{name} = {value}\n" for name, value in lines.items()))
    return path


MDMS_KEYS = ("deployment", "database", "operator_key", "rosters", "keyholder_socket")
KEYHOLDER_KEYS = ("deployment", "operator_key", "rosters", "keys", "log_key", "database", "socket", "log_file")


def test_every_missing_key_is_named(bench, tmp_path, files):
    for path, load, keys in (
        (files[0], load_mdms_config, MDMS_KEYS),
        (files[1], load_keyholder_config, KEYHOLDER_KEYS),
    ):
        before = path.read_text()
        for key in keys:
            with pytest.raises(ConfigError, match=f"missing key: {key}$"):
                load(changed(path, **{key: None}))
            path.write_text(before)


def test_an_unknown_key_is_named(files):
    for path, load in ((files[0], load_mdms_config), (files[1], load_keyholder_config)):
        with pytest.raises(ConfigError, match=r"unknown key: listne$"):
            load(changed(path, listne='"127.0.0.1:1"'))


def test_a_value_of_a_wrong_type_is_named(files):
    wrong = {
        "min_contributors": ("true", '"10"', "10.0", "1", "0", "-5"),
        "unsafe_small_key": ("1", '"yes"'),
        "period": ('"week"', "7", '""'),
        "deployment": ("1", '""'),
        "operator_key": ('"AAAA"', '"!"'),
        "clock": ('"atomic"', '"conducted:127.0.0.1:9"', "1"),
    }
    before = files[1].read_text()
    for key, values in wrong.items():
        for value in values:
            with pytest.raises(ConfigError, match=key):
                load_keyholder_config(changed(files[1], **{key: value}))
            files[1].write_text(before)


def test_what_is_no_toml_is_one_line(tmp_path):
    path = tmp_path / "broken.toml"
    for text in (b"x = ", b"\xff", b"= 1"):
        path.write_bytes(text)
        with pytest.raises(ConfigError) as refused:
            load_mdms_config(path)
        assert "\n" not in str(refused.value)


def test_a_simulated_clock_needs_its_unsafe_flag_and_is_named_in_every_answer(files):
    conducted = '"conducted:127.0.0.1:4000"'
    for path, load in ((files[0], load_mdms_config), (files[1], load_keyholder_config)):
        with pytest.raises(ConfigError, match="unsafe_simulated_clock"):
            load(changed(path, clock=conducted))
        with pytest.raises(ConfigError, match="unsafe_simulated_clock"):
            load(changed(path, clock='"system"', unsafe_simulated_clock="true"))
        config = load(changed(path, clock=conducted, unsafe_simulated_clock="true"))
        assert config.conductor == Address("127.0.0.1", 4000)
    assert config.unsafe_flags() == ("unsafe_simulated_clock", "unsafe_small_key")


def test_defaults_are_the_safe_ones(files):
    config = load_keyholder_config(changed(files[1], unsafe_small_key=None))
    assert (config.min_contributors, str(config.period), config.unsafe_flags()) == (10, "month", ())
    assert load_mdms_config(changed(files[0], listen=None)).listen == Address("127.0.0.1", 8600)


def test_paths_are_meant_from_the_files_own_folder(files, monkeypatch, tmp_path_factory):
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    config = load_keyholder_config(files[1])
    assert config.keys == files[1].parent / "keys"
    assert config.keys.is_dir()


def test_a_missing_passphrase_file_stands_for_systemds_credential(files, monkeypatch, tmp_path):
    changed(files[1], passphrase_file=None)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(ConfigError, match="passphrase_file"):
        load_keyholder_config(files[1])
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert load_keyholder_config(files[1]).passphrase_file == tmp_path / "passphrase"


def test_an_address_is_a_host_and_a_port(files):
    for text, address in (("[::1]:80", Address("::1", 80)), ("localhost:1", Address("localhost", 1))):
        assert load_mdms_config(changed(files[0], listen=f'"{text}"')).listen == address
    for text in ("8600", ":8600", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:99999999999", "a:²"):
        with pytest.raises(ConfigError, match="listen"):
            load_mdms_config(changed(files[0], listen=f'"{text}"'))


def test_rosters_that_the_operator_did_not_sign_are_refused(bench, files):
    folder = files[0].parent / "rosters"
    assert load_rosters(folder, "bench", bench.operator).neighbourhoods() == ("north", "south")
    for operator, deployment in ((bench.north.key, "bench"), (bench.operator, "elsewhere")):
        with pytest.raises(CannotStart, match="bad signature"):
            load_rosters(folder, deployment, operator)
    (folder / "north.json").write_text("{}")
    with pytest.raises(CannotStart, match=r"north\.json"):
        load_rosters(folder, "bench", bench.operator)


def test_a_folder_without_rosters_is_refused(bench, tmp_path):
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(CannotStart, match="rosters"):
            load_rosters(folder, "bench", bench.operator)


def test_rosters_that_contradict_each_other_are_refused():
    street = Bench().north
    first, members = street.roster, street.members
    later = MARCH + 31 * 86_400
    moved = [Member(members[0].pseudonym, later), *members[1:]]
    elsewhere = Bench().south.make_roster(1, MARCH, [Member(pseudonym("north", 1), MARCH)])
    contradictions = {
        "call themselves": [first, street.make_roster(1, later, members)],
        "valid no later": [first, street.make_roster(2, MARCH, members)],
        "another time zone": [first, street.make_roster(2, later, members, zone="Europe/Berlin")],
        "moves the since": [first, street.make_roster(2, later, moved)],
        "brings back": [
            first,
            street.make_roster(2, later, members[1:]),
            street.make_roster(3, later + 86_400, members),
        ],
        "two neighbourhoods": [first, elsewhere],
        "not the key": [street.make_roster(1, MARCH, members, paillier_key=elsewhere.paillier_key)],
        "paillier_n": [street.make_roster(1, MARCH, members, paillier_n="AAAA")],
    }
    for reason, rosters in contradictions.items():
        with pytest.raises(CannotStart, match=reason):
            RosterBook(rosters)
    assert len(list(RosterBook([first]).tenancies())) == METERS


def test_a_configuration_of_another_process_is_refused(bench, tmp_path, files):
    with pytest.raises(ConfigError, match=r"missing key|unknown key"):
        load_mdms_config(files[1])
    with pytest.raises(ConfigError, match=r"missing key|unknown key"):
        load_keyholder_config(files[0])
    assert write_toml(tmp_path / "x", {"a": 1}).read_text() == "a = 1\n"
