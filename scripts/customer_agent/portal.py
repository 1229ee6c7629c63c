"""The customer's door from outside: signs in as the portal's page does, and asks for the envelope and for sealed rows.

What is sent: an account, an answer to a challenge (protocol, chapter 10), a number. `info` is built from the configured
origin, never from what the server says, so that an answer is of no use to another server. Asking does not keep a
session alive, and no person is pretended: when it has ended, the agent signs in again.
"""

import email.utils
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import msgspec
from Crypto.PublicKey.ECC import EccKey
from requests.exceptions import RequestException, SSLError
from requests.sessions import Session

from protocol import documents, envelopes, logins, wire
from protocol.documents import Document, DocumentError
from protocol.envelopes import Envelope

TOKEN = re.compile(rb'name="csrf-token" content="([^"]+)"')
TIMEOUT_S = 30
MAX_ANSWER = 4 << 20  # 5,000 rows are 600 kB
LONGEST_WAIT_S = 3600

_Answer = TypeVar("_Answer")


class PortalError(Exception):
    """What was asked for did not come; the message says what to do, and holds no secret."""


class Unreachable(PortalError):
    """The server is away or does not answer as it should: try again. ``after_s``: not before so many seconds."""

    def __init__(self, message: str, after_s: int = 0) -> None:
        super().__init__(message)
        self.after_s = after_s


class Refused(PortalError):
    """Key, account and server do not belong together: trying again helps only after somebody changed something."""


class SignedOut(PortalError):
    """The session has ended: sign in again."""


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP answer; header names in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class Transport(Protocol):
    """One server's origin, with cookies. Follows no redirects; raises Unreachable."""

    def ask(self, path: str) -> Response:
        """GET a path."""

    def send(self, path: str, body: bytes, headers: dict[str, str]) -> Response:
        """POST JSON to a path."""


