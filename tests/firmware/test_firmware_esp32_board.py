"""The ESP32's board file against stand-ins of its modules: what it asks of them, not what a chip would do."""

import asyncio
import sys
import types
from array import array

import pytest


class Nvs:
    """esp32.NVS as documented: a missing blob is OSError(-0x1102); nothing lasts that was not committed."""

    committed = None  # of every NVS: flash

    def __init__(self, namespace):
        assert len(namespace) <= 15
        self._open = dict(self.committed)

    def get_blob(self, name, buffer):
        if name not in self._open:
            raise OSError(-0x1102)
        data = self._open[name]
        buffer[: len(data)] = data
        return len(data)

    def set_blob(self, name, data):
        self._open[name] = bytes(data)

    def commit(self):
        Nvs.committed = dict(self._open)


class Adc:
    ATTN_11DB = 3

    def __init__(self, pin, atten):
        self.pin = pin

    def read_u16(self):
        return (self.pin * 100) << 4

    def read_uv(self):
        return 950000


class Pin:
    """A pin by its number, which is what the other stand-ins take it for; called, it says its level."""

    IN, PULL_UP = "in", "pull up"
    made = None
    levels = None  # by number

    def __new__(cls, number, *how):
        if how:
            if number == 31:
                raise ValueError("invalid pin")
            Pin.made.append((number, *how))
            return lambda: Pin.levels[number]
        return number


class Timer:
    PERIODIC = 1
    running = None  # every timer that was started

    def __init__(self, number):
        pass

    def init(self, freq, mode, callback):
        self.freq, self.callback = freq, callback
        Timer.running.append(self)


class Station:
    """A radio that joins at the n-th attempt."""

    def __init__(self, kind):
        self.attempts = []
        self.joins_at = 1
        self.joined = False
        self.switched = []

    def active(self, on):
        self.switched.append(on)

    def isconnected(self):
        return self.joined

    def connect(self, name, password):
        self.attempts.append((name, password))
        self.joined = len(self.attempts) >= self.joins_at

    def disconnect(self):
        self.joined = False


@pytest.fixture
def esp32(monkeypatch):
    """The board's module, with stand-ins for everything that only the chip has."""
    Nvs.committed = {}
    Timer.running = []
    Pin.made, Pin.levels = [], {}
    now = [0]
    machine = types.SimpleNamespace(ADC=Adc, Pin=Pin, Timer=Timer, UART=None, WDT=None)
    ticks = {"ticks_ms": lambda: now[0], "ticks_diff": lambda later, earlier: later - earlier}
    monkeypatch.setitem(sys.modules, "machine", machine)
    monkeypatch.setitem(sys.modules, "network", types.SimpleNamespace(WLAN=Station, STA_IF=0))
    monkeypatch.setitem(sys.modules, "esp32", types.SimpleNamespace(NVS=Nvs))
    for name, value in ticks.items():
        monkeypatch.setattr("time." + name, value, raising=False)
    monkeypatch.setattr(asyncio, "sleep_ms", lambda _: asyncio.sleep(0), raising=False)
    for name in ("esp32", "nvs", "uart", "ticks", "carrier"):
        monkeypatch.delitem(sys.modules, "firmware.board." + name, raising=False)
    from firmware.board import esp32 as board

    board.now = now
    return board


def test_keys_and_counter_are_in_nvs_and_nothing_else_is(esp32, tmp_path):
    storage = esp32.NvsStorage(str(tmp_path / "meter"))
    assert storage.read("keys") is None
    for name in ("keys", "counter", "lengths"):
        storage.replace(name, name.encode())
    storage.append("journal", b"record")
    assert set(Nvs.committed) == {"keys", "counter"}
    assert sorted(path.name for path in (tmp_path / "meter").iterdir()) == ["journal", "lengths"]
    again = esp32.NvsStorage(str(tmp_path / "meter"))
    assert [again.read(name) for name in ("keys", "counter", "lengths")] == [b"keys", b"counter", b"lengths"]


