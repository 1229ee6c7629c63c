"""An MDMS that a test plays, over HTTP: it takes a concentrator's uploads and says what the test wants."""

import contextlib
import http.server
import threading

import msgspec
from gateway_bench import DEPLOYMENT

from protocol import documents
from protocol.reports import Batch


def verdicts_of(body, verdict="stored", reason=""):
    """Return the answer of an honest MDMS to a batch."""
    found = msgspec.json.decode(body, type=Batch).reports
    names = [documents.document_id(each.type, DEPLOYMENT, each.content_bytes()) for each in found]
    return {"verdicts": [{"id": name, "verdict": verdict, "reason": reason} for name in names]}


def honest(body):
    return answer(verdicts_of(body))


def answer(value, status=200):
    data = value if isinstance(value, bytes) else msgspec.json.encode(value)
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (status, len(data)) + data


class Mdms:
    """An MDMS that follows a script: a function of the body to raw bytes for each request, the last one for ever."""

    def __init__(self, *script):
        self.script = list(script)
        self.bodies = []
        mdms = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                assert self.path == "/api/v1/reports"
                assert self.headers["Content-Type"] == "application/json"
                body = self.rfile.read(int(self.headers["Content-Length"]))
                mdms.bodies.append(body)
                said = (mdms.script.pop(0) if len(mdms.script) > 1 else mdms.script[0])(body)
                with contextlib.suppress(OSError):
                    self.wfile.write(said)
                self.close_connection = True

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
