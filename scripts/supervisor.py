"""Starts the processes of a run, starts again what dies, and stops all of them by their own pid."""

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

RESTART_S = 0.2
START_FAILURES = 25  # in a row, each within a second of its start
STOP_S = 10


class ProcessFailed(Exception):
    """A process cannot be started; the message holds the last line that it said."""


@dataclass
class Process:
    """One process of the run. ``stands_in`` says whether somebody else runs this part just now."""

    name: str
    argv: Sequence[str]
    stands_in: Callable[[], bool] = lambda: False
    env: Mapping[str, str] = field(default_factory=dict)
    running: asyncio.subprocess.Process | None = None
    restarts: int = 0


class Supervisor:
    """Keeps processes running. Logs go to ``folder/NAME.log``, pids to ``folder/NAME.pid``."""

    def __init__(self, folder: Path, cwd: Path, said: Callable[[str], None]) -> None:
        self._folder = folder
        self._cwd = cwd
        self._said = said
        self._processes: list[Process] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False

    def start(self, process: Process) -> None:
        """Start a process and keep it running."""
        self._processes.append(process)
        self._tasks.append(asyncio.create_task(self._keep(process), name=process.name))

    async def watch(self) -> None:
        """Wait for ever; raises ProcessFailed when a process cannot be kept running."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    async def stop(self) -> None:
        """Stop every process that was started here: ask, wait, then kill."""
        self._stopping = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for process in self._processes:
            await self._end(process)

    async def _keep(self, process: Process) -> None:
        quick = 0
        while True:
            began = time.monotonic()
            log = (self._folder / f"{process.name}.log").open("ab")
            process.running = await asyncio.create_subprocess_exec(
                *process.argv,
                cwd=self._cwd,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **process.env},
                start_new_session=True,
            )
            log.close()
            # Whole from the moment that it has its name: others read it while processes start.
            unfinished = self._folder / f"{process.name}.pid.unfinished"
            unfinished.write_text(f"{process.running.pid}\n")
            unfinished.replace(self._folder / f"{process.name}.pid")
            status = await process.running.wait()
            quick = quick + 1 if time.monotonic() - began < 1 else 0
            while process.stands_in():
                await asyncio.sleep(RESTART_S)
                quick = 0
            if status > 0 and (process.restarts == 0 or quick >= START_FAILURES):
                raise ProcessFailed(f"{process.name} ended with status {status}: {self._last_line(process.name)}")
            process.restarts += 1
            self._said(f"{process.name} ended with status {status}: started again")
            await asyncio.sleep(RESTART_S)

    def _last_line(self, name: str) -> str:
        lines = (self._folder / f"{name}.log").read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    async def _end(self, process: Process) -> None:
        running = process.running
        if running is not None and running.returncode is None:
            running.terminate()
            try:
                await asyncio.wait_for(running.wait(), STOP_S)
            except TimeoutError:
                running.kill()
                await running.wait()
        (self._folder / f"{process.name}.pid").unlink(missing_ok=True)
