"""A bill as a page and a PDF: what pricing says, in the deployment's language, for its customer and the supplier."""

import io
import re
from fractions import Fraction

import pypdf
import pytest
from mdms_bench import APRIL, DAY, MARCH
from tariff_bench import book_of, day_and_night, flat, write_tariffs

from mdms import create_app
from mdms.billing import BillSum
from mdms.billing.money import UNIT
from mdms.config import LANGUAGES, load_mdms_config
from mdms.errors import ConfigError
from mdms.keyholder.messages import PERIOD_TOO_SHORT
from mdms.pricing import Pricing
from mdms.reasons import WORDS
from mdms.records.bills import Bill, keep_bill
from mdms.statements.contents import statement
from mdms.statements.paper import paper
from mdms.statements.texts import FOLDER, load_texts

BATCHES = ("ab" * 32, "cd" * 32)
CHARGED = {"standing_micro": 250_000, "tax_ppm": 190_000}
SUMS = (
    BillSum(0, (("day", 155),), 155, 155, 123_456_789, 5_000_000, BATCHES[0]),
    BillSum(1, (("night", 93),), 93, 90, 45_678_901, 0, BATCHES[1]),
)


def bill_of(account, **changes):
    facts = {"windows": 248, "estimated": 3, "status": "released", "adjusted": 2, "sums": SUMS}
    facts |= changes
    return Bill(account, MARCH, APRIL, 169_135_690, 5_000_000, **facts)


@pytest.fixture
def said(bench):
    """A function that makes the statement of a bill by a tariff, and what it costs."""

    def make(tariff, language="en", **changes):
        tariffs = book_of(bench.operator, *([tariff] if tariff else []))
        pricing = Pricing(tariffs, bench.book)
        bill = bill_of(bench.north.members[0].pseudonym, **changes)
        found = pricing.tariff(bill)
        days = pricing.days(bill, found) if found else 0
        zone = bench.book.zone("north")
        cost = pricing.cost(bill)
        return statement(bill, "north", zone, found, cost, days, load_texts(language)), cost

    return make


def text_of(pdf):
    """The text of a PDF with all white space taken for single spaces."""
    pages = [page.extract_text() for page in pypdf.PdfReader(io.BytesIO(pdf)).pages]
    return " ".join(" ".join(pages).split())


def amounts(rows, sign="."):
    return [Fraction(row.amount.replace(sign, ".")) for row in rows if row.amount]


