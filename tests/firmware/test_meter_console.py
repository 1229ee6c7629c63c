"""What a meter says about itself, and what it keeps: configuration, enrolment, console. Both interpreters."""

import json

import bench
from bench import INTERVAL_S, Storage, Switch, World

from firmware import configuration, console, enrolling, status
from firmware.meter.lengths import Lengths

OTHER = b"\x08\x07\x06\x05\x04\x03\x02\x01"
TCP = {"link": "tcp", "host": "10.0.0.2", "wifi_name": "home", "pins": [34, 35]}


def raises(kind, call, *arguments):
    """Return the text of the exception that the call raises."""
    try:
        call(*arguments)
    except kind as error:
        return str(error)
    raise AssertionError("nothing was raised")


# --- The configuration --------------------------------------------------------------------------------------------


def test_a_configuration_comes_back_with_its_defaults():
    storage = Storage()
    saved = configuration.save(storage, TCP)
    loaded = configuration.load(storage)
    assert loaded == saved
    assert loaded.trouble is None
    assert loaded.values["host"] == "10.0.0.2" and loaded.values["interval_s"] == 900
    assert sorted(loaded.values) == sorted(configuration.KEYS)


def test_what_cannot_be_is_refused_by_name_and_the_old_one_kept():
    storage = Storage()
    configuration.save(storage, TCP)
    kept = dict(storage.pieces)
    for change, word in (
        ({"hots": "x"}, "hots"),
        ({"link": "radio"}, "link"),
        ({"link": "tcp", "host": ""}, "host"),
        ({"host": 5}, "host"),
        ({"port": 0}, "port"),
        ({"port": True}, "port"),
        ({"pins": [34, 35, 36]}, "pins"),
        ({"pins": ["34"]}, "pins"),
        ({"pins": 34}, "pins"),
        ({"uart_pins": [1]}, "uart_pins"),
        ({"detail_s": 7}, "detail_s"),
        ({"clamp_switch": -2}, "clamp_switch"),
        ({"clamp_switch": 35}, "clamp_switch"),
        ({"clamp_switch": 16}, "clamp_switch"),
        ({"rate_hz": 100000}, "rate_hz"),
        ({"wifi_name": "x" * 65}, "wifi_name"),
    ):
        document = dict(TCP)
        document.update(change)
        assert word in raises(configuration.Unusable, configuration.save, storage, document), change
    assert "object" in raises(configuration.Unusable, configuration.save, storage, [1])
    assert storage.pieces == kept


def test_every_damaged_byte_is_found_and_the_copy_counts():
    storage = Storage()
    good = configuration.save(storage, TCP).values
    data = storage.pieces["configuration"]
    for place in range(len(data)):
        storage.pieces["configuration"] = data[:place] + bytes((data[place] ^ 0x01,)) + data[place + 1 :]
        loaded = configuration.load(storage)
        assert loaded.values == good
        assert "copy" in loaded.trouble, place
    for length in range(len(data)):
        storage.pieces["configuration"] = data[:length]
        assert configuration.load(storage).values == good
    storage.pieces["configuration"] = b"\xff\xfe" + data
    storage.pieces["configuration.copy"] = b"null"
    lost = configuration.load(storage)
    assert lost.values["link"] == "none" and lost.trouble


def test_a_meter_that_was_never_configured_has_no_line_and_says_so():
    loaded = configuration.load(Storage())
    assert (loaded.values["link"], loaded.values["pins"]) == ("none", None)
    assert "never configured" in loaded.trouble


def test_a_power_cut_while_configuring_leaves_the_old_or_the_new_one():
    new = dict(TCP)
    new["host"] = "10.0.0.3"
    for at in (1, 2):
        for mode in bench.MODES:
            storage = Storage()
            configuration.save(storage, TCP)
            storage.switch = Switch((at,), mode)
            raises(bench.PowerCut, configuration.save, storage, new)
            storage.switch = Switch()
            loaded = configuration.load(storage)
            assert loaded.trouble is None
            assert loaded.values["host"] in ("10.0.0.2", "10.0.0.3")


