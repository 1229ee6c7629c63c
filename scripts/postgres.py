"""A PostgreSQL of one's own on a free port of loopback, from the machine's packages, gone with its data at the end."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

PATIENCE_S = "60"
START_S = 120


class PostgresFailed(Exception):
    """It is not installed, or does not start; the message says why."""


def program(name: str) -> str:
    """Return the newest installed version of one of PostgreSQL's programs; raises PostgresFailed."""
    places = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    found = str(places[-1]) if places else shutil.which(name)
    if not found:
        raise PostgresFailed(f"{name} is not installed: apt-get install postgresql")
    return found


class Postgres:
    """One server; `url` is SQLAlchemy's. PostgreSQL refuses to run as root, so it runs as its package's user then.

    ``durable`` as in production: a commit is on the disk before it is answered. Without it only a crash of the whole
    machine loses anything.
    """

    def __init__(self, *, durable: bool = False) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="hushmeter-postgres-"))
        self._user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        if self._user:
            shutil.chown(self.folder, "postgres", "postgres")
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self._data = self.folder / "data"
        self._run(
            program("initdb"), "-D", str(self._data), "-U", "hushmeter", "-A", "trust", "-E", "UTF8", "--locale=C"
        )
        self._options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder}"
        self._options += "" if durable else " -c fsync=off"
        self._control = (program("pg_ctl"), "-D", str(self._data), "-w", "-t", PATIENCE_S)
        self.start()
        self.url = f"postgresql+psycopg://hushmeter@127.0.0.1:{port}/postgres"

    def start(self) -> None:
        """Start it, after a kill as well; it recovers from its log by itself."""
        self._run(*self._control, "-l", str(self.folder / "log"), "-o", self._options, "start")

    def kill(self) -> None:
        """Kill it with SIGKILL, its first process and all others, as a crash would, and wait until they are gone."""
        first = int((self._data / "postmaster.pid").read_text().splitlines()[0])
        found = [first, *_children(first)]
        os.kill(first, signal.SIGSTOP)  # it would clean up after its children, and start them again
        for process in found[1:]:
            _kill(process)
        _kill(first)
        for process in found:
            _wait_for_end(process)
        # Where nobody collects dead processes its number still looks taken, and the next start would refuse.
        for lock in (self._data / "postmaster.pid", *self.folder.glob(".s.PGSQL.*.lock")):
            lock.unlink(missing_ok=True)

    def stop(self) -> None:
        """Stop it and remove its data."""
        if (self._data / "postmaster.pid").exists():
            self._run(*self._control, "-m", "immediate", "stop")
        shutil.rmtree(self.folder)

    def _run(self, *command: str) -> None:
        done = subprocess.run(  # noqa: S603
            [*self._user, *command],
            cwd="/",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=START_S,
        )
        if done.returncode:
            raise PostgresFailed(done.stderr.strip() or f"{command[0]} ended with status {done.returncode}")


def _children(process: int) -> list[int]:
    text = Path(f"/proc/{process}/task/{process}/children").read_text()
    return [int(each) for each in text.split()]


def _kill(process: int) -> None:
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        return


def _wait_for_end(process: int) -> None:
    """Wait until a process is gone or only waits to be collected by its parent."""
    state = Path(f"/proc/{process}/stat")
    while True:
        try:
            if state.read_text().rpartition(")")[2].split()[0] == "Z":
                return
        except OSError:
            return
