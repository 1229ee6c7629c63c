"""A customer's recovery kit as a sheet to print: an SVG of an A4 page, with what the portal's page prints.

The 24 words with their numbers, a QR code (ISO/IEC 18004) of the same words in capitals, the key's fingerprint and what
to do with all of it. Whoever has the sheet has the key.
"""

import io
from collections.abc import Sequence
from xml.sax.saxutils import escape

import segno

_A4 = (210, 297)  # mm
_MARGIN, _LEADING = 20, 6.5
_COLUMNS, _COLUMN = 3, 36
_CODE = 55
_QUIET = 4  # modules of white around the code
_IN_A_GROUP = 4  # characters of a fingerprint, to be read out
_SOMEWHERE = "the address that your utility gave you, page /portal/"


def sheet(words: Sequence[str], fingerprint: str, address: str | None) -> str:
    """Return the SVG. ``address`` is the portal's; None: the sheet says that the utility gives it."""
    groups = " ".join(fingerprint[at : at + _IN_A_GROUP] for at in range(0, len(fingerprint), _IN_A_GROUP))
    rows = -(-len(words) // _COLUMNS)
    top = 58.0
    below = top + max(rows * _LEADING * 1.2, _CODE) + 12
    said = (
        "To open the readings, go to",
        address or _SOMEWHERE,
        "choose “24 words” and type them in this order; or take a photo of the code,",
        "which holds the same words. A photo of this sheet is the key as well.",
        "",
        "Fingerprint of the key, no secret: it must be the one on the meter's label.",
    )
    parts = [
        _text(_MARGIN, 30, "Hushmeter recovery kit", 7, "bold"),
        _text(_MARGIN, 40, "Whoever has this sheet has the key to these readings."),
        _text(_MARGIN, 40 + _LEADING, "Keep it where you keep what must not be lost or found."),
        *(_word(number, word, rows, top) for number, word in enumerate(words)),
        _code(" ".join(words).upper(), _A4[0] - _MARGIN - _CODE, top - 6),
        *(_text(_MARGIN, below + number * _LEADING, line) for number, line in enumerate(said)),
        _text(_MARGIN, below + len(said) * _LEADING, groups, 4.2, family="monospace"),
    ]
    for number, blank in enumerate(("Account:", "Made on:")):
        at = below + (len(said) + 3 + 2 * number) * _LEADING
        parts += [_text(_MARGIN, at, blank), f'<path d="M{_MARGIN} {at + 2:.1f}h110" stroke="#999" stroke-width=".3"/>']
    width, height = _A4
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}mm" height="{height}mm" viewBox="0 0 {width} {height}" '
        f'font-family="sans-serif"><title>Hushmeter recovery kit</title>'
        f'<rect width="100%" height="100%" fill="white"/>{"".join(parts)}</svg>\n'
    )


def _text(x: float, y: float, line: str, size: float = 4.2, weight: str = "normal", family: str = "") -> str:
    face = f' font-family="{family}"' if family else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}"{face}>{escape(line)}</text>'


def _word(number: int, word: str, rows: int, top: float) -> str:
    x, y = _MARGIN + _COLUMN * (number // rows), top + _LEADING * 1.2 * (number % rows)
    return _text(x, y, f"{number + 1}. {word}", 4.4, family="monospace")


def _code(text: str, x: float, y: float) -> str:
    code = segno.make(text, error="m", micro=False)
    drawn = io.BytesIO()
    code.save(drawn, kind="svg", border=_QUIET, xmldecl=False, svgns=False, omitsize=True, nl=False)
    side = code.symbol_size(border=_QUIET)[0]
    place = f'x="{x}" y="{y}" width="{_CODE}" height="{_CODE}" viewBox="0 0 {side} {side}"'
    return f"<svg {place}>{drawn.getvalue().decode()}</svg>"
