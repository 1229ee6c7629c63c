"""The label on a meter: who it is, and a QR code of the same. Nothing on it is secret, and no account is named.

The QR code (ISO/IEC 18004) holds `hushmeter:TITLE?customer=FINGERPRINT`. The fingerprint is the one that the customer
compares outside the portal (protocol/README.md): a key that was swapped on the way does not match the sticker. The
account's pseudonym is not on it: it would tell a passer-by which account of a published roster lives here.
"""

from __future__ import annotations

import io
from pathlib import Path
from xml.sax.saxutils import escape

import segno

from .deployment import DeploymentError

_MODULE_MM = 0.6
_TEXT_MM = 2.6  # height of a line; the fingerprint has 43 characters in two lines
_WIDTH_MM = 70


def content(title: str, customer: str) -> str:
    """Return what the QR code says."""
    return f"hushmeter:{title}?customer={customer}"


def check_label(path: Path) -> None:
    """Raise DeploymentError for a label's file that exists or is of another kind."""
    if path.suffix not in (".svg", ".png"):
        raise DeploymentError(f"{path}: a label is an .svg with text, or a .png of the QR code alone")
    if path.exists():
        raise DeploymentError(f"{path} exists already and is not overwritten")


def write_label(path: Path, title: str, customer: str, version: str) -> None:
    """Write a label: an SVG of 70 mm with text beside the code, or a PNG of the code alone."""
    code = segno.make(content(title, customer), error="m", micro=False)
    if path.suffix == ".png":
        code.save(str(path), scale=8)
    else:
        path.write_text(svg(code, title, customer, version))


def svg(code: segno.QRCode, title: str, customer: str, version: str) -> str:
    """Return a printable label; its lengths are in millimetres."""
    size = code.symbol_size()[0] * _MODULE_MM
    drawn = io.BytesIO()
    code.save(drawn, kind="svg", xmldecl=False, svgns=False, omitsize=True, nl=False)
    half = len(customer) // 2
    lines = ("Hushmeter", f"meter {title}", f"firmware {version}", "customer's key", customer[:half], customer[half:])
    height = max(size, (len(lines) + 1) * _TEXT_MM * 1.5)
    text = "".join(
        f'<text x="{size + 1:.1f}" y="{(number + 1.5) * _TEXT_MM * 1.4:.1f}">{escape(line)}</text>'
        for number, line in enumerate(lines)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH_MM}mm" height="{height:.1f}mm" '
        f'viewBox="0 0 {_WIDTH_MM} {height:.1f}" font-family="monospace" font-size="{_TEXT_MM}">'
        f'<rect width="100%" height="100%" fill="white"/>'
        f'<svg width="{size:.1f}" height="{size:.1f}" viewBox="0 0 {code.symbol_size()[0]} {code.symbol_size()[0]}">'
        f"{drawn.getvalue().decode()}</svg>{text}</svg>\n"
    )
