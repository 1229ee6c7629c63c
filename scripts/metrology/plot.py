"""The error curve as an SVG that needs nothing else: error over the share of the range, and the limits."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import log10

from .trial import Result

WIDTH, HEIGHT = 860, 420
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 66, 52
MOST = 2.5  # per cent, either way

STYLE = """
    text { font: 13px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2328 }
    .page { fill: #ffffff } .head { font-size: 16px; font-weight: 600 } .small { font-size: 12px; fill: #59636e }
    .grid { stroke: #d1d9e0 } .limit { stroke: #cf222e; fill: none; stroke-width: 1.5 }
    .voltage { stroke: #0969da; fill: none; stroke-opacity: .55 }
    .alone { stroke: #bc4c00; fill: none; stroke-opacity: .55 }
    .voltage-text { fill: #0969da } .alone-text { fill: #bc4c00 } .limit-text { fill: #cf222e }
    @media (prefers-color-scheme: dark) {
      text { fill: #f0f6fc } .page { fill: #0d1117 } .small { fill: #9198a1 } .grid { stroke: #3d444d }
    }
"""
KINDS = (("clamp and voltage", "voltage"), ("clamp alone", "alone"))


def x(percent: float) -> float:
    """Return the place of a share of the range."""
    return LEFT + log10(percent) / 2 * (WIDTH - LEFT - RIGHT)


def y(error: float) -> float:
    """Return the place of an error; what is beyond the picture is at its edge."""
    inside = min(max(error, -MOST), MOST)
    return TOP + (MOST - inside) / (2 * MOST) * (HEIGHT - TOP - BOTTOM)


def svg(results: Sequence[Result], caption: str) -> str:
    """Return the picture: one line for each load of each meter."""
    head = "Error of the metered energy over the range"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
        f' role="img" aria-label="{escape(head, quote=True)}">',
        f"<style>{STYLE}</style>",
        f'<rect class="page" width="{WIDTH}" height="{HEIGHT}"/>',
        f'<text class="head" x="16" y="28">{head}</text>',
        f'<text class="small" x="16" y="48">{escape(caption)}</text>',
        *_axes(),
    ]
    for kind, name in KINDS:
        for line in sorted({(r.bench, r.load) for r in results if r.bench.startswith(kind)}):
            of_line = sorted((r for r in results if (r.bench, r.load) == line), key=lambda r: r.percent)
            places = " ".join(f"{x(r.percent):.1f},{y(r.error):.1f}" for r in of_line)
            parts.append(f'<polyline class="{name}" points="{places}"/>')
    foot = HEIGHT - 12
    parts.append(f'<text class="voltage-text" x="{LEFT}" y="{foot}">clamp and voltage: real energy</text>')
    parts.append(f'<text class="alone-text" x="{LEFT + 230}" y="{foot}">clamp alone: apparent energy</text>')
    parts.append(f'<text class="limit-text" x="{LEFT + 450}" y="{foot}">limits</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _axes() -> list[str]:
    parts = []
    for error in range(-2, 3):
        parts.append(f'<path class="grid" d="M{LEFT} {y(error):.1f}H{WIDTH - RIGHT}"/>')
        sign = f"{error:+d} %" if error else "0"
        parts.append(f'<text class="small" x="{LEFT - 8}" y="{y(error) + 4:.1f}" text-anchor="end">{sign}</text>')
    for percent in (1, 2, 5, 10, 20, 50, 100):
        place = x(percent)
        parts.append(f'<path class="grid" d="M{place:.1f} {TOP}V{HEIGHT - BOTTOM}"/>')
        parts.append(
            f'<text class="small" x="{place:.1f}" y="{HEIGHT - BOTTOM + 17}" text-anchor="middle">{percent} %</text>'
        )
    for side in (-1, 1):
        step = f"M{x(1):.1f} {y(2 * side):.1f}H{x(5):.1f}V{y(side):.1f}H{x(100):.1f}"
        parts.append(f'<path class="limit" d="{step}"/>')
    return parts
