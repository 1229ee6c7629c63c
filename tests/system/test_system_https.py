"""HTTPS in front of a real `serve`: nginx, by the configuration that the documentation gives, and nothing else."""

import http.client
import re
import socket
import ssl
import subprocess
import time
from pathlib import Path

import msgspec
import pytest
from alarms_bench import certificate
from browser import program
from pages_bench import PASSWORD, TOKEN
from served import Served

from protocol import reports

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "how-to" / "run-an-mdms.md"
NAME = "energy.example"
PATIENCE_S = 30


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
        places = "".join(
            f"{kind}_temp_path {folder / kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (folder / "nginx.conf").write_text(
            f"user root; daemon off; pid {folder / 'nginx.pid'}; error_log {folder / 'error.log'};"
            f" events {{}} http {{ access_log off; {places} {block} }}"
        )
        command = [program("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf")]
        subprocess.run([*command, "-t"], check=True, capture_output=True, timeout=PATIENCE_S)
        self._run = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        self._wait()
        self.cookies = {}

    def _wait(self):
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.https), timeout=1).close()
                return
            except OSError:
                assert time.monotonic() < deadline, "nginx never listened"
                time.sleep(0.05)

    def connect(self, context=None):
        context = context or ssl.create_default_context(cafile=self.pem)
        raw = socket.create_connection(("127.0.0.1", self.https), timeout=PATIENCE_S)
        connection = http.client.HTTPConnection(NAME)
        connection.sock = context.wrap_socket(raw, server_hostname=NAME)
        return connection

    def ask(self, method, path, body=None, **headers):
        """Ask as a browser that keeps its cookie; returns the answer with its body read."""
        connection = self.connect()
        kept = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())} if self.cookies else {}
        connection.request(method, path, body, {**kept, **headers})
        answer = connection.getresponse()
        answer.text = answer.read().decode()
        if cookie := answer.getheader("Set-Cookie"):
            name, _, rest = cookie.partition("=")
            self.cookies[name] = rest.partition(";")[0]
        connection.close()
        return answer

    def stop(self):
        self._run.terminate()
        self._run.wait(PATIENCE_S)
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