def test_another_failure_of_nvs_is_not_taken_for_a_meter_without_keys(esp32, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(-0x1105)

    monkeypatch.setattr(Nvs, "get_blob", fail)
    with pytest.raises(OSError, match="-4357"):
        esp32.NvsStorage(str(tmp_path / "meter")).read("keys")


def test_the_radio_is_joined_once_and_again_after_a_loss(esp32):
    wifi = esp32.Wifi("street", "secret")
    asyncio.run(wifi.join())
    asyncio.run(wifi.join())
    assert wifi._station.attempts == [("street", "secret")]
    wifi._station.joined = False
    asyncio.run(wifi.join())
    assert len(wifi._station.attempts) == 2


def test_a_network_that_is_away_is_an_oserror_each_time_and_the_radio_is_switched_off_now_and_then(esp32):
    wifi = esp32.Wifi("street", "secret")
    wifi._station.joins_at = 30
    for _ in range(29):
        with pytest.raises(OSError, match="110"):
            asyncio.run(wifi.join())
    assert wifi._station.switched.count(False) == 1
    asyncio.run(wifi.join())


def test_the_link_never_takes_the_consoles_uart(esp32, tmp_path):
    board = esp32.Board(str(tmp_path / "meter"))
    with pytest.raises(ValueError, match="UART 0 is the console's"):
        asyncio.run(board.carry_serial(None, 0, 115200, None, None))
    with pytest.raises(ValueError, match="no Wi-Fi"):
        asyncio.run(board.carry(None, "host", 1, None, None))


def test_pins_that_wifi_disturbs_are_refused(esp32):
    with pytest.raises(ValueError, match="32 to 39"):
        esp32.Converter((25,), 1000)
    with pytest.raises(ValueError, match="1000 to 4000"):
        esp32.Converter((34,), 500)


def made(values, monkeypatch, tmp_path):
    """Return the board that a configuration makes."""
    from firmware import configuration
    from firmware.board import boards

    monkeypatch.setattr(sys, "platform", "esp32")
    monkeypatch.setattr(boards, "DIRECTORY", str(tmp_path / "meter"))
    return boards.here(dict(configuration.check({"watchdog_ms": 0}), **values), "")


def test_the_jacks_contact_is_read_under_a_pull_up_and_low_is_no_plug(esp32, monkeypatch, tmp_path):
    converter = made({"pins": [34, 35], "clamp_switch": 25}, monkeypatch, tmp_path).converter
    assert Pin.made == [(25, Pin.IN, Pin.PULL_UP)]
    for level in (0, 1):
        Pin.levels[25] = level
        assert converter.plugged() == level


def test_without_a_contact_no_pin_is_touched(esp32, monkeypatch, tmp_path):
    assert made({"pins": [34]}, monkeypatch, tmp_path).converter.plugged is None
    assert not Pin.made


def test_a_contact_at_a_pin_that_is_none_is_refused_before_anything_runs(esp32, monkeypatch, tmp_path):
    with pytest.raises(ValueError, match="invalid pin"):
        made({"pins": [34], "clamp_switch": 31}, monkeypatch, tmp_path)
    assert not Timer.running


def test_where_the_pins_are_not_known_the_clamps_usual_one_is_read_alone(esp32, monkeypatch, tmp_path):
    converter = made({"pins": None}, monkeypatch, tmp_path).converter
    assert (converter.channels, converter._inputs[0].pin) == (1, 34)


def test_turns_come_in_order_and_a_timer_that_was_not_called_is_counted(esp32):
    converter = esp32.Converter((34, 35), 1000)
    (timer,) = Timer.running
    buffer = array("H", bytes(2 * 200))
    for _ in range(50):
        timer.callback(timer)
    esp32.now[0] += 50
    assert converter.sample(buffer) == 50
    assert (list(buffer[:4]), converter.lost) == ([3400, 3500, 3400, 3500], 0)
    for _ in range(60):
        timer.callback(timer)
    esp32.now[0] += 100
    assert converter.sample(buffer) == 60
    assert 25 <= converter.lost <= 40
    lost = converter.lost
    for _ in range(100):
        timer.callback(timer)
    esp32.now[0] += 100
    assert (converter.sample(buffer), converter.lost) == (100, lost)
