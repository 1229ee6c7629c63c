"""The agent's HTTP: no redirects, no endless answers, nothing taken from the environment."""

import http.server
import threading

import pytest

from scripts.customer_agent import portal
from scripts.customer_agent.portal import HttpTransport, Unreachable


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.seen.append((self.path, dict(self.headers)))
        if self.path == "/away":
            self.send_response(302)
            self.send_header("Location", "/elsewhere")
            self.end_headers()
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"x" * (2000 if self.path == "/long" else 5))

    def log_message(self, *_args):
        pass


@pytest.fixture
def server():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.seen = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def transport(server):
    return HttpTransport(f"http://127.0.0.1:{server.server_address[1]}")


def test_a_redirect_is_an_answer_and_not_followed(server):
    assert transport(server).ask("/away").status == 302
    assert [path for path, _ in server.seen] == ["/away"]


def test_an_answer_without_end_is_not_read_to_its_end(server, monkeypatch):
    monkeypatch.setattr(portal, "MAX_ANSWER", 1000)
    with pytest.raises(Unreachable, match="longer"):
        transport(server).ask("/long")
    assert transport(server).ask("/").body == b"xxxxx"


def test_proxies_and_passwords_of_the_environment_are_not_used(server, monkeypatch, tmp_path):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password word\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert transport(server).ask("/").status == 200
    ((_, headers),) = server.seen
    assert "Authorization" not in headers


def test_a_server_that_is_not_there_is_said_and_its_address_is_not(server):
    with pytest.raises(Unreachable, match="cannot be reached: ConnectionError"):
        HttpTransport("http://127.0.0.1:1").ask("/portal/")
