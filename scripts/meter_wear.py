"""What ten years of readings cost a meter's flash: the firmware's own writes, counted, and LittleFS's erasures.

The real parts of a meter live through simulated days over a storage that counts what they ask of it. From that follows
how often LittleFS erases a block. Its rules, as its author states them (littlefs issues 344, 374, 581):
- every append or replacement that is closed rewrites the file's last block, however little was added: one erasure for
  each block that the data touches;
- a file of at most FILE_INLINE bytes lives in its folder's log and costs no block;
- closing, renaming and creating append to that log, in units of the program size; a full log is compacted into its
  other block: one erasure. Every hundred of these the pair of blocks moves on, so that the log wears like the rest;
- blocks are taken in turn from those that are free: what lies still takes no part.
Not counted: what the chip's flash does inside, and Wi-Fi's own settings.
"""

import struct
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import click
from rich.console import Console
from rich.table import Table

from gateway.intake import CCM
from protocol import keychain, wire

SHIM = Path(__file__).resolve().parents[1] / "tests" / "firmware" / "shim"  # in place of MicroPython's cryptolib
sys.path.append(str(SHIM))
main_module, counter, instrument, saving, store_module = (
    import_module(f"firmware.{name}")
    for name in ("main", "meter.counter", "meter.instrument", "meter.saving", "meter.store")
)

BLOCK_BYTES = 4096
PROGRAM_BYTES = 32  # MicroPython's default, as is the cache of four times that
FILE_INLINE = 4 * PROGRAM_BYTES
LOG_ENTRY_BYTES = 2 * PROGRAM_BYTES  # a commit of a name or a file's head, its checksum and padding
YEAR_DAYS = 365.25
START = 1_772_323_200
TITLE = b"WEARFLSH"
WIDTH = 120


class Board(NamedTuple):
    """A board's flash, as MicroPython's ports divide it."""

    name: str
    flash_mb: int
    blocks: int  # of the file system
    still: int  # of them, what does not move: the firmware's files


BOARDS = (
    Board("ESP32, 4 MB", 4, 512, 90),
    Board("Pico, 2 MB", 2, 352, 90),
)


class Counted(NamedTuple):
    """What a storage was asked for."""

    appends: int
    replaces: int
    blocks: int  # erased for data
    log_bytes: int  # appended to the folder's log


