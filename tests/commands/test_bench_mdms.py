"""The MDMS's benchmark: a whole tiny run, and that it cannot be satisfied by a server that stores nothing.

No test here says how long anything takes.
"""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from click.testing import CliRunner

from protocol.reports import BatchAnswer, ItemVerdict
from scripts.bench_mdms import __main__ as command
from scripts.bench_mdms.measure import Measurement, WrongAnswer, send


def measurement(database, per_second, cpu_us):
    return Measurement(database, 1000, 1000 / per_second, cpu_us * 1e-3, 90.0, {})


def test_a_tiny_run_prints_rates_shares_and_figures():
    tiny = ["--reports", "300", "--batch", "50", "--meters", "7", "--key-bits", "512", "--unsafe-small-key"]
    done = CliRunner().invoke(command.main, [*tiny, "--database", "sqlite"])
    assert done.exit_code == 0, done.output
    for word in ("SQLite", "signature", "validation", "database", "not measured SQLite, reports/s as it ran"):
        assert word in done.output, word


def test_a_figure_is_reached_or_not_and_only_with_a_key_of_full_length():
    fast, slow = measurement("SQLite", 2500, 300), measurement("PostgreSQL", 1500, 600)
    assert [figure.reached for figure in command.figures([fast, slow], 3072)] == [True, True, False, False]
    assert {figure.reached for figure in command.figures([fast, slow], 2048)} == {None}


@pytest.mark.parametrize(
    ("status", "verdict"), [(200, "duplicate"), (200, "refused"), (503, "stored")], ids=lambda it: str(it)
)
def test_a_report_that_is_not_stored_ends_the_run(status, verdict):
    import msgspec

    class Wrong(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            body = msgspec.json.encode(BatchAnswer([ItemVerdict("x", verdict)]))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Wrong)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    with pytest.raises(WrongAnswer):
        send(server.server_address[1], [b"{}"])
    server.shutdown()
    thread.join()
    server.server_close()
