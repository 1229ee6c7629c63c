"""What a board runs at power-up: reads its configuration and keys, builds the meter, runs it for ever.

Where the configuration is unusable it counts energy at the board's usual pins, has no line, and says so on the console
and in an EVENT. What it counts is marked as estimated when it is reported: on a board that is wired otherwise it may be
noise, of which the no-load threshold and the faults keep out what they can.
Where its keys, counter or store are damaged it counts energy and sends nothing false (main.build_anyway).
A board that was never enrolled is no meter: it says so and ends, at the prompt.
"""

import asyncio
import gc

from firmware import configuration, console, enrolling, main
from firmware.board import boards
from protocol import wire

_MOST_EVENTS = 6  # that wait while there is no line: every start would add some


class Unconnected:
    """A sensor without pins: nothing is measured, and nothing made up."""

    def take(self, start_s, end_s):
        """See meter/instrument.py."""


def start(storage=None):
    """Run this meter for ever. Returns, after saying why, where it cannot be one."""
    made = make(storage or boards.storage())
    if made:
        # Before a quarter of what is free has become garbage: a file's buffer must find room in one piece.
        gc.collect()
        gc.threshold(gc.mem_free() // 4)
        asyncio.run(_run(*made))


def make(storage):
    """Return the meter that is stored, its board, and the settings that they were built with; None where none is."""
    if enrolling.finish(storage):
        print("hushmeter: the replacement of the enrolment was interrupted; it is finished now")
    if not storage.read("keys"):
        print("hushmeter: this is no meter yet: no keys are stored, it was never enrolled")
        return None
    settings = configuration.load(storage)
    if settings.trouble:
        print("hushmeter:", settings.trouble)
    board, settings = _board(storage, settings)
    values = settings.values
    lost = values["pins"] is None
    sensor = None if getattr(board, "converter", None) else Unconnected()
    quality = wire.ESTIMATED if lost else 0
    meter = main.build_anyway(board, sensor, values["interval_s"], values["detail_s"], quality=quality, say=_say)
    if settings.trouble:
        meter.events.notice(wire.DATA_UNUSABLE, "configuration")
    if lost and meter.store.waits(wire.EVENT) < _MOST_EVENTS:
        meter.events.report(wire.TIME_NOT_KNOWN, _MOST_EVENTS)
    return meter, board, settings


def _say(text):
    print("hushmeter:", text)


def _board(storage, settings):
    """Return the board, and the settings that it could be built with."""
    try:
        return boards.here(settings.values, configuration.password(storage)), settings
    except ValueError as error:
        settings = configuration.defaults("the board cannot be built as configured: " + str(error))
        print("hushmeter:", settings.trouble)
        return boards.here(settings.values, ""), settings


async def _run(meter, board, settings):
    values = settings.values
    asking = asyncio.create_task(console.answer(meter, settings, board))
    try:
        if values["link"] == "tcp":
            await main.run(meter, board, values["host"], values["port"])
        elif values["link"] == "serial":
            await main.run_serial(meter, board, values["uart"], values["baud"])
        else:
            await main.run_alone(meter, board)
    finally:
        asking.cancel()
