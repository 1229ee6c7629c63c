"""The calibration is data, whole or not there."""

import json

import bench
import waves

from firmware.meter import calibration

GOOD = dict(waves.values(), adc=[[0, 0], [2048, 2100000], [4095, 4095000]])


def refused(document):
    try:
        calibration.save(bench.Storage(), document)
    except calibration.Unusable as error:
        return str(error)
    return None


def test_what_is_saved_is_loaded():
    storage = bench.Storage()
    saved = calibration.save(storage, GOOD)
    loaded = calibration.load(storage)
    assert loaded == saved and loaded.trouble is None
    assert loaded.values == waves.values() and loaded.adc[1] == (2048, 2100000)


def test_a_meter_without_a_calibration_has_the_defaults_and_says_so():
    held = calibration.load(bench.Storage())
    assert held.trouble == "this meter was never calibrated"
    assert held.values["current_ua_per_v"] == 30000000
    calibration.check(dict(held.values, adc=held.adc))


def test_every_damage_is_noticed_and_the_defaults_take_its_place():
    storage = bench.Storage()
    calibration.save(storage, GOOD)
    data = storage.read(calibration.NAME)
    for at in range(len(data)):
        storage.pieces[calibration.NAME] = data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]
        held = calibration.load(storage)
        assert held.trouble or held == calibration.parse(json.loads(data)), at
        if held.trouble:
            assert held.values["noise_uv"] == 0 and held.adc == calibration.DEFAULT_ADC
    for part in (b"", data[:40], b"\xff\xfe", b"[]", b"null", b"{}"):
        storage.pieces[calibration.NAME] = part
        assert calibration.load(storage).trouble, part


def test_a_later_version_and_unknown_keys_are_refused():
    storage = bench.Storage()
    calibration.save(storage, GOOD)
    document = json.loads(storage.read(calibration.NAME))
    document["version"] = 2
    document["crc"] = calibration._crc(document)
    storage.pieces[calibration.NAME] = json.dumps(document).encode()
    assert calibration.load(storage).trouble == "a calibration of an unknown version"
    assert refused(dict(GOOD, colour=1)) == "unknown key colour"


def test_values_that_cannot_be_are_refused_and_the_old_ones_stay():
    storage = bench.Storage()
    calibration.save(storage, GOOD)
    before = storage.read(calibration.NAME)
    for key, value in (
        ("current_ua_per_v", 0),
        ("current_ua_per_v", 1.5),
        ("current_ua_per_v", True),
        ("phase_mdeg", 20001),
        ("nominal_hz", 55),
        ("export", 2),
        ("noise_uv", None),
        ("adc", None),
        ("adc", [[0, 0]]),
        ("adc", [[0, 0], [4094, 5]]),
        ("adc", [[0, 5], [4095, 5]]),
        ("adc", [[0, 0], [4095, 5000000]]),
        ("adc", [[0, 0], [4095]]),
        ("adc", [[0, 0], [4095, "5"]]),
    ):
        try:
            calibration.save(storage, dict(GOOD, **{key: value}))
        except calibration.Unusable as error:
            assert key in str(error)
        else:
            raise AssertionError((key, value))
        assert storage.read(calibration.NAME) == before
    missing = dict(GOOD)
    del missing["bias_uv"]
    assert "bias_uv" in refused(missing)


def test_the_table_is_the_line_between_its_points():
    table = calibration.table(((0, 142000), (1600, 1342000), (4095, 3154000)))
    assert (table[0], table[100]) == (1420, 13420)
    assert table[50] == 7420
    assert 31540 <= table[256] <= 31548
    assert all(table[n] < table[n + 1] for n in range(256))
