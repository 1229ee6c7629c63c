"""The plot of a run: how many times faster than phe, on a logarithmic scale, as an SVG that needs nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from math import ceil, floor, log10

from .rows import ONLY, OURS, Row

TITLES = {
    "path_reading": "A reading through the concentrator",
    "encrypt": "Encrypt",
    "fold": "Fold into an open sum, its emission left out",
    "add": "Add",
    "decrypt": "Decrypt",
    "decrypt_packed_value": "Decrypt, each packed value",
}

MODES = {("path_reading", "fold"): "fold, emission left out"}

WIDTH = 860
LEFT = 262
RIGHT = 90
BAR = 15
STEP = 21
TITLE_STEP = 34
TOP = 62
BOTTOM = 44

STYLE = """
    text { font: 13px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2328 }
    .page { fill: #ffffff } .head { font-size: 16px; font-weight: 600 } .group { font-weight: 600 }
    .value { paint-order: stroke; stroke: #ffffff; stroke-width: 4px }
    .small { font-size: 12px; fill: #59636e } .grid { stroke: #d1d9e0 } .one { stroke: #59636e }
    .ours { fill: #0969da } .peer { fill: #9aa4af }
    @media (prefers-color-scheme: dark) {
      text { fill: #f0f6fc } .page { fill: #0d1117 } .value { stroke: #0d1117 }
      .small { fill: #9198a1 } .grid { stroke: #3d444d } .one { stroke: #9198a1 }
      .ours { fill: #4493f8 } .peer { fill: #656c76 }
    }
"""


def svg(rows: Sequence[Row], bits: int, caption: str) -> str:
    """Return a plot of the ratios at one length of key; operations in TITLES that have any."""
    groups = {
        operation: sorted(
            (row for row in rows if (row.operation, row.bits) == (operation, bits) and row.ratio_to_phe is not None),
            key=lambda row: -(row.ratio_to_phe or 0),
        )
        for operation in TITLES
    }
    groups = {operation: members for operation, members in groups.items() if members}
    ratios = [row.ratio_to_phe or 1 for members in groups.values() for row in members]
    low, high = floor(log10(min([1, *ratios]))), ceil(log10(max([10, *ratios])))
    height = TOP + sum(TITLE_STEP + STEP * len(members) for members in groups.values()) + BOTTOM

    def x(ratio: float) -> float:
        return LEFT + (log10(ratio) - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    head = f"Times as fast as phe, {bits}-bit key"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
        f' role="img" aria-label="{escape(head, quote=True)}">',
        f"<style>{STYLE}</style>",
        f'<rect class="page" width="{WIDTH}" height="{height}"/>',
        f'<text class="head" x="16" y="28">{escape(head)}</text>',
        f'<text class="small" x="16" y="47">{escape(caption)}</text>',
    ]
    foot = height - BOTTOM + 8
    for exponent in range(low, high + 1):
        place = x(10**exponent)
        kind = "one" if exponent == 0 else "grid"
        parts.append(f'<path class="{kind}" d="M{place:.1f} {TOP}V{foot}"/>')
        parts.append(
            f'<text class="small" x="{place:.1f}" y="{foot + 18}" text-anchor="middle">{_tick(exponent)}</text>'
        )
    y = TOP
    for operation, members in groups.items():
        y += TITLE_STEP
        parts.append(f'<text class="group value" x="16" y="{y - 7}">{escape(TITLES[operation])}</text>')
        for row in members:
            parts += _bar(row, y, x)
            y += STEP
    return "\n".join([*parts, "</svg>"]) + "\n"


def _bar(row: Row, y: int, x: Callable[[float], float]) -> list[str]:
    """Return one bar from 1 to its ratio, its name to the left of all bars and its number right of its own."""
    ratio = row.ratio_to_phe or 1
    start, end = sorted((x(1), x(ratio)))
    kind = "ours" if row.implementation == OURS else "peer"
    mode = MODES.get((row.operation, row.mode), row.mode)
    name = row.implementation if mode == ONLY else f"{row.implementation}, {mode}"
    baseline = y + BAR - 3
    return [
        f'<text x="{LEFT - 12}" y="{baseline}" text-anchor="end">{escape(name)}</text>',
        f'<rect class="{kind}" x="{start:.1f}" y="{y}" width="{max(end - start, 2):.1f}" height="{BAR}" rx="2"/>',
        f'<text class="value" x="{end + 7:.1f}" y="{baseline}">{times(ratio)}</text>',
    ]


def times(ratio: float) -> str:
    """Return a ratio with three significant digits at most and its sign: 0.12×, 1.36×, 24.8×, 2,950×."""
    if ratio >= 99.5:
        rounded = round(ratio, 2 - floor(log10(ratio)))
        return f"{rounded:,.0f}×"
    return f"{ratio:.3g}×"


def _tick(exponent: int) -> str:
    return f"{10**exponent:,}×" if exponent >= 0 else f"{10.0**exponent:g}×"
