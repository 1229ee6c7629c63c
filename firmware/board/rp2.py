"""A Raspberry Pi Pico as a board: LittleFS, UART, watchdog, and an ADC that samples by itself (RP2040 datasheet 4.9).

The ADC's own divider times the conversions and a DMA channel carries them into a ring: the interpreter may be busy
for as long as the ring lasts, and no sample is early or late. The console is on USB, so that the UART is free for the
link and bytes 0x01 to 0x04 are bytes like others. There is no Wi-Fi.
"""

import os
from array import array

import machine
import rp2
import uctypes

from firmware.board import carrier, uart
from firmware.board.files import Storage
from firmware.board.ring import Ring
from firmware.board.ticks import Ticks

_FIRST_PIN = 26  # ADC channel 0
_RINGS_A_SECOND = 2  # a ring lasts half a second, or as long as the largest does
_MOST_RING_BITS = 11  # 2048 bytes: a quarter of a second of two channels at 2 kHz
_ADC = 0x4004C000
_CS, _FCS, _FIFO, _DIV = _ADC, _ADC + 8, _ADC + 12, _ADC + 16
_CS_ENABLE, _CS_START_MANY, _CS_ROUND_ROBIN = 1, 8, 16
_FCS_ENABLE, _FCS_DREQ, _FCS_THRESHOLD = 1, 8, 24
_ADC_HZ = 48000000
_DREQ_ADC = 36
_RUN = (1 << 30) - 1  # conversions of one DMA run: the largest small integer


def ring_bits(channels, rate_hz):
    """Return how large the ring is, as the power of two of its bytes: two for each conversion."""
    bits = 1
    while bits < _MOST_RING_BITS and 1 << bits < 2 * channels * rate_hz // _RINGS_A_SECOND:
        bits += 1
    return bits


class Converter:
    """``channels`` (1 or 2, from GP26 on) at ``rate_hz`` each; see firmware/README.md for what it offers."""

    renew_at = 1 << 20  # what is left of a run when the next one is started

    def __init__(self, channels, rate_hz):
        if not 1 <= channels <= 2 or _ADC_HZ % (channels * rate_hz) or _ADC_HZ // (channels * rate_hz) > 65536:
            raise ValueError("the ADC cannot be timed so: 48 MHz / (channels * rate_hz) must be whole, at most 65536")
        self.plugged = None  # or a call that says whether the clamp is plugged in
        self.channels = channels
        self.rate_hz = rate_hz
        for channel in range(channels):
            machine.ADC(machine.Pin(_FIRST_PIN + channel))
        self._ring_bits = ring_bits(channels, rate_hz)
        size = 1 << self._ring_bits
        # A DMA ring must begin at a multiple of its size, which the allocator does not promise.
        self._memory = array("H", bytes(2 * size))
        skip = -uctypes.addressof(self._memory) % size // 2
        self._view = memoryview(self._memory)[skip : skip + size // 2]
        self._ring = Ring(self._view, channels)
        self._before = 0  # conversions of the runs that are over
        self._dma = rp2.DMA()
        self._start()

    @property
    def lost(self):
        """How many turns were lost since the boot."""
        return self._ring.lost

    def sample(self, buffer):
        """Fill ``buffer`` with what is new; returns how many turns."""
        if self._dma.count < self.renew_at:
            self._renew()
        return self._ring.sample(buffer, self._written())

    def read(self, channel):
        """Return one raw count, the newest."""
        return self._ring.newest(channel, self._written())

    def read_uv(self, channel):
        """Return None: the chip has no calibration of its own."""
        return None

    def _written(self):
        return (self._before + _RUN - self._dma.count) & 0x3FFFFFFF

    def _start(self):
        machine.mem32[_CS] = _CS_ENABLE | ((1 << self.channels) - 1) << _CS_ROUND_ROBIN
        machine.mem32[_DIV] = (_ADC_HZ // (self.channels * self.rate_hz) - 1) << 8
        while not machine.mem32[_FCS] & 1 << 8:  # empty
            machine.mem32[_FIFO]
        machine.mem32[_FCS] = _FCS_ENABLE | _FCS_DREQ | 1 << _FCS_THRESHOLD
        self._run(0)
        machine.mem32[_CS] |= _CS_START_MANY

    def _run(self, at):
        control = self._dma.pack_ctrl(
            size=1, inc_read=False, inc_write=True, ring_sel=True, ring_size=self._ring_bits, treq_sel=_DREQ_ADC
        )
        target = uctypes.addressof(self._view) + 2 * at
        self._dma.config(read=_FIFO, write=target, count=_RUN, ctrl=control, trigger=True)

    def _renew(self):
        # The ADC's FIFO holds four conversions meanwhile: 1 ms at the fastest.
        self._dma.active(False)
        self._before = self._written()
        self._run(self._before % len(self._view))


class Board:
    """``watchdog_ms``: 0, or at most 8388: the chip starts again when ``feed`` was not called for so long."""

    def __init__(self, directory="meter", converter=None, watchdog_ms=0):
        self.storage = Storage(directory)
        self.machine_ms = Ticks()
        self.monotonic_ms = self.machine_ms
        self.random = os.urandom  # the ring oscillator's bits: the counter's salt does not rest on them alone
        self.converter = converter
        self._watchdog = machine.WDT(timeout=watchdog_ms) if watchdog_ms else None

    def feed(self):
        """Say that the meter still measures."""
        if self._watchdog:
            self._watchdog.feed()

    async def carry_serial(self, link, port, baud, wake, after):
        """Carry the link's bytes over UART ``port`` (0: GP0 and GP1), for ever. See carrier.carry."""
        line = machine.UART(port, baud, rxbuf=uart.BUFFER_BYTES, txbuf=uart.SEND_BYTES)
        await carrier.carry(self, link, lambda: uart.open_line(line), wake, after)
