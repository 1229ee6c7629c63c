"""What a board runs at power-up: reads its configuration and keys, builds the meter, runs it for ever.

Where the configuration is unusable it measures, keeps what it has to report, and says so on the console and in an
EVENT. Where its keys, counter or store are damaged it counts energy and sends nothing false (main.build_anyway).
A board that was never enrolled is no meter: it says so and ends, at the prompt.
"""

import asyncio
import gc

from firmware import configuration, console, enrolling, main
from firmware.board import boards
from protocol import wire


class Unconnected:
    """A sensor without pins: nothing is measured, and nothing made up."""

    def take(self, start_s, end_s):
        """See meter/instrument.py."""


def start(storage=None):
    """Run this meter for ever. Returns, after saying why, where it cannot be one."""
    storage = storage or boards.storage()
    if enrolling.finish(storage):
        print("hushmeter: the replacement of the enrolment was interrupted; it is finished now")
    if not storage.read("keys"):
        print("hushmeter: this is no meter yet: no keys are stored, it was never enrolled")
        return
    settings = configuration.load(storage)
    if settings.trouble:
        print("hushmeter:", settings.trouble)
    board, settings = _board(storage, settings)
    values = settings.values
    sensor = None if getattr(board, "converter", None) else Unconnected()
    meter = main.build_anyway(board, sensor, values["interval_s"], values["detail_s"], say=_say)
    if settings.trouble:
        meter.events.notice(wire.DATA_UNUSABLE, "configuration")
    # Before a quarter of what is free has become garbage: a file's buffer must find room in one piece.
    gc.collect()
    gc.threshold(gc.mem_free() // 4)
    asyncio.run(_run(meter, board, settings))


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
