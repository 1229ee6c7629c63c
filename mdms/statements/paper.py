"""A bill as a PDF of A4 pages. Only the fonts that every reader has: nothing is embedded and nothing fetched."""

from fpdf import FPDF
from fpdf.enums import TableBordersLayout
from fpdf.fonts import FontFace

from .contents import Row, Statement

FONT, FIXED = "helvetica", "courier"
MARGIN_MM = 18
WIDTHS = (80, 20, 24, 24, 26)  # of the table's columns, in mm
RIGHT = ("LEFT", "RIGHT", "RIGHT", "RIGHT", "RIGHT")
# The readers' own fonts have Latin-1 alone.
REPLACED = {"–": "-", "…": "..."}


class _Paper(FPDF):
    """A page with its number below, as n/m."""

    def footer(self) -> None:
        self.set_y(-15)
        self.set_font(FONT, size=8)
        self.cell(0, 5, f"{self.page_no()}/{{nb}}", align="C")


def paper(said: Statement, issuer: str) -> bytes:
    """Return a bill as the bytes of a PDF; ``issuer`` stands above it, the deployment's name."""
    pdf = _Paper(format="A4")
    pdf.set_margin(MARGIN_MM)
    pdf.set_auto_page_break(True, MARGIN_MM + 4)
    pdf.set_lang(said.language)
    pdf.set_title(_latin1(f"{said.title} {said.facts[0][1]}"))
    pdf.set_author(_latin1(issuer))
    pdf.set_creator("Hushmeter")
    pdf.set_creation_date(said.dated)
    pdf.add_page()
    _head(pdf, said, issuer)
    _table(pdf, said)
    _remarks(pdf, said)
    if said.checks:
        _checks(pdf, said)
    return bytes(pdf.output())


def _head(pdf: FPDF, said: Statement, issuer: str) -> None:
    _write(pdf, issuer, size=9)
    _write(pdf, said.title, size=18, bold=True)
    pdf.ln(2)
    for label, value in said.facts:
        pdf.set_font(FONT, size=10)
        pdf.cell(35, 5.5, _latin1(label))
        _write(pdf, value, size=10)
    pdf.ln(4)


def _table(pdf: FPDF, said: Statement) -> None:
    if not said.rows and said.total is None:
        return
    pdf.set_font(FONT, size=9)
    bold = FontFace(emphasis="BOLD")
    with pdf.table(
        col_widths=WIDTHS,
        width=sum(WIDTHS),
        text_align=RIGHT,
        borders_layout=TableBordersLayout.HORIZONTAL_LINES,
        headings_style=bold,
        line_height=5.5,
    ) as table:
        for row in (said.headings, *said.rows):
            table.row(_cells(row))
        if said.total is not None:
            label, amount = said.total
            last = table.row(style=bold)
            last.cell(_latin1(label), colspan=3)
            last.cell(_latin1(amount), colspan=2, align="RIGHT")
    pdf.ln(4)


def _cells(row: Row) -> list[str]:
    return [_latin1(text) for text in (row.item, row.windows, row.energy, row.price, row.amount)]


def _remarks(pdf: FPDF, said: Statement) -> None:
    for remark in said.remarks:
        _write(pdf, remark, size=9)


def _checks(pdf: FPDF, said: Statement) -> None:
    pdf.ln(5)
    _write(pdf, said.how_to_check, size=12, bold=True)
    _write(pdf, said.check, size=9)
    _write(pdf, said.command, size=8, font=FIXED)
    _write(pdf, said.keys, size=9)
    pdf.ln(2)
    for check in said.checks:
        _write(pdf, check.text, size=8)
        if check.batch:
            _write(pdf, check.batch, size=8, font=FIXED)


def _write(pdf: FPDF, text: str, *, size: int, bold: bool = False, font: str = FONT) -> None:
    pdf.set_font(font, "B" if bold else "", size)
    pdf.multi_cell(0, size * 0.5, _latin1(text), align="LEFT", new_x="LMARGIN", new_y="NEXT")


def _latin1(text: str) -> str:
    for sign, instead in REPLACED.items():
        text = text.replace(sign, instead)
    return text.encode("latin-1", "replace").decode("latin-1")
