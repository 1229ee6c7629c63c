"""The server under test: a process of its own, and what the kernel says of it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import msgspec

ROOT = Path(__file__).resolve().parents[2]
START_S = 120
STOP_S = 60
TICKS = os.sysconf("SC_CLK_TCK")


class ServerFailed(Exception):
    """The server did not start or did not end well; the message holds the last line that it said."""


class Server:
    """`python -m mdms serve`, under timers where asked."""

    def __init__(self, config: Path, *, profile: bool = False) -> None:
        self._log = config.parent / "serve.log"
        self._stages = config.parent / "stages.json" if profile else None
        module = ["scripts.bench_mdms.stages", str(self._stages)] if profile else ["mdms"]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", *module, "serve", "--config", str(config)],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.port = self._wait()

    def _wait(self) -> int:
        began = time.monotonic()
        while time.monotonic() - began < START_S and self._process.poll() is None:
            for line in self._log.read_text(errors="replace").splitlines():
                if '"listening"' in line:
                    return int(json.loads(line)["port"])
            time.sleep(0.05)
        self._process.kill()
        self._process.wait()
        raise ServerFailed(f"the server does not start: {self._last_line()}")

    def cpu_s(self) -> float:
        """Return the CPU seconds that it has used so far, of all its threads."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def peak_mb(self) -> float:
        """Return its most memory so far."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(re.findall(r"^VmHWM:\s+(\d+) kB$", status, re.M)[0]) / 1024

    def stop(self) -> dict[str, float]:
        """End it in order; returns its stages' CPU seconds. Raises ServerFailed."""
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.returncode:
            raise ServerFailed(f"the server ended with status {self._process.returncode}: {self._last_line()}")
        if self._stages is None:
            return {}
        return msgspec.json.decode(self._stages.read_bytes(), type=dict[str, float])

    def _last_line(self) -> str:
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"
