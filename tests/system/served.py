"""A deployment whose web server really runs, with customers whose meters sealed known energies."""

import json
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import msgspec
from database_bench import database_url
from mdms_bench import K
from pages_bench import Customer, add_users, configure_pages

from mdms.records.bills import Bill, keep_bill
from mdms.records.loads import LoadRelease, keep_load_release
from mdms.store import Store
from protocol import reports

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60


class Served:
    """`python -m mdms serve` on a free port of loopback, with pages, two users and two customers."""

    def __init__(self, bench, folder, **more):
        self.bench, self.folder = bench, folder
        self.me, self.other = (Customer(bench.north, meter) for meter in (0, 1))
        config, _ = bench.write(folder)
        configure_pages(bench, folder, config, (self.me, self.other), **more)
        self.store = Store(database_url(folder))
        add_users(self.store)
        self._errors = folder / "serve.stderr"
        self._run = subprocess.Popen(
            [sys.executable, "-m", "mdms", "serve", "--config", str(config)], cwd=ROOT, stderr=self._errors.open("wb")
        )
        self.url = f"http://localhost:{self._port()}"

    def _port(self):
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            for line in self._errors.read_bytes().splitlines():
                if line.startswith(b"{") and json.loads(line).get("event") == "listening":
                    return json.loads(line)["port"]
            assert self._run.poll() is None, self._errors.read_text()
            time.sleep(0.05)
        raise AssertionError("the server never listened")

    def stop(self):
        self.store.close()
        self._run.send_signal(signal.SIGTERM)
        assert self._run.wait(PATIENCE_S) == 0
        assert b"still running" not in self._errors.read_bytes(), "a thread was left behind"

    def ingest(self, *items):
        """Post signed reports as a concentrator does."""
        request = urllib.request.Request(
            f"{self.url}/api/v1/reports",
            msgspec.json.encode(reports.Batch(list(items))),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            verdicts = [item["verdict"] for item in json.load(answer)["verdicts"]]
        assert set(verdicts) <= {"stored", "duplicate"}, verdicts

    def release(self, street, start, import_mwh, export_mwh=0, contributors=12, status=None):
        """Report an interval, and decide it as the release worker would store it."""
        small = contributors < K
        self.ingest(street.load(start, range(contributors), **({"ciphertext": None} if small else {})))
        status = status or ("too_few_contributors" if small else "released")
        sums = (import_mwh, export_mwh) if status == "released" else (None, None)
        keep_load_release(self.store, LoadRelease(street.name, start, contributors, 12, status, *sums), b"{}")

    def bill(self, account, start, end, import_mwh, export_mwh=0, windows=248, estimated=0):
        keep_bill(
            self.store, Bill(account, start, end, import_mwh, export_mwh, windows, estimated, "released"), [], b"{}"
        )
