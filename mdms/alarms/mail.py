"""Alarms by mail (RFC 6409): STARTTLS or TLS with the server's certificate checked, in the clear to loopback only."""

import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate

from .delivery import CannotSend
from .ledger import OVER, RAISED, Letter
from .settings import MAIL_CREDENTIAL, MailSettings, read_secret

TIMEOUT_S = 30
BEGINNINGS = {RAISED: "Alarm", OVER: "Over"}


class Mail:
    """A channel by mail. Reads the password at once; raises CannotStart."""

    def __init__(self, settings: MailSettings, deployment: str, origin: str | None) -> None:
        self._settings = settings
        self._deployment = deployment
        self._origin = origin
        self._password = read_secret(settings.password_file, MAIL_CREDENTIAL).decode() if settings.user else ""
        self._context = ssl.create_default_context(cafile=settings.ca or None)

    def send(self, letter: Letter) -> None:
        """Submit one message; raises CannotSend."""
        try:
            with self._connection() as server:
                if self._settings.tls == "starttls":
                    server.starttls(context=self._context)
                if self._settings.user:
                    server.login(self._settings.user, self._password)
                refused = server.send_message(self.message(letter))
        except smtplib.SMTPResponseException as error:
            # The code alone: the words are the other side's.
            raise CannotSend(f"{type(error).__name__}, code {error.smtp_code}") from None
        except ssl.SSLCertVerificationError as error:
            raise CannotSend(f"the mail server's certificate: {error.verify_message}") from None
        except OSError as error:  # SMTPException is one
            raise CannotSend(f"{type(error).__name__}: {error.strerror or 'no answer'}") from None
        if refused:
            raise CannotSend(f"{len(refused)} of {len(self._settings.to)} mailboxes were refused")

    def _connection(self) -> smtplib.SMTP:
        where = (self._settings.host, self._settings.port)
        if self._settings.tls == "tls":
            return smtplib.SMTP_SSL(*where, timeout=TIMEOUT_S, context=self._context)
        return smtplib.SMTP(*where, timeout=TIMEOUT_S)

    def message(self, letter: Letter) -> EmailMessage:
        """Return the mail that a message is."""
        mail = EmailMessage()
        mail["From"] = self._settings.sender
        mail["To"] = ", ".join(self._settings.to)
        begins = BEGINNINGS.get(letter.kind, "Still")
        mail["Subject"] = f"[{self._deployment}] {begins}: {letter.alarm}"
        mail["Date"] = formatdate(letter.made)
        # The same for a message that goes out twice.
        mail["Message-ID"] = f"<{letter.id}.{letter.made}.{self._deployment}@alarms.hushmeter>"
        mail["Auto-Submitted"] = "auto-generated"
        where = f"\n\n{self._origin}/operator/alarms" if self._origin else ""
        mail.set_content(f"{letter.said}{where}\n")
        return mail
