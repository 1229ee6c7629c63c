"""The stand-in MDMS: it takes every report, in a thread of its own, and counts what came."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec

from protocol.documents import Document, document_id
from protocol.reports import Batch, BatchAnswer, ItemVerdict

from .street import HOST


class StandIn:
    """Serves on loopback until it is closed; checks no signature, opens nothing.

    ``take`` is told every document and returns its verdict, in one thread at a time.
    """

    def __init__(self, deployment: str, port: int = 0, take: Callable[[Document], str] = lambda _: "stored") -> None:
        self.uploads = 0
        self.reports = 0
        stand_in = self
        taking = threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                batch = msgspec.json.decode(self.rfile.read(length), type=Batch)
                with taking:
                    verdicts = [
                        ItemVerdict(document_id(each.type, deployment, each.content_bytes()), take(each))
                        for each in batch.reports
                    ]
                stand_in.uploads += 1
                stand_in.reports += len(verdicts)
                body = msgspec.json.encode(BatchAnswer(verdicts))
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Nobody reads it."""

        self._server = ThreadingHTTPServer((HOST, port), Handler)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
