"""An ESP32 as a board: ADC1 under a timer, NVS and LittleFS, Wi-Fi, UART, watchdog. Unproven without hardware.

The console stays on UART 0. The link takes UART 1 or 2, so that its bytes 0x01 to 0x04 never reach the console.
"""

import asyncio
import os
from array import array

import machine
import network

from firmware.board import carrier, uart
from firmware.board.nvs import NvsStorage
from firmware.board.ring import Ring
from firmware.board.ticks import Ticks

_ADC1_PINS = range(32, 40)  # ADC2 fails while Wi-Fi is on
_RING_COUNTS = 1024
_LATE_TURNS = 8  # how many calls of the timer may be on their way without being missed
_JOIN_MS = 15000
_STUCK_JOINS = 20  # then the radio is switched off and on


class Converter:
    """ADC1 ``pins`` (current, then voltage), read by a timer ``rate_hz`` times a second; see firmware/README.md.

    A call of the timer that the interpreter had no time for is a lost turn, counted by the clock.
    """

    def __init__(self, pins, rate_hz, attenuation=machine.ADC.ATTN_11DB, timer=0):
        for pin in pins:
            if pin not in _ADC1_PINS:
                raise ValueError("pins 32 to 39 measure: the others fail while Wi-Fi is on")
        if len(pins) not in (1, 2) or not 1000 <= rate_hz <= 4000:
            raise ValueError("a converter has 1 or 2 channels and 1000 to 4000 samples a second of each")
        self.plugged = None  # or a call that says whether the clamp is plugged in
        self.channels = len(pins)
        self.rate_hz = rate_hz
        self._inputs = [machine.ADC(machine.Pin(pin), atten=attenuation) for pin in pins]
        self._counts = array("H", bytes(2 * _RING_COUNTS))
        self._ring = Ring(memoryview(self._counts), self.channels)
        self._written = 0
        self._missed = 0
        self._seen = 0  # of ``_written``, at the last look
        self._turns = 0  # converted until then
        self._elapsed_ms = Ticks()
        self._timer = machine.Timer(timer)
        self._timer.init(freq=rate_hz, mode=machine.Timer.PERIODIC, callback=self._convert)

    @property
    def lost(self):
        """How many turns were lost since the boot."""
        return self._ring.lost + self._missed

    def sample(self, buffer):
        """Fill ``buffer`` with what is new; returns how many turns."""
        written = self._written
        self._turns += ((written - self._seen) & 0x3FFFFFFF) // self.channels
        self._seen = written
        due = self._elapsed_ms() * self.rate_hz // 1000
        self._missed = max(self._missed, due - self._turns - _LATE_TURNS)
        return self._ring.sample(buffer, written)

    def read(self, channel):
        """Return one raw count, now."""
        return self._inputs[channel].read_u16() >> 4

    def read_uv(self, channel):
        """Return one conversion in microvolts by the chip's own calibration."""
        return self._inputs[channel].read_uv()

    def _convert(self, _):
        at = self._written
        for each in self._inputs:
            self._counts[at % _RING_COUNTS] = each.read_u16() >> 4
            at += 1
        self._written = at & 0x3FFFFFFF


class Board:
    """``wifi``: (network's name, password) or None. ``uart_pins``: (transmit, receive) of the serial line."""

    def __init__(self, directory="meter", converter=None, wifi=None, uart_pins=(17, 16), watchdog_ms=0):
        self.storage = NvsStorage(directory)
        self.machine_ms = Ticks()
        self.monotonic_ms = self.machine_ms
        self.random = os.urandom
        self.converter = converter
        self._uart_pins = uart_pins
        self._wifi = Wifi(*wifi) if wifi else None
        self._watchdog = machine.WDT(timeout=watchdog_ms) if watchdog_ms else None

    def feed(self):
        """Say that the meter still measures."""
        if self._watchdog:
            self._watchdog.feed()

    async def carry(self, link, host, port, wake, after):
        """Keep a TCP connection to the concentrator over Wi-Fi, for ever. See carrier.carry."""
        if self._wifi is None:
            raise ValueError("no Wi-Fi network is configured")
        await carrier.carry(self, link, lambda: self._connect(host, port), wake, after)

    async def carry_serial(self, link, port, baud, wake, after):
        """Carry the link's bytes over UART 1 or 2, for ever. See carrier.carry."""
        if port not in (1, 2):
            raise ValueError("UART 0 is the console's: the link takes 1 or 2")
        transmit, receive = self._uart_pins
        size = uart.BUFFER_BYTES
        line = machine.UART(port, baud, tx=transmit, rx=receive, rxbuf=size, txbuf=size)
        await carrier.carry(self, link, lambda: uart.open_line(line), wake, after)

    async def _connect(self, host, port):
        await self._wifi.join()
        return await asyncio.open_connection(host, port)


class Wifi:
    """The radio as a station that comes back: joins whenever it is not joined."""

    def __init__(self, name, password):
        self._name = name
        self._password = password
        self._station = network.WLAN(network.STA_IF)
        self._failed = 0

    async def join(self):
        """Return once joined; raises OSError where it takes too long, for the carrier to wait and try again."""
        station = self._station
        if station.isconnected():
            self._failed = 0
            return
        if self._failed >= _STUCK_JOINS:
            station.active(False)
            self._failed = 0
        station.active(True)
        try:
            station.connect(self._name, self._password)
        except OSError:
            pass  # it is joining already, by itself
        for _ in range(_JOIN_MS // 100):
            if station.isconnected():
                self._failed = 0
                return
            await asyncio.sleep_ms(100)
        self._failed += 1
        station.disconnect()
        raise OSError(110)  # ETIMEDOUT
