"""Alarms as JSON by HTTPS POST, with a signature by which the receiver knows them.

`X-Hushmeter-Signature: sha256=HEX` is HMAC-SHA256 under the shared secret over the text of `X-Hushmeter-Timestamp`, a
point, and the body. Redirections are not followed.
"""

import hashlib
import hmac
import http.client
import ssl
import time
from urllib.parse import urlsplit

import msgspec

from ..errors import CannotStart
from .delivery import CannotSend
from .ledger import Letter
from .settings import LEAST_SECRET, WEBHOOK_CREDENTIAL, WebhookSettings, read_secret

TIMEOUT_S = 20


class Webhook:
    """A channel to a program. Reads the secret at once; raises CannotStart."""

    def __init__(self, settings: WebhookSettings, deployment: str) -> None:
        self._url = urlsplit(settings.url)
        self._deployment = deployment
        self._secret = read_secret(settings.secret_file, WEBHOOK_CREDENTIAL)
        if len(self._secret) < LEAST_SECRET:
            raise CannotStart(f"alarms: the webhook's secret has fewer than {LEAST_SECRET} characters")
        self._context = ssl.create_default_context(cafile=settings.ca or None)

    def send(self, letter: Letter) -> None:
        """Post one message; raises CannotSend unless the answer is 2xx."""
        body = self.body(letter)
        timestamp = str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "hushmeter-mdms",
            "X-Hushmeter-Timestamp": timestamp,
            "X-Hushmeter-Signature": signature(self._secret, timestamp, body),
        }
        target = (self._url.path or "/") + (f"?{self._url.query}" if self._url.query else "")
        connection = self._connection()
        try:
            connection.request("POST", target, body, headers)
            status = connection.getresponse().status
        except ssl.SSLCertVerificationError as error:
            raise CannotSend(f"the receiver's certificate: {error.verify_message}") from None
        except (OSError, http.client.HTTPException) as error:
            raise CannotSend(f"{type(error).__name__}: {getattr(error, 'strerror', None) or 'no answer'}") from None
        finally:
            connection.close()
        if not 200 <= status < 300:
            raise CannotSend(f"the receiver answered {status}")

    def _connection(self) -> http.client.HTTPConnection:
        host = self._url.hostname or ""
        if self._url.scheme == "https":
            return http.client.HTTPSConnection(host, self._url.port, timeout=TIMEOUT_S, context=self._context)
        return http.client.HTTPConnection(host, self._url.port, timeout=TIMEOUT_S)

    def body(self, letter: Letter) -> bytes:
        """Return what is posted; ``id`` is the same for a message that goes out twice."""
        told = {
            "version": 1,
            "id": letter.id,
            "deployment": self._deployment,
            "kind": letter.kind,
            "alarm": letter.alarm,
            "said": letter.said,
            "at": letter.made,
        }
        return msgspec.json.encode(told)


def signature(secret: bytes, timestamp: str, body: bytes) -> str:
    """Return the value of the header X-Hushmeter-Signature."""
    return "sha256=" + hmac.new(secret, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
