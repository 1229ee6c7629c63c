"""A chip's UART as a line for the carrier: machine.UART with asyncio's streams."""

import asyncio

BUFFER_BYTES = 1024  # four frames: what arrives while a DETAIL is sealed and stored


class _Writer(asyncio.StreamWriter):
    async def wait_closed(self):
        pass  # machine.UART has no close; the line stays open as long as the board lives


async def open_line(uart):
    """Return (StreamReader, StreamWriter) of a machine.UART that is set up."""
    writer = _Writer(uart)
    writer.write(b"\x00")  # ends what the line's noise began
    return asyncio.StreamReader(uart), writer
