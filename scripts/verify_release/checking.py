"""The check of a publication, in the order of trust."""

from collections.abc import Callable, Sequence

from protocol.releases import LOADS, ReleaseBatch

from .bands import read_tariffs
from .batches import check_nothing_twice, match_reports, read_batches
from .keys import check_keys
from .outcome import Findings, Options, Unusable
from .proofs import check_proofs
from .reports import read_reports
from .rosters import Rosters, read_about, read_rosters
from .tables import check_tables


def check(options: Options, progress: Callable[[str], None]) -> Findings:
    """Check a publication. Raises Wrong or Unusable."""
    findings = Findings()
    trusted = read_about(options)
    findings.deployment = trusted.deployment
    progress("rosters")
    rosters = Rosters(read_rosters(options, trusted))
    findings.rosters = rosters.count
    findings.remarks += rosters.newest()
    reports = read_reports(options.folder, trusted.deployment, rosters, progress)
    findings.reports = len(reports)
    progress("keys")
    keys = check_keys(options, trusted.deployment, rosters, findings.remarks)
    findings.keys = len(keys)
    batches = read_batches(options.folder, trusted)
    findings.batches = len(batches)
    tariffs = read_tariffs(options.folder, trusted)
    proved = [match_reports(name, batch, reports, rosters, keys, tariffs) for name, batch in batches.items()]
    check_nothing_twice(batches, reports)
    findings.loads, findings.bills = check_tables(options.folder, trusted.format, batches, reports)
    check_proofs(proved, options.every_root, progress)
    progress("")
    if not findings.loads + findings.bills:
        raise Unusable(f"{options.folder}: nothing was published")
    findings.remarks += remarks_on(list(batches.values()))
    return findings


def remarks_on(batches: Sequence[ReleaseBatch]) -> list[str]:
    """Return what a reader should know about the policy under which sums were released."""
    unsafe = sorted({flag for batch in batches for flag in batch.unsafe})
    least = [batch.k for batch in batches if batch.kind == LOADS]
    said = [f"no load is of fewer than {min(least)} meters"] if least else []
    return said + ([f"released under {', '.join(unsafe)}"] if unsafe else [])
