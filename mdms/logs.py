"""Log lines: JSON on stderr. No reading, ciphertext, key or request body is ever an argument of one."""

import sys

import structlog
from structlog.typing import EventDict


def start_logging(process: str) -> None:
    """Send every log line of this process to stderr as JSON; ``process`` names it in each."""

    def name_process(_logger: object, _method: str, event: EventDict) -> EventDict:
        return {"process": process, **event}

    structlog.configure(
        processors=[
            name_process,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
