"""What a browser calls this server, and which calls are for it.

A customer's answer to a challenge is bound to the origin that the customer's own browser sees. Were the server to
believe any Host header, a page elsewhere could pass a challenge on under its own name and log in with the answer.
"""

import re
from dataclasses import dataclass

# An SSH tunnel may have another port than the server's.
LOOPBACK = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?\Z")


@dataclass(frozen=True, slots=True)
class Origins:
    """The configured origin, or any of loopback's by plain HTTP where none is configured."""

    configured: str | None

    @property
    def secure(self) -> bool:
        """Whether browsers come by HTTPS, so that cookies are for HTTPS alone."""
        return self.configured is not None and self.configured.startswith("https:")

    def of(self, host: str) -> str | None:
        """Return the origin of a request by its Host header; None for a host that is not this server."""
        if self.configured is not None:
            return self.configured if host == self.configured.partition("://")[2] else None
        return f"http://{host}" if LOOPBACK.match(host) else None
