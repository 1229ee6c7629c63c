"""A meter, a concentrator and an MDMS of one deployment as processes, in real time, with a watched line between."""

import contextlib
import secrets
import subprocess
import sys
import time
from pathlib import Path

from logged_process import LoggedProcess
from real_concentrator import NAME, Concentrator, copy_provisioning
from relay import Relay

from protocol import wire
from scripts.deployment import toml, write_private
from scripts.street import free_port, release_log

ROOT = Path(__file__).resolve().parents[2]
MICROPYTHON = Path(sys.executable).parent / "micropython"
INTERVAL_S = DETAIL_S = 2  # so that a row waits at its meter for no other (firmware/README.md)


class Line(Relay):
    """A TCP line from meters to a concentrator that notes when each DETAIL passes, by its counter.

    The time is taken before the concentrator has a byte of the frame's last piece.
    """

    def __init__(self, port):
        self.passed = {}  # counter: UTC seconds
        super().__init__(port)

    def listeners(self):
        deframer = wire.Deframer()

        def note(piece):
            deframer.feed(piece)
            for frame in deframer:
                header = wire.parse_header(frame)
                if header.type == wire.DETAIL:
                    self.passed.setdefault(header.counter, time.time())

        return note, lambda piece: None


class LiveChain:
    """Starts the MDMS and the concentrator; ``meter()`` starts the meter.

    ``account`` is its customer's, and so is the private key ``customer``.
    """

    def __init__(self, folder):
        self._folder = folder
        port = free_port()
        self.url = f"http://localhost:{port}"
        self._concentrator = Concentrator(folder / "deployment", INTERVAL_S, mdms_url=f"http://127.0.0.1:{port}")
        self.account = self._concentrator.account
        self.customer = self._concentrator.customer
        self._mdms = self._configure_mdms(port)

    def _configure_mdms(self, port):
        place, facts = self._concentrator.deployment, self._concentrator.facts
        place.tariffs.mkdir(parents=True)
        release_log(place).touch()
        values = {
            "deployment": NAME,
            "operator_key": facts.operator_key,
            "rosters": str(place.rosters.resolve()),
            "tariffs": str(place.tariffs.resolve()),
            "envelopes": str(place.envelopes.resolve()),
            "session_key": "session.key",
            "release_log": str(release_log(place).resolve()),
            "log_key": facts.log_key,
            "database": f"sqlite:///{(place.mdms / 'mdms.sqlite3').resolve()}",
            "listen": f"127.0.0.1:{port}",
            "keyholder_socket": "nobody",  # no sum is asked for here
        }
        write_private(place.mdms / "session.key", secrets.token_hex(32).encode())
        write_private(place.mdms / "mdms.toml", toml(values))
        return place.mdms / "mdms.toml"

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            mdms = LoggedProcess([sys.executable, "-m", "mdms", "serve", "--config", str(self._mdms)])
            stack.callback(mdms.stop)
            mdms.said('"listening"')
            stack.enter_context(self._concentrator)
            self.line = Line(self._concentrator.port)
            stack.callback(self.line.close)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error):
        return self._stack.__exit__(*error)

    def counts(self):
        return self._concentrator.counts()

    @contextlib.contextmanager
    def meter(self):
        """Run the meter, with its keys; its output is folder/meter.log."""
        copy_provisioning(self._concentrator, self._folder / "meter.json")
        command = [MICROPYTHON, "tests/system/rising_meter.py", self._folder, self.line.port, INTERVAL_S, DETAIL_S]
        with (self._folder / "meter.log").open("ab") as log:
            process = subprocess.Popen([str(part) for part in command], cwd=ROOT, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.kill()
            process.wait()