class Storage:
    """A meter's storage that counts (board/files.py: a replacement is a new file, renamed)."""

    def __init__(self) -> None:
        self.pieces: dict[str, bytes] = {}
        self.counted = Counted(0, 0, 0, 0)

    def read(self, name: str) -> bytes | None:
        """Return the bytes of a piece."""
        return self.pieces.get(name)

    def replace(self, name: str, data: bytes) -> None:
        """Write a new file and rename it: three entries of the log."""
        self.pieces[name] = bytes(data)
        inline = len(data) if len(data) <= FILE_INLINE else 0
        blocks = 0 if inline else -(-len(data) // BLOCK_BYTES)
        self._count(0, 1, blocks, 3 * LOG_ENTRY_BYTES + inline)

    def append(self, name: str, data: bytes) -> None:
        """Open, append, close: one entry, and the last block written anew."""
        before = self.pieces.get(name, b"")
        self.pieces[name] = before + bytes(data)
        blocks = -(-len(self.pieces[name]) // BLOCK_BYTES) - len(before) // BLOCK_BYTES
        self._count(1, 0, blocks, LOG_ENTRY_BYTES)

    def _count(self, *more: int) -> None:
        self.counted = Counted(*(a + b for a, b in zip(self.counted, more, strict=True)))


class World:
    """A meter with a concentrator that answers everything, under simulated time."""

    def __init__(self, detail_s: int, interval_s: int, watts: int) -> None:
        self.storage = Storage()
        self.now_ms = START * 1000
        self._watts = watts
        self._drawn = 0
        epoch = START // 86_400
        hop = keychain.Chain(epoch, keychain.first_chain(bytes(32)))
        hello, time = keychain.clock_keys(bytes(32))
        self._hop, self._time = hop, time
        provisioning = {
            "system_title": TITLE.hex(),
            "epoch": epoch,
            "hop_chain": hop.value.hex(),
            "customer_chain": hop.value.hex(),
            "hello_key": hello.hex(),
            "time_key": time.hex(),
            "salt_secret": bytes(32).hex(),
            "series": 1,
        }
        self._hello = hello
        self.meter = main_module.build(self, self, interval_s, detail_s, provisioning)

    def monotonic_ms(self) -> int:
        """Return simulated time, of both kinds."""
        return self.now_ms - START * 1000

    machine_ms = monotonic_ms

    def random(self, count: int) -> bytes:
        """Return bytes that differ."""
        self._drawn += 1
        return (struct.pack(">I", self._drawn) * (count // 4 + 1))[:count]

    def take(self, start_s: int, end_s: int) -> tuple[int, int]:
        """The sensor: an even load."""
        return (end_s - start_s) * self._watts * 1000 // 3600, 0

    def pending(self) -> tuple[int, int]:
        """What the even load has brought since the last period's end."""
        account = self.meter.store.account if hasattr(self, "meter") else None
        if account is None:
            return 0, 0
        return max(0, self.now_ms // 1000 - account.until) * self._watts * 1000 // 3600, 0

    def live(self, seconds: int, step_s: int) -> Counted:
        """Pass some time; returns what it cost."""
        self._turn()
        before = self.storage.counted
        for _ in range(seconds // step_s):
            self.now_ms += step_s * 1000
            self._turn()
        return Counted(*(b - a for a, b in zip(before, self.storage.counted, strict=True)))

    def _turn(self) -> None:
        for _ in range(2):
            while self.meter.instrument.tick(self.monotonic_ms()):
                pass
            deframer = wire.Deframer()
            deframer.feed(self.meter.link.to_send(self.monotonic_ms(), self.machine_ms()))
            for frame in deframer:
                self.meter.link.receive(wire.encode_link(self._answer(frame)), self.monotonic_ms(), self.machine_ms())

    def _answer(self, frame: bytes) -> bytes:
        header = wire.parse_header(frame)
        if header.type == wire.HELLO:
            body = wire.pack_time(self.now_ms, wire.parse_hello(wire.open_uplink(CCM, self._hello, frame)[1])[1])
            reply = wire.Header(wire.TIME, TITLE, wire.EPOCH_NONE, header.salt, header.counter)
            return self._seal(self._time, reply, body)
        item = wire.Range(header.salt, header.counter, 1, wire.STORED)
        reply = wire.Header(wire.ACK, TITLE, header.epoch, header.salt, header.counter)
        return self._seal(self._hop.at(header.epoch).key(keychain.DOWN), reply, wire.pack_ack((item,)))

    def _seal(self, key: bytes, header: Any, body: bytes) -> bytes:
        sealed: bytes = wire.seal_downlink(CCM, key, header, body, self.random(wire.RANDOM_BYTES))
        return sealed


def cycles(counted: Counted, days: float, years: float, board: Board) -> float:
    """Return how often each free block is erased in so many years, when these days repeat."""
    # Both blocks of the log's pair are used up in turn; half of one is what a compaction leaves.
    log = counted.log_bytes / (BLOCK_BYTES / 2)
    ring = int(store_module.SEGMENTS)
    free = board.blocks - board.still - ring
    return (counted.blocks + log) / days * years * YEAR_DAYS / free


@click.command()
@click.option("--years", default=10.0, show_default=True, type=click.FloatRange(min=0.1), help="How long.")
@click.option("--rating", default=100_000, show_default=True, type=click.IntRange(1), help="Erasures of a block.")
@click.option("--watts", default=500, show_default=True, type=click.IntRange(0), help="The home's even load.")
@click.option("--days", default=2, show_default=True, type=click.IntRange(1), help="Simulated days to count.")
def main(years: float, rating: int, watts: int, days: int) -> None:
    """Count what a meter writes and print what it costs its flash. Status 1 where that is above a tenth."""
    console = Console(width=None if sys.stdout.isatty() else WIDTH, markup=False, highlight=False)
    console.print(
        f"blocks of {BLOCK_BYTES} bytes rated {rating} erasures; {years:g} years of an even {watts} W. The firmware:\n"
        f"{store_module.SEGMENTS} segments of {store_module.SEGMENT_BYTES} bytes, numbers reserved by {counter.BLOCK}, "
        f"a write in {instrument.WRITE_S} s, {saving.SAVE_MWH // 1000} Wh or {saving.SAVE_S} s at risk"
    )
    table = Table(box=None, pad_edge=False)
    for heading in ("rows every", "readings every", "board"):
        table.add_column(heading)
    for heading in ("writes a day", "blocks erased a day", "erasures of a block", "of the rating"):
        table.add_column(heading, justify="right")
    worst = 0.0
    for detail_s, interval_s in ((60, 900), (900, 900), (60, 60)):
        world = World(detail_s, interval_s, watts)
        world.live(86_400, min(60, detail_s))  # what a boot may write at once is no habit
        counted = world.live(days * 86_400, min(60, detail_s))
        for board in BOARDS:
            count = cycles(counted, days, years, board)
            worst = max(worst, count / rating)
            table.add_row(
                f"{detail_s} s",
                f"{interval_s} s",
                board.name,
                f"{(counted.appends + counted.replaces) / days:.0f}",
                f"{(counted.blocks + counted.log_bytes / (BLOCK_BYTES / 2)) / days:.0f}",
                f"{count:.0f}",
                f"{100 * count / rating:.1f} %",
            )
    console.print(table)
    click.echo(f"worst: {100 * worst:.1f} % of the rating in {years:g} years")
    sys.exit(1 if worst > 0.1 else 0)


if __name__ == "__main__":
    main()
