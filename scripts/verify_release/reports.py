"""The concentrators' signed reports."""

from collections.abc import Callable
from pathlib import Path

from protocol import releases
from protocol.documents import DocumentError, document_id, verify
from protocol.reports import BillingWindow, IntervalLoad, parse_report

from .files import documents_of
from .outcome import Wrong
from .rosters import Report, Rosters


def read_reports(folder: Path, deployment: str, rosters: Rosters, progress: Callable[[str], None]) -> dict[str, Report]:
    """Return the reports by their document's id, each signed by a concentrator that a roster names for it."""
    reports: dict[str, Report] = {}
    for where, document in documents_of(folder / releases.REPORTS_FILE, "report"):
        progress(f"reports: {len(reports)}")
        key = rosters.signers.get(document.signer)
        if key is None:
            raise Wrong(f"{where}: no roster names the concentrator that signed it")
        try:
            content = verify(document, deployment, key)
            report = parse_report(document.type, content)
        except DocumentError as error:
            raise Wrong(f"{where}: {error}") from None
        if not isinstance(report, IntervalLoad | BillingWindow):
            raise Wrong(f"{where}: neither a load nor a billing window")
        if not rosters.may_sign(report, document.signer):
            raise Wrong(
                f"{where}: signed by a concentrator that does not speak for {report.neighbourhood} at that time"
            )
        reports[document_id(document.type, deployment, content)] = report
    return reports
