"""HTTPS in front of a real `serve`: nginx, by the configuration that the documentation gives, and nothing else."""

import http.client
import json
import re
import socket
import ssl
from pathlib import Path

import msgspec
import pytest
from alarms_bench import certificate
from mdms_bench import MARCH
from nginx import PATIENCE_S, Nginx
from pages_bench import PASSWORD, TOKEN
from served import Served

from mdms.portal.rows import STREAM_S
from protocol import logins, reports

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "how-to" / "run-an-mdms.md"
NAME = "energy.example"


def documented():
    """The block of the page."""
    [block] = re.findall(r"^```nginx\n(.*?)^```", PAGE.read_text(), re.M | re.S)
    return block


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


class Proxied:
    """nginx before a `serve`. Ports and files of the block are this machine's, the rest is as it stands there."""

    def __init__(self, bench, folder):
        self.served = Served(bench, folder, origin=f"https://{NAME}", trusted_proxy="127.0.0.1")
        self.pem, key = certificate(folder, "energy", NAME)
        self.http, self.https = free_port(), free_port()
        block = documented()
        for before, after in (
            ("listen 80;", f"listen 127.0.0.1:{self.http};"),
            ("listen 443 ssl;", f"listen 127.0.0.1:{self.https} ssl;"),
            ("/etc/ssl/energy.pem", str(self.pem)),
            ("/etc/ssl/energy.key", str(key)),
            ("http://127.0.0.1:8600", self.served.url.replace("localhost", "127.0.0.1")),
        ):
            assert block.count(before) == 1, before
            block = block.replace(before, after)
        self._nginx = Nginx(folder, block, self.https)
        self.cookies = {}

    def connect(self, context=None):
        context = context or ssl.create_default_context(cafile=self.pem)
        raw = socket.create_connection(("127.0.0.1", self.https), timeout=PATIENCE_S)
        connection = http.client.HTTPConnection(NAME)
        connection.sock = context.wrap_socket(raw, server_hostname=NAME)
        return connection

    def ask(self, method, path, body=None, **headers):
        """Ask as a browser that keeps its cookie; returns the answer with its body read."""
        connection = self.begin(method, path, body, **headers)
        answer = connection.getresponse()
        answer.text = answer.read().decode()
        if cookie := answer.getheader("Set-Cookie"):
            name, _, rest = cookie.partition("=")
            self.cookies[name] = rest.partition(";")[0]
        connection.close()
        return answer

    def begin(self, method, path, body=None, **headers):
        connection = self.connect()
        kept = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())} if self.cookies else {}
        connection.request(method, path, body, {**kept, **headers})
        return connection

    def sign_in(self, customer):
        """Answer a customer's challenge with the key, as the page does."""
        post = {"Content-Type": "application/json", "X-CSRFToken": TOKEN.search(self.ask("GET", "/portal/").text)[1]}
        asked = json.dumps({"account": customer.account})
        challenge = logins.Challenge(**json.loads(self.ask("POST", "/portal/challenge.json", asked, **post).text))
        answer = logins.answer_challenge(customer.key, challenge, f"https://{NAME}", customer.account)
        assert self.ask("POST", "/portal/answer.json", msgspec.json.encode(answer), **post).status == 200

    def stop(self):
        self._nginx.stop()
        self.served.stop()


@pytest.fixture
def proxied(bench, tmp_path):
    proxied = Proxied(bench, tmp_path)
    yield proxied
    proxied.stop()


def form(**fields):
    from urllib.parse import urlencode

    return urlencode(fields), {"Content-Type": "application/x-www-form-urlencoded"}


def test_somebody_signs_in_through_it_and_the_cookie_is_for_https_alone(proxied):
    answer = proxied.ask("GET", "/login")
    assert answer.status == 200
    assert "; Secure" in answer.getheader("Set-Cookie")
    assert answer.getheader("Strict-Transport-Security").startswith("max-age=")
    body, kind = form(csrf_token=TOKEN.search(answer.text)[1], name="ope", password=PASSWORD)
    answer = proxied.ask("POST", "/login", body, **kind)
    assert (answer.status, answer.getheader("Location")) == (303, "/operator/")
    assert "Fleet" in proxied.ask("GET", "/operator/").text


def test_a_client_cannot_choose_the_address_by_which_guessing_is_limited(proxied):
    token = TOKEN.search(proxied.ask("GET", "/login").text)[1]
    body, kind = form(csrf_token=token, name="ope", password="wrong password")
    found = [
        proxied.ask("POST", "/login", body, **kind, **{"X-Forwarded-For": f"198.51.100.{at}"}).status
        for at in range(12)
    ]
    assert found == [403] * 10 + [429] * 2


def test_reports_come_through_it_and_what_is_too_long_does_not(proxied, bench):
    batch = msgspec.json.encode(reports.Batch([bench.north.load()]))
    answer = proxied.ask("POST", "/api/v1/reports", batch, **{"Content-Type": "application/json"})
    assert (answer.status, "stored" in answer.text) == (200, True)
    long = b" " * ((1 << 20) + 1)
    assert proxied.ask("POST", "/api/v1/reports", long, **{"Content-Type": "application/json"}).status == 413


def test_plain_http_is_sent_to_https_and_old_tls_to_nowhere(proxied):
    connection = http.client.HTTPConnection("127.0.0.1", proxied.http, timeout=PATIENCE_S)
    connection.request("GET", "/operator/?a=b", headers={"Host": NAME})
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("Location")) == (301, f"https://{NAME}/operator/?a=b")
    connection.close()
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.load_verify_locations(proxied.pem)
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        proxied.connect(old)


def test_another_host_gets_no_page(proxied):
    assert proxied.ask("GET", "/login", Host="evil.example").status == 421


def test_news_of_a_row_comes_through_it_while_the_stream_is_open(proxied):
    me = proxied.served.me
    proxied.sign_in(me)
    # A proxy that kept the stream back would answer when it ends, and by then nobody listens here.
    assert PATIENCE_S < STREAM_S
    connection = proxied.begin("GET", f"/portal/accounts/{me.account}/rows.events")
    answer = connection.getresponse()
    assert answer.getheader("Content-Type").startswith("text/event-stream")
    assert event(answer) == [b"retry: 250", b"event: here", b"data:"]
    for number in (1, 2):
        proxied.served.ingest(me.segment([me.row(MARCH + number * 60, 5)]))
        assert event(answer) == [b"data: %d" % number]
    connection.close()


def event(answer):
    """The next event's lines; comments between events are beats."""
    lines = []
    while True:
        line = answer.readline()
        assert line, "the stream ended"
        if line == b"\n" and lines:
            return lines
        if line != b"\n" and not line.startswith(b":"):
            lines.append(line.rstrip())
