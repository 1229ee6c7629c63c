"""A mosquitto of the test's own on a free port of loopback, with TLS and passwords, gone when the test ends."""

import datetime
import ipaddress
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PATIENCE_S = 60
# As docs/how-to/run-a-concentrator.md has it: a user named as a meter writes and reads that meter's topics only.
ACCESS = """\
user concentrator
topic read hushmeter/bench/up/+
topic write hushmeter/bench/down/+
pattern write hushmeter/bench/up/%u
pattern read hushmeter/bench/down/%u
"""


def program(name):
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    assert found, f"{name} is not installed: apt-get install mosquitto"
    return found


class Authority:
    """A certificate authority that lives in the test."""

    def __init__(self):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test's authority")])
        self.certificate = self._sign(self.name, self.key, [(x509.BasicConstraints(ca=True, path_length=0), True)])

    def issue(self, folder, *, host="localhost"):
        """Write a server's key and certificate."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.DNSName(host)]
        if host == "localhost":
            names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        certificate = self._sign(subject, key, [(x509.SubjectAlternativeName(names), False)])
        (folder / "server.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        (folder / "server.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )

    def write(self, path):
        path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        return path

    def _sign(self, subject, key, extensions):
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=2))
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(self.key, hashes.SHA256())


class Mosquitto:
    """One broker; `passwords` is {user: password}. It listens on the same port whenever it is started."""

    def __init__(self, passwords, *, host="localhost", access=ACCESS):
        self.folder = Path(tempfile.mkdtemp(prefix="hushmeter-mosquitto-"))
        self.authority = Authority()
        self.ca = self.authority.write(self.folder / "ca.pem")
        self.authority.issue(self.folder, host=host)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        words = self.folder / "passwords"
        words.write_text("".join(f"{user}:{password}\n" for user, password in passwords.items()))
        subprocess.run([program("mosquitto_passwd"), "-U", str(words)], check=True)
        (self.folder / "access").write_text(access)
        (self.folder / "mosquitto.conf").write_text(
            f"listener {self.port} 127.0.0.1\n"
            f"certfile {self.folder}/server.pem\nkeyfile {self.folder}/server.key\n"
            f"allow_anonymous false\npassword_file {words}\nacl_file {self.folder}/access\n"
            "user root\nlog_dest stderr\n"
        )
        self.process = None
        self.start()

    def start(self):
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [program("mosquitto"), "-c", str(self.folder / "mosquitto.conf")], stdout=log, stderr=log
            )
        until = time.monotonic() + PATIENCE_S
        while True:
            assert self.process.poll() is None, (self.folder / "log").read_text()
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                assert time.monotonic() < until, (self.folder / "log").read_text()
                time.sleep(0.02)

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self):
        self.kill()
        shutil.rmtree(self.folder)