class HttpTransport:
    """Requests to an origin, certificates verified: by the authorities of a PEM file, or the usual ones."""

    def __init__(self, origin: str, ca: str | None = None) -> None:
        self._origin = origin
        self._session = Session()
        # No proxy, password or authority from the environment or ~/.netrc: what is used stands in the configuration.
        self._session.trust_env = False
        self._session.verify = ca or True

    def ask(self, path: str) -> Response:
        """GET a path."""
        return self._do("GET", path, None, {})

    def send(self, path: str, body: bytes, headers: dict[str, str]) -> Response:
        """POST JSON to a path."""
        return self._do("POST", path, body, {"Content-Type": "application/json", **headers})

    def _do(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Response:
        try:
            with self._session.request(
                method,
                self._origin + path,
                data=body,
                headers=headers,
                timeout=TIMEOUT_S,
                allow_redirects=False,
                stream=True,
            ) as answer:
                data = bytearray()
                for piece in answer.iter_content(1 << 16):
                    data += piece
                    if len(data) > MAX_ANSWER:
                        raise Unreachable("the server's answer is longer than any answer of a portal")
                small = {name.lower(): value for name, value in answer.headers.items()}
                return Response(answer.status_code, small, bytes(data))
        except SSLError:
            why = "the server's certificate is not accepted: check 'server', 'server_ca' and the clock"
            raise Unreachable(why) from None
        except (RequestException, OSError, ValueError) as error:
            raise Unreachable(f"the server cannot be reached: {type(error).__name__}") from None


class _Signed(msgspec.Struct):
    csrf_token: str


class _EnvelopeAnswer(msgspec.Struct):
    envelope: Envelope
    document: Document
    zone: str


class _RowsAnswer(msgspec.Struct):
    rows: str
    next: int
    more: bool


@dataclass(frozen=True, slots=True)
class Rows:
    """Whole sealed rows behind a number, the number to ask behind next, and the server's UTC seconds, if told."""

    rows: bytes
    next: int
    more: bool
    at: int | None


class Portal:
    """One account at one server. ``operator_key`` with ``deployment`` has the envelope's signature verified."""

    def __init__(
        self, transport: Transport, origin: str, account: str, key: EccKey, deployment: str = "", operator_key: str = ""
    ) -> None:
        self._transport = transport
        self._origin = origin
        self._account = account
        self._key = key
        self._deployment = deployment
        self._operator_key = operator_key
        self.zone = "UTC"

    def sign_in(self) -> Envelope:
        """Begin a session and return the account's envelope; raises Unreachable or Refused."""
        token = TOKEN.search(self._expect(self._transport.ask("/portal/"), 200).body)
        if token is None:
            raise Unreachable("the server shows no portal: check 'server'")
        challenge = self._send(
            "/portal/challenge.json", logins.Asked(self._account), token[1].decode(), logins.Challenge
        )
        try:
            answer = logins.answer_challenge(self._key, challenge, self._origin, self._account)
        except DocumentError:
            raise Refused("this key and this account do not belong together at this server") from None
        self._send("/portal/answer.json", answer, token[1].decode(), _Signed)
        return self._envelope()

    def rows(self, after: int) -> Rows:
        """Return rows that arrived behind a number; raises SignedOut or Unreachable."""
        response = self._expect(self._transport.ask(f"{self._own}/rows.json?after={after}"), 200)
        found = _read(response.body, _RowsAnswer)
        try:
            rows = documents.from_base64url(found.rows, "rows")
        except DocumentError:
            raise Unreachable("the server's rows cannot be read") from None
        # An answer that does not get on would have the agent ask for ever.
        if len(rows) % wire.ROW_BYTES or found.next < after or (found.next == after and (rows or found.more)):
            raise Unreachable("the server's rows do not fit what was asked for")
        return Rows(rows, found.next, found.more, _moment(response.headers.get("date", "")))

    @property
    def _own(self) -> str:
        return f"/portal/accounts/{self._account}"

    def _envelope(self) -> Envelope:
        found = _read(self._expect(self._transport.ask(f"{self._own}/envelope.json"), 200).body, _EnvelopeAnswer)
        self.zone = found.zone
        envelope = found.envelope
        if self._operator_key:
            try:
                operator = documents.import_public_key(self._operator_key)
                content = documents.verify(found.document, self._deployment, operator)
                envelope = documents.parse(content, Envelope)
            except DocumentError as error:
                raise Refused(f"the account's envelope is not the operator's: {error}") from None
        if envelope.pseudonym != self._account or envelope.customer_key != envelopes.fingerprint(self._key):
            raise Refused("the account's envelope is sealed to another key or account than yours")
        return envelope

    def _send(self, path: str, message: Any, token: str, kind: type[_Answer]) -> _Answer:
        headers = {"X-CSRFToken": token, "Referer": f"{self._origin}/portal/"}
        response = self._transport.send(path, msgspec.json.encode(message), headers)
        if response.status == 403:
            raise Refused("the server does not accept this key for this account, or the answer took too long")
        return _read(self._expect(response, 200).body, kind)

    def _expect(self, response: Response, status: int) -> Response:
        if response.status == status:
            return response
        if response.status == 401:
            raise SignedOut("the session has ended")
        if response.status == 404:
            raise Refused("the server does not know this account, or is none of these servers")
        after = response.headers.get("retry-after", "")
        wait = min(int(after), LONGEST_WAIT_S) if after.isascii() and after[:9].isdigit() and len(after) < 10 else 0
        words = {429: "the server asks to wait: too many requests", 400: "the server does not take the request"}
        raise Unreachable(words.get(response.status, f"the server answers {response.status}"), wait)


def _read(body: bytes, kind: type[_Answer]) -> _Answer:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise Unreachable("the server's answer cannot be read") from None


def _moment(text: str) -> int | None:
    try:
        return int(email.utils.parsedate_to_datetime(text).timestamp())
    except (ValueError, TypeError, OverflowError):
        return None
