"""Contents of documents: a good one, altered in one thing at a time."""

from collections.abc import Callable
from typing import Any

from .blocks import Case, json_bytes

ILL = "content is not what its type says"


def content_cases(good: Case, kind: str) -> Callable[..., Case]:
    """Return what makes a case of ``kind``: ``good`` with some members altered, or other bytes altogether."""

    def case(because: str, reason: str | None, content: bytes | None = None, **altered: Any) -> Case:
        data = json_bytes({**good, **altered}) if content is None else content
        verdict = {} if reason is None else {"refused": "document", "reason": reason}
        return {"because": because, "type": kind, **verdict, "content": data.hex()}

    return case