def test_the_rows_of_a_bill_add_up_to_its_total(said):
    found, cost = said(day_and_night(**CHARGED))
    assert len(found.rows) == 5  # two imports, one export, standing charge, tax
    assert abs(sum(amounts(found.rows)) * UNIT - Fraction(cost.total, 100) * UNIT) <= UNIT / 200 + len(found.rows)
    assert found.total == ("Total", cost.amount())
    # 123.456789 kWh at 0.4 and 45.678901 at 0.2, 31 days at 0.25, 19 % on them; 5 kWh at 0.08 come back untaxed.
    assert cost.amount() == "EUR 78.46"
    assert [row.amount for row in found.rows] == ["49.382716", "-0.400000", "9.135780", "7.750000", "12.591014"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_pdf_reads_back_as_what_pricing_says(said, language):
    found, cost = said(day_and_night(**CHARGED), language)
    text = text_of(paper(found, "elmtown"))
    texts = load_texts(language)
    assert "elmtown" in text
    assert texts.number(cost.amount()) in text
    for line in cost.lines:
        assert f"{texts.number(f'{float(line.cost):.6f}')}" in text
    for row in found.rows:
        for cell in (row.item, row.windows, row.energy, row.price, row.amount):
            assert cell in text, cell
    for part in (*found.remarks, found.check, found.keys, found.command, *BATCHES):
        assert part in text, part
    assert "19 %" in text


def test_a_wrong_amount_would_be_seen(said):
    text = text_of(paper(said(day_and_night(**CHARGED))[0], "elmtown"))
    assert "EUR 78.46" in text
    assert "EUR 78.47" not in text


def test_a_pdf_carries_no_font_and_no_address_of_a_file(said):
    reader = pypdf.PdfReader(io.BytesIO(paper(said(day_and_night())[0], "elmtown")))
    for page in reader.pages:
        fonts = page["/Resources"]["/Font"]
        assert fonts
        assert all("/FontDescriptor" not in font.get_object() for font in fonts.values())
        assert "/Annots" not in page
    assert reader.trailer["/Root"]["/Lang"] == "en"


def test_a_long_bill_goes_on_the_next_page(said):
    many = tuple(BillSum(i, (("day", 31),), 31, 31, 1000 + i, 7, f"{i:064x}") for i in range(30))
    found, _ = said(day_and_night(), sums=many)
    reader = pypdf.PdfReader(io.BytesIO(paper(found, "elmtown")))
    assert len(reader.pages) > 1
    text = text_of(paper(found, "elmtown"))
    assert all(f"{i:064x}" in text for i in range(30))


def test_a_bill_without_a_tariff_has_energy_and_no_amount(said):
    found, cost = said(None)
    assert cost is None
    assert found.total is None
    assert [row.energy for row in found.rows] == ["123.457", "5.000", "45.679"]
    assert not any(row.price or row.amount for row in found.rows)
    assert "EUR" not in text_of(paper(found, "elmtown"))


def test_a_refused_bill_says_why_and_shows_no_energy(said):
    for language in LANGUAGES:
        found, _ = said(day_and_night(**CHARGED), language, status=PERIOD_TOO_SHORT, sums=())
        text = text_of(paper(found, "elmtown"))
        assert load_texts(language).reason(PERIOD_TOO_SHORT) in text
        assert "169" not in text
        assert not found.checks


def test_a_sum_without_a_proof_is_said_to_have_none(said):
    alone = (BillSum(0, (("day", 155), ("night", 93)), 248, 245, 169_135_690, 5_000_000, None),)
    found, _ = said(day_and_night(), sums=alone)
    assert [check.text for check in found.checks] == ["day+night: told as a total without a proof of its own"]
    assert any("mean of their prices" in remark for remark in found.remarks)


def test_a_customer_who_earned_more_is_told_so(said):
    found, cost = said(day_and_night(), sums=(BillSum(0, (("day", 155),), 155, 155, 0, 9_000_000, BATCHES[0]),))
    assert cost.total < 0
    assert "A total below zero is owed to the customer." in found.remarks
    assert "EUR -0.72" in text_of(paper(found, "elmtown"))


def test_every_language_has_every_text_with_the_same_facts():
    english = load_texts("en")
    assert sorted(path.stem for path in FOLDER.glob("*.toml")) == list(LANGUAGES)
    for language in LANGUAGES:
        texts = load_texts(language)
        assert texts.reasons.keys() == WORDS.keys()
        assert texts.templates.keys() == english.templates.keys()
        for name, text in texts.templates.items():
            assert set(re.findall(r"{(\w+)}", text)) == set(re.findall(r"{(\w+)}", english.templates[name])), name
            text.encode("latin-1")


# --- Doors ------------------------------------------------------------------------------------------------------


@pytest.fixture
def billed(pages):
    sums = (BillSum(0, (("all", 248),), 248, 245, 123_456_789, 0, BATCHES[0]),)
    for customer in (pages.me, pages.other):
        keep_bill(pages.store, bill_of(customer.account, sums=sums), [], b"the answer")
    return pages


def own(customer, start=MARCH, kind=""):
    return f"/portal/accounts/{customer.account}/bills/{start}{kind}"


def suppliers(customer, start=MARCH, kind=""):
    return f"/supplier/bills/{customer.account}/{start}{kind}"


def test_the_supplier_gets_every_bill_as_page_and_pdf(billed):
    client = billed.signed_in("sue")
    for customer in (billed.me, billed.other):
        page = client.get(suppliers(customer))
        assert page.status_code == 200
        assert "EUR 38.58" in page.text
        assert suppliers(customer, kind=".pdf") in page.text
        pdf = client.get(suppliers(customer, kind=".pdf"))
        assert (pdf.status_code, pdf.mimetype) == (200, "application/pdf")
        assert f'filename="bill-{customer.account}-2026-03-01.pdf"' in pdf.headers["Content-Disposition"]
        assert pdf.headers["Cache-Control"] == "no-store"
        text = text_of(pdf.data)
        assert customer.account in text
        assert "EUR 38.58" in text
    assert suppliers(billed.me) in client.get("/supplier/bills").text


def test_a_customer_gets_the_own_bill_and_nobody_elses(billed):
    client = billed.as_customer(billed.me)
    listed = client.get(f"/portal/accounts/{billed.me.account}/bills.json").get_json()["bills"]
    assert [bill["page"] for bill in listed] == [own(billed.me)]
    for kind in ("", ".pdf"):
        assert client.get(own(billed.me, kind=kind)).status_code == 200
        assert client.get(own(billed.other, kind=kind)).status_code == 404
        assert client.get(suppliers(billed.me, kind=kind)).status_code == 403
    assert "EUR 38.58" in text_of(client.get(own(billed.me, kind=".pdf")).data)


def test_nobody_else_gets_a_bill(billed):
    for kind in ("", ".pdf"):
        for url in (own(billed.me, kind=kind), suppliers(billed.me, kind=kind)):
            assert billed.client().get(url).status_code == 302
            assert billed.signed_in("aud").get(url).status_code == 403
        assert billed.signed_in("sue").get(own(billed.me, kind=kind)).status_code == 403


@pytest.mark.parametrize("start", [0, MARCH + 1, APRIL, 2**32 - 1, 2**32, 2**63, 2**64, -1, "x", "%00"])
def test_a_bill_that_there_is_not_is_no_page(billed, start):
    supplier, me = billed.signed_in("sue"), billed.as_customer(billed.me)
    for kind in ("", ".pdf"):
        assert supplier.get(suppliers(billed.me, start, kind)).status_code == 404
        assert me.get(own(billed.me, start, kind)).status_code == 404
    for name in ("%00", "A" * 22, "' OR 1=1", "<script>"):
        assert supplier.get(f"/supplier/bills/{name}/{MARCH}").status_code == 404


def test_language_and_currency_are_settings(make_pages, bench, tmp_path):
    pages = make_pages(language="de")
    pages.close()
    write_tariffs(tmp_path / "tariffs", bench.operator, flat(currency="CHF"))
    pages.app = create_app(load_mdms_config(tmp_path / "mdms.toml"))
    pages.store = pages.app.extensions["hushmeter_store"]
    keep_bill(pages.store, bill_of(pages.me.account, sums=(BillSum(0, (("all", 8),), 8, 8, 10**8, 0),)), [], b"x")
    page = pages.signed_in("sue").get(suppliers(pages.me)).text
    assert "Stromrechnung" in page
    assert 'lang="de"' in page
    assert "CHF 31,25" in page


def test_a_language_that_is_not_there_is_refused_by_name(make_pages):
    with pytest.raises(ConfigError, match="language"):
        make_pages(language="fr")


def test_days_of_a_standing_charge_are_the_tenancys(bench):
    pricing = Pricing(book_of(bench.operator, flat()), bench.book)
    bill = bill_of(bench.north.members[0].pseudonym)
    assert pricing.days(bill, pricing.tariff(bill)) == (APRIL - MARCH) // DAY
