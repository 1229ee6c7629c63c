"""The daemon under test: a process of its own, held to one core, and what the kernel says of it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from .stages import Stage

ROOT = Path(__file__).resolve().parents[2]
START_S = 60
STOP_S = 60
TICKS = os.sysconf("SC_CLK_TCK")


class DaemonFailed(Exception):
    """The daemon did not start or did not end well; the message holds the last line that it said."""


@dataclass(frozen=True)
class Usage:
    """What the daemon has used so far: CPU seconds of all threads, megabytes of memory now and at most."""

    cpu_s: float
    rss_mb: float
    peak_rss_mb: float


class Daemon:
    """`python -m gateway run` on one core; the same with phe's encryption, or under timers (stages.py).

    ``module`` is another one that runs the daemon.
    """

    def __init__(
        self, config: Path, core: int | None, *, phe: bool = False, profile: bool = False, module: str = "gateway"
    ) -> None:
        self._config = config
        self._core = core
        self._log = config.parent / "daemon.log"
        self._module = "scripts.bench_gateway.with_phe" if phe else module
        self._stages = config.parent / "stages.json" if profile else None
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> int:
        """Start it and return its port. Raises DaemonFailed."""
        module = [self._module]
        if self._stages is not None:
            module = ["scripts.bench_gateway.stages", str(self._stages)]
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                *module,
                "run",
                "--config",
                str(self._config),
                cwd=ROOT,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        if self._core is not None:
            os.sched_setaffinity(self._process.pid, {self._core})  # before it has threads: they inherit it
        began = time.monotonic()
        while time.monotonic() - began < START_S and self._process.returncode is None:
            for line in self._log.read_text(errors="replace").splitlines():
                if '"listening"' in line:
                    return int(json.loads(line)["port"])
            await asyncio.sleep(0.05)
        line = self._last_line()
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        self._process = None
        raise DaemonFailed(f"the daemon does not start: {line}")

    def usage(self) -> Usage:
        """Return what it has used so far."""
        assert self._process is not None, "it was started"
        proc = Path("/proc") / str(self._process.pid)
        fields = (proc / "stat").read_text().rpartition(")")[2].split()
        status = (proc / "status").read_text()
        rss, peak = (int(re.findall(rf"^{name}:\s+(\d+) kB$", status, re.M)[0]) / 1024 for name in ("VmRSS", "VmHWM"))
        return Usage((int(fields[11]) + int(fields[12])) / TICKS, rss, peak)

    async def stop(self) -> list[Stage]:
        """End it in order; returns its stages where it ran under timers. Raises DaemonFailed."""
        process = self._process
        if process is None:
            return []
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), STOP_S)
            except TimeoutError:
                process.kill()
                await process.wait()
        if process.returncode != 0:
            raise DaemonFailed(f"the daemon ended with status {process.returncode}: {self._last_line()}")
        if self._stages is None:
            return []
        return msgspec.json.decode(self._stages.read_bytes(), type=list[Stage])

    def _last_line(self) -> str:
        lines = self._log.read_text(errors="replace").strip().splitlines() if self._log.exists() else []
        return lines[-1] if lines else "it said nothing"
