"""What a run says: what was measured, and what that would be for three days of a thousand meters."""

from __future__ import annotations

from rich.table import Table

from .run import HOUR_S, Drained, Plan

WANTED = 10  # times as fast as reports arise
WANTED_RSS_MB = 150
FULL_HOURS, FULL_METERS = 72, 1000


def table(plan: Plan, found: Drained) -> Table:
    """Return the measurements, a line each."""
    rows = Table(box=None, pad_edge=False, show_header=False)
    rows.add_column()
    rows.add_column(justify="right")
    span_s = plan.back_s
    for name, value in (
        ("simulated without the MDMS", f"{span_s / HOUR_S:.2f} h"),
        ("frames taken in all", f"{found.frames}"),
        ("the backlog was made in", f"{found.build_s:.0f} s"),
        ("reports that waited", f"{found.reports}"),
        ("their bytes", f"{found.waiting_mb:.1f} MB"),
        ("ledger, its log among it", f"{found.ledger_mb:.1f} MB"),
        ("from the MDMS's return to the first report", f"{found.first_s:.1f} s"),
        ("from the first report to the last that waited", f"{found.drain_s:.1f} s"),
        ("reports a second", f"{per(found.drained, found.drain_s):.0f}"),
        ("content a second", f"{per(found.drained_mb, found.drain_s):.2f} MB"),
        ("the daemon's CPU meanwhile", f"{found.cpu_s:.1f} s"),
        ("memory at the start, with the backlog, at most", memory(found)),
        ("reports that came twice", f"{found.again}"),
    ):
        rows.add_row(name, value)
    return rows


def lines(plan: Plan, found: Drained) -> list[str]:
    """Return the figures next to what is wanted; an estimate is called one."""
    ratio = per(plan.back_s, found.drain_s)
    said = [
        f"drained {ratio:.0f} times as fast as it arose, the street going on at {plan.pace:g} times its pace:"
        f" {reached(ratio >= WANTED)} (wanted: {WANTED})",
        f"{found.peak_rss_mb:.0f} MB at most: {reached(found.peak_rss_mb < WANTED_RSS_MB)}"
        f" (wanted: under {WANTED_RSS_MB} MB, for {FULL_METERS} meters)",
        "; ".join(found.off) if found.off else "nothing lost, nothing doubled",
    ]
    if not found.off and not (plan.meters >= FULL_METERS and plan.hours >= FULL_HOURS):
        scale = FULL_HOURS * HOUR_S / plan.back_s * FULL_METERS / plan.meters
        said.append(
            f"estimate, by proportion, for {FULL_HOURS} h of {FULL_METERS} meters with the same rows: "
            f"{found.reports * scale:.0f} reports, {found.waiting_mb * scale:.0f} MB,"
            f" drained in {found.drain_s * scale:.0f} s, {FULL_HOURS * HOUR_S / max(1e-9, found.drain_s * scale):.0f}"
            " times as fast as they arise"
        )
    return said


def memory(found: Drained) -> str:
    """Return the daemon's memory at three moments."""
    return f"{found.idle_rss_mb:.0f}, {found.built_rss_mb:.0f}, {found.peak_rss_mb:.0f} MB"


def per(number: float, seconds: float) -> float:
    """Return a rate; 0 where no time has passed."""
    return number / seconds if seconds else 0.0


def reached(yes: bool) -> str:
    """Return a word for whether a figure is."""
    return "reached" if yes else "NOT reached"
