"""A mail server and an HTTP receiver on loopback, real ones, that can be told to refuse; and certificates for them."""

import datetime
import ipaddress
import socket
import ssl
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PASSWORD = "a mail server's password"
SECRET = b"a webhook's secret, long enough"


def certificate(folder, name="server", host="localhost"):
    """Write a self-signed certificate for a host and loopback, and its key; returns (certificate, key)."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName(host), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = folder / f"{name}.pem", folder / f"{name}.key"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    files[1].write_bytes(key.private_bytes(*plain))
    return files


class MailServer:
    """aiosmtpd behind STARTTLS and a password. ``refuse`` is what it answers to a message, where it is set."""

    def __init__(self, folder):
        self.pem, key = certificate(folder, "mail")
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.pem, key)
        self.mails, self.refuse, self.secured = [], None, []
        self._controller = Controller(
            self,
            hostname="127.0.0.1",
            port=0,
            tls_context=context,
            require_starttls=True,
            auth_required=True,
            authenticator=self._is_known,
        )
        # Port 0 is not taken for a free one by the controller's own trial connection: choose one here.
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._controller.port = free.getsockname()[1]
        self._controller.start()
        self.port = self._controller.port

    def _is_known(self, _server, _session, _envelope, _mechanism, data):
        right = (data.login, data.password) == (b"alarms", PASSWORD.encode())
        return AuthResult(success=right, handled=False)

    async def handle_DATA(self, _server, session, envelope):
        if self.refuse:
            return self.refuse
        self.secured.append(session.ssl is not None)
        self.mails.append(envelope.content.decode())
        return "250 taken"

    def stop(self):
        self._controller.stop()


class Receiver:
    """An HTTP server that keeps what is posted and answers ``status``."""

    def __init__(self, context=None):
        self.posts, self.status = [], 204
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if 200 <= outer.status < 300:
                    outer.posts.append((dict(self.headers), body))
                self.send_response(outer.status)
                if outer.status == 302:
                    self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()
