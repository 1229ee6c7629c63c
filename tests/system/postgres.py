"""A PostgreSQL of the test's own, on a free port of loopback, gone when the test ends."""

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

PATIENCE_S = "60"


def program(name):
    places = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    found = str(places[-1]) if places else shutil.which(name)
    assert found, f"{name} is not installed: apt-get install postgresql"
    return found


class Postgres:
    """One server; `url` is SQLAlchemy's. PostgreSQL refuses to run as root, so it runs as its package's user then."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="hushmeter-postgres-"))
        self._user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        if self._user:
            shutil.chown(self.folder, "postgres", "postgres")
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        data = str(self.folder / "data")
        self._run(program("initdb"), "-D", data, "-U", "hushmeter", "-A", "trust", "-E", "UTF8", "--locale=C")
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder} -c fsync=off"
        self._control = (program("pg_ctl"), "-D", data, "-w", "-t", PATIENCE_S)
        self._run(*self._control, "-l", str(self.folder / "log"), "-o", options, "start")
        self.url = f"postgresql+psycopg://hushmeter@127.0.0.1:{port}/postgres"

    def _run(self, *command):
        done = subprocess.run(
            [*self._user, *command], cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    def stop(self):
        self._run(*self._control, "-m", "immediate", "stop")
        shutil.rmtree(self.folder)
