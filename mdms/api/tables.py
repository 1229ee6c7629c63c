"""Tables as CSV (RFC 4180)."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from flask import Response

# For a route's description, beside its JSON.
AS_CSV: dict[int | str, Any] = {
    200: {"description": "JSON, or CSV where format says so", "content": {"text/csv": {"schema": {"type": "string"}}}}
}
# Spreadsheets run a cell that begins with one of these as a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_response(name: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Response:
    """Return rows as a file to download; what is None is an empty cell."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows([_cell(value) for value in row] for row in rows)
    response = Response(text.getvalue(), mimetype="text/csv")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return response


def _cell(value: object) -> object:
    # A pseudonym may begin with "-", and an energy is a number and no text.
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
