"""What the RP2040's converter gives, in figures: `run(True)` starts a new run of its DMA before every look."""

import time
from array import array

from firmware.board import rp2


def run(renews):
    if renews:
        rp2.Converter.renew_at = 1 << 31
    converter = rp2.Converter(2, 2000)
    buffer = array("H", bytes(4 * 600))
    began = time.ticks_us()
    turns = mixed = 0
    while time.ticks_diff(time.ticks_us(), began) < 1000000:
        got = converter.sample(buffer)
        for at in range(0, 2 * got, 2):
            mixed += buffer[at] != 1000 or buffer[at + 1] != 3000
        turns += got
        time.sleep_ms(20)
    turns += converter.sample(buffer)
    us = time.ticks_diff(time.ticks_us(), began)
    lost = converter.lost
    time.sleep_ms(1000)  # four times as long as the ring
    late = converter.sample(buffer)
    print("converted", us, turns, mixed, lost, late, converter.lost, converter.read(0), converter.read(1))