# --- The enrolment ------------------------------------------------------------------------------------------------


def other_provisioning():
    given = bench.Enrolled(OTHER, bench.START // 86400).provisioning()
    assert given["system_title"] != World().enrolled.provisioning()["system_title"]
    return given


def lived():
    """Return a world whose meter has registers and waiting frames."""
    world = World()
    world.boot()
    world.settle()
    for _ in range(3):
        world.now_ms += INTERVAL_S * 1000
        while world.meter.instrument.tick(world.board.monotonic_ms()):
            pass
    assert len(world.meter.store) and world.meter.store.registers.import_mwh
    return world


def test_another_enrolment_is_refused_and_changes_nothing():
    storage = lived().storage
    kept = dict(storage.pieces)
    assert "another enrolment" in raises(ValueError, enrolling.enrol, storage, other_provisioning())
    assert storage.pieces == kept


def test_a_damaged_enrolment_never_replaces_one():
    storage = lived().storage
    kept = dict(storage.pieces)
    given = other_provisioning()
    given["hop_chain"] = "00"
    assert "hop_chain" in raises(ValueError, enrolling.enrol, storage, given, True)
    assert storage.pieces == kept


def test_the_same_enrolment_again_loses_nothing_even_when_told_to_replace():
    world = lived()
    kept = dict(world.storage.pieces)
    assert enrolling.enrol(world.storage, world.enrolled.provisioning(), True) == bench.TITLE
    assert world.storage.pieces == kept


def test_a_replacement_forgets_the_old_meter_and_keeps_the_counter():
    world = lived()
    counter = world.storage.pieces["counter"]
    asked = bench.wire.Config(1800, 1800, world.now_ms // 1000 + 3600)
    assert Lengths(world.storage, INTERVAL_S, INTERVAL_S).set(asked, world.now_ms // 1000)
    assert enrolling.enrol(world.storage, other_provisioning(), True) == OTHER
    assert world.storage.pieces["counter"] == counter
    assert bench.TITLE not in world.storage.pieces["keys"]
    world.enrolled = bench.Enrolled(OTHER, bench.START // 86400)
    world.boot()
    assert Lengths(world.storage, INTERVAL_S, INTERVAL_S).at(asked.effective_from) == (INTERVAL_S, INTERVAL_S)
    assert len(world.meter.store) == 0 and world.meter.store.registers == (0, 0)


def test_a_power_cut_anywhere_in_a_replacement_never_mixes_two_meters():
    finished = []
    for at in range(1, 8):
        for mode in bench.MODES:
            world = lived()
            storage = world.storage
            registers = world.meter.store.registers
            storage.switch = Switch((at,), mode)
            try:
                enrolling.enrol(storage, other_provisioning(), True)
            except bench.PowerCut:
                finished.append(at)
            storage.switch = Switch()
            enrolling.finish(storage)  # as every start does
            title = enrolling.title(storage)
            held = console.Store(storage)
            if title == OTHER:
                assert len(held) == 0 and held.registers == (0, 0), (at, mode)
            else:
                assert title == bench.TITLE
                assert len(held) and held.registers == registers, (at, mode)
            assert not enrolling.finish(storage)
    assert max(finished) >= 4  # the sweep met every write of it


# --- What it says -------------------------------------------------------------------------------------------------


class Printed:
    """Takes the place of the console's print."""

    def __init__(self):
        self.lines = []

    def __enter__(self):
        console.print = lambda *words: self.lines.append(" ".join(str(word) for word in words))
        return self

    def __exit__(self, *error):
        del console.print

    def one(self):
        assert len(self.lines) == 1
        return json.loads(self.lines[0])


def answered(world, question):
    settings = configuration.load(world.storage)
    return console.reply(question, world.meter, settings, world.board)


def test_a_running_meter_tells_its_state_and_nothing_that_it_measured():
    world = lived()
    said = answered(world, b"status")
    assert said["title"] == "0102030405060708"
    assert said["clock"]["utc_s"] == world.now_ms // 1000 and said["clock"]["trusted"]
    assert said["store"]["waiting"] == len(world.meter.store)
    assert said["link"]["counts"]["time"] == 1
    text = json.dumps(said)
    registers = world.meter.store.registers
    assert str(registers.import_mwh) not in text and "mwh" not in text
    for secret in world.enrolled.provisioning().values():
        assert isinstance(secret, int) or len(secret) < 32 or secret not in text


def test_the_registers_are_told_when_they_are_asked_for():
    world = lived()
    registers = world.meter.store.registers
    assert answered(world, b"registers") == {"import_mwh": registers.import_mwh, "export_mwh": registers.export_mwh}


def test_nothing_else_is_answered():
    world = lived()
    for question in (b"keys", b"", b"status;keys", b"\x01", b"STATUS"):
        assert answered(world, question) is None


def test_the_last_acknowledgement_is_told_and_forged_ones_are_not_it():
    world = lived()
    assert answered(world, b"status")["link"]["acknowledged_s_ago"] is not None  # the version's EVENT had its ACK
    world.settle()
    assert answered(world, b"status")["link"]["acknowledged_s_ago"] == 0
    world.now_ms += 60000
    world.meter.link.receive(bench.wire.encode_link(bytes(60)), world.board.monotonic_ms(), world.machine_ms)
    assert answered(world, b"status")["link"]["acknowledged_s_ago"] == 60


def test_a_look_at_a_stopped_meter_says_whose_it_is_and_what_waits():
    world = lived()
    with Printed() as printed:
        console.look(world.storage)
    said = printed.one()
    assert said["title"] == "0102030405060708" and said["keys"] == "whole"
    assert said["waiting"] == len(world.meter.store) and said["registers"] and said["counter"]


def test_a_look_at_an_empty_and_at_a_damaged_board_says_so():
    for pieces, keys in (({}, "none"), ({"keys": b"\x00" * 40}, "damaged")):
        storage = Storage()
        storage.pieces.update(pieces)
        with Printed() as printed:
            console.look(storage)
        assert printed.one()["keys"] == keys


def test_a_refusal_is_told_and_no_key_in_it():
    storage = lived().storage
    given = other_provisioning()
    with Printed() as printed:
        console.enrol(json.dumps(given), False, storage)
    assert "another enrolment" in printed.one()["refused"]
    assert given["hop_chain"] not in printed.lines[0]


class Converter:
    """Two channels: a clamp that moves and a voltage channel that is stuck."""

    channels = 2
    rate_hz = 2000

    def __init__(self):
        self._turn = 0

    def read(self, channel):
        self._turn += 1
        return 4095 if channel else 1000 + self._turn % 5

    def read_uv(self, channel):
        return None


def test_the_self_test_sees_levels_and_storage_and_sealing():
    world = lived()
    world.board.converter = Converter()
    with Printed() as printed:
        console.selftest(world.board)
    said = printed.one()
    assert said["sealing"] is True and said["storage"] is True
    assert said["levels"] == [[1000, 1001, 1004], [4095, 4095, 4095]]
    assert said["plugged"] is None
    assert said["faults"] == [
        "this meter was never configured; it counts at its board's usual pins, as an estimate, and has no line"
    ]


def test_the_self_test_finds_flash_that_forgets_and_a_wrong_cipher():
    class Forgetful(Storage):
        def replace(self, name, data):
            pass

    world = lived()
    world.board.storage = Forgetful()
    kept = console._CCM_KEY
    console._CCM_KEY = bytes(16)
    try:
        with Printed() as printed:
            console.selftest(world.board)
    finally:
        console._CCM_KEY = kept
    said = printed.one()
    assert said["sealing"] is False and said["storage"] is False


def test_levels_are_least_mean_and_greatest_of_each_channel():
    assert status.levels(Converter(), 10) == [[1000, 1002, 1004], [4095, 4095, 4095]]
