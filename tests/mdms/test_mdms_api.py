"""The API: who may read what, and what it says."""

import csv
import io
import json
import re
import time
from datetime import date, timedelta

import pytest
from api_bench import SOUTH_MWH, WITHHELD, BenchApi
from mdms_bench import DAY, INTERVAL, MARCH
from sqlalchemy import insert, select, update

from mdms.accounts import tokens
from mdms.accounts.tokens import add_token, find_token, revoke_token
from mdms.errors import CannotStart
from mdms.problems import PROBLEM_JSON
from mdms.tables import load_releases
from mdms.tables import tokens as token_table

LOADS = "/neighbourhoods/north/loads"
DAYS = {"first": "2026-03-01", "last": "2026-03-01"}


@pytest.fixture
def api(bench, tmp_path):
    api = BenchApi(bench, tmp_path)
    api.fill()
    yield api
    api.close()


def is_problem(answer, status):
    told = answer.get_json()
    assert (answer.status_code, answer.mimetype, told["status"]) == (status, PROBLEM_JSON, status)
    assert told["type"] == "about:blank"
    assert told["title"]
    assert 0 < len(told["detail"]) < 301
    return told


def test_a_supplier_reads_loads_and_why_one_is_withheld(api):
    told = api.get(LOADS, "supplier", **DAYS).get_json()
    assert [(load["status"], load["import_mwh"]) for load in told["loads"]] == [
        ("released", 1_000_000),
        ("released", 1_000_001),
        (WITHHELD, None),
        ("waiting", None),
    ]
    assert told["loads"][0] | {"start": MARCH, "end": MARCH + INTERVAL, "export_mwh": 7} == told["loads"][0]
    assert told == api.get(LOADS, "supplier").get_json(), "without days it is the newest that has a report"


def test_a_third_party_is_given_released_loads_alone(api):
    told = api.get(LOADS, "third-party", **DAYS).get_json()
    assert [load["import_mwh"] for load in told["loads"]] == [1_000_000, 1_000_001]
    assert WITHHELD not in api.get(LOADS, "third-party", format="csv").text
    for path in ("/bills", "/periods", "/neighbourhoods/north/completeness", "/release-log"):
        is_problem(api.get(path, "third-party"), 403)


def test_loads_as_csv_are_the_same_rows(api):
    answer = api.get(LOADS, "supplier", format="csv", **DAYS)
    assert (answer.mimetype, "attachment" in answer.headers["Content-Disposition"]) == ("text/csv", True)
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    told = api.get(LOADS, "supplier", **DAYS).get_json()["loads"]
    assert rows == [{name: "" if value is None else str(value) for name, value in load.items()} for load in told]


def test_bills_are_for_the_supplier_page_by_page(api, monkeypatch):
    assert api.get("/periods", "supplier").get_json() == {"periods": [{"start": MARCH, "end": MARCH + DAY, "bills": 2}]}
    told = api.get("/bills", "supplier", start=MARCH).get_json()
    bills = {bill["pseudonym"]: bill for bill in told["bills"]}
    assert (bills[api.me.account]["amount"], bills[api.me.account]["neighbourhood"]) == ("EUR 625.00", "north")
    assert bills[api.south]["import_mwh"] == SOUTH_MWH
    assert told["after"] is None
    monkeypatch.setattr("mdms.api.bills.BILLS_A_PAGE", 1)
    first = api.get("/bills", "supplier", start=MARCH).get_json()
    second = api.get("/bills", "supplier", start=MARCH, after=first["after"]).get_json()
    assert [first["bills"][0], second["bills"][0]] == told["bills"]
    assert api.get("/bills", "supplier", start=5).get_json()["bills"] == []


def test_a_token_for_one_neighbourhood_knows_no_other(api):
    for token in ("supplier of north", "third party of north"):
        assert api.get(LOADS, token).status_code == 200
        told = is_problem(api.get("/neighbourhoods/south/loads", token), 404)
        assert told == is_problem(api.get("/neighbourhoods/nowhere/loads", token), 404)
        assert [it["name"] for it in api.get("/neighbourhoods", token).get_json()["neighbourhoods"]] == ["north"]
    told = api.get("/bills", "supplier of north", start=MARCH)
    assert [bill["pseudonym"] for bill in told.get_json()["bills"]] == [api.me.account]
    assert str(SOUTH_MWH) not in told.text
    assert api.south not in api.get("/bills", "supplier of north", start=MARCH, format="csv").text


def test_completeness_counts_what_came(api):
    told = api.get("/neighbourhoods/north/completeness", "supplier", **DAYS).get_json()
    assert (told["intervals_reported"], told["intervals_released"]) == (4, 2)
    assert (told["contributions"], told["contributions_expected"]) == (48, 48)
    meters = {meter["pseudonym"]: meter for meter in told["meters"]}
    assert len(meters) == 12
    mine = meters[api.me.account]
    assert (mine["expected"], mine["reported"], mine["empty"], mine["estimated"]) == (8, 1, 0, 0)


def release_days(api, first, days):
    rows = [
        {
            "neighbourhood": "north",
            "interval_start": first + at * INTERVAL,
            "status": "released",
            "contributors": 12,
            "expected": 12,
            "import_mwh": 1_000_000 + 50_000 * (at % 96),
            "export_mwh": 0,
            "answer": b"",
        }
        for at in range(days * 96)
    ]
    api.store.write(lambda connection: connection.execute(insert(load_releases), rows))


def test_a_forecast_comes_from_released_loads_with_its_interval(api):
    release_days(api, MARCH + DAY, 17)
    path = "/neighbourhoods/north/forecast"
    told = api.get(path, "third-party").get_json()
    assert told["day"] == (date(2026, 3, 2) + timedelta(days=17)).isoformat()
    assert len(told["intervals"]) == 96
    assert told["intervals"][4]["time"] == "01:00"
    slot = told["intervals"][40]
    assert abs(slot["import_mwh"] - 3_000_000) < 300_000, "every day was the same"
    assert slot["low_mwh"] <= slot["high_mwh"]
    assert told == api.get(path, "supplier", day=told["day"]).get_json()
    is_problem(api.get(path, "third-party", day="2026-04-09"), 404)
    is_problem(api.get(path, "third-party", day="2026-03-01"), 404)
    is_problem(api.get("/neighbourhoods/nowhere/forecast", "third-party"), 404)


def test_an_auditor_takes_the_whole_lines_of_the_log_along(api):
    for entry in range(3):
        api.log_line(f"{entry}" * 40_000)
    (api.folder / "release-log.jsonl").open("a").write('{"being written')
    answer = api.get("/release-log", "auditor")
    assert answer.mimetype == "application/x-ndjson"
    assert [json.loads(line)["entry"][0] for line in answer.text.splitlines()] == ["0", "1", "2"]
    for role in ("supplier", "third-party"):
        is_problem(api.get("/release-log", role), 403)
    (api.folder / "release-log.jsonl").unlink()
    is_problem(api.get("/release-log", "auditor"), 503)


def test_who_is_signed_in_reads_what_a_token_of_the_role_reads(api):
    supplier, auditor, customer = api.signed_in("sue"), api.signed_in("aud"), api.as_customer(api.me)
    assert api.get(LOADS, client=supplier).get_json() == api.get(LOADS, "supplier").get_json()
    is_problem(api.get("/release-log", client=supplier), 403)
    assert api.get("/release-log", client=auditor).status_code == 200
    for client in (auditor, customer):
        is_problem(api.get(LOADS, client=client), 403)
    is_problem(api.get(LOADS, "hmt_" + "A" * 43, client=supplier), 401)


@pytest.mark.parametrize("token", ["x", "hmt_" + "A" * 43, "hmt_" + "A" * 5000, "é", ""])
def test_what_is_no_token_opens_nothing(api, token):
    answer = api.client().get(f"/api/v1{LOADS}", headers={"Authorization": f"Bearer {token}".encode().decode("latin1")})
    is_problem(answer, 401)
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    for kind in ("Basic", "Digest", ""):
        header = {"Authorization": f"{kind} {api.tokens['supplier']}"}
        is_problem(api.client().get(f"/api/v1{LOADS}", headers=header), 401)


def test_a_token_ends_and_is_revoked_at_once(api):
    assert api.get(LOADS, "third-party").status_code == 200
    revoke_token(api.store, "third")
    is_problem(api.get(LOADS, "third-party"), 401)
    api.store.write(lambda connection: connection.execute(update(token_table).values(expires=int(time.time()))))
    is_problem(api.get(LOADS, "supplier"), 401)
    with pytest.raises(CannotStart, match="no token"):
        revoke_token(api.store, "third")


def test_the_database_has_no_token_only_its_hash(api):
    secret = add_token(api.store, "new", "supplier", 1)
    assert re.fullmatch(r"hmt_[A-Za-z0-9_-]{43}", secret)
    [row] = api.store.ask(select(token_table).where(token_table.c.name == "new"))
    assert secret not in str(tuple(row))
    assert row.hash == tokens._hash(secret)
    assert find_token(api.store, secret, time.time() + 86_400 + 1) is None
    for wrong in (("a b", "supplier", 1), ("x", "king", 1), ("x", "supplier", 0), ("new", "supplier", 1)):
        with pytest.raises(CannotStart):
            add_token(api.store, *wrong)
    with pytest.raises(CannotStart, match="auditor"):
        add_token(api.store, "x", "auditor", 1, ["north"])


@pytest.mark.parametrize(
    "query",
    [
        "first=2026-03-01",
        "first=2026-03-02&last=2026-03-01",
        "first=2026-01-01&last=2027-01-02",
        "first=1950-01-01&last=1950-01-01",
        "first=9999-12-31&last=9999-12-31",
        "first=yesterday&last=today",
        "format=xml",
        "x=1",
        "x" * 3000 + "=1",
        "first=" + "9" * 5000 + "&last=" + "9" * 5000,
    ],
)
def test_a_query_that_cannot_be_used_is_a_problem_that_names_it(api, query):
    answer = api.client().get(f"/api/v1{LOADS}?{query}", headers={"Authorization": f"Bearer {api.tokens['supplier']}"})
    told = is_problem(answer, 400)
    assert told["errors"]["query"]
    assert len(answer.data) < 2000


@pytest.mark.parametrize("query", ["", "start=x", "start=-1", "start=4294967296", "start=1&after=%00", "start=1e3"])
def test_bills_of_no_period_are_a_problem(api, query):
    headers = {"Authorization": f"Bearer {api.tokens['supplier']}"}
    is_problem(api.client().get(f"/api/v1/bills?{query}", headers=headers), 400)


def test_every_error_of_the_api_is_a_problem(api):
    client = api.client()
    for method, path, status in (
        ("GET", "/api/v1/none", 404),
        ("POST", f"/api/v1{LOADS}", 405),
        ("GET", "/api/v1/reports", 405),
        ("GET", "/api/v2/reports", 404),
    ):
        is_problem(client.open(path, method=method), status)
    assert "POST" in client.get("/api/v1/reports").headers["Allow"]


def test_what_fails_inside_is_a_problem_that_says_nothing(api, monkeypatch):
    api.app.config["PROPAGATE_EXCEPTIONS"] = False

    def fail(*_):
        raise RuntimeError("the secret")

    monkeypatch.setattr("mdms.api.loads.loads_within", fail)
    answer = api.get(LOADS, "supplier")
    is_problem(answer, 500)
    assert "secret" not in answer.text


def test_the_description_names_every_address_and_needs_nothing_from_elsewhere(api):
    spec = api.client().get("/api/v1/openapi.json").get_json()
    served = {
        re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
        for rule in api.app.url_map.iter_rules()
        if rule.rule.startswith("/api/v1/") and rule.endpoint != "reference.openapi"
    }
    assert set(spec["paths"]) == served
    assert len(served) > 7
    for path, methods in spec["paths"].items():
        for operation in methods.values():
            assert PROBLEM_JSON in operation["responses"]["default"]["content"]
            assert bool(operation.get("security")) == (path not in ("/api/v1/reports", "/api/v1/standing"))
    page = api.client().get("/docs")
    assert page.status_code == 200
    for path in spec["paths"]:
        assert path in page.text
    assert not re.search(r"<script(?![^>]* src=)|<style| style=| on\w+=|//(?!$)[a-z]+\.", page.text)
    for name in ("reference.js", "reference.css"):
        assert f"/docs/static/{name}" in page.text
        assert api.client().get(f"/docs/static/{name}").status_code == 200


def test_every_reference_of_the_description_is_in_it(api):
    spec = api.client().get("/api/v1/openapi.json").get_json()
    for reference in set(re.findall(r'"\$ref": "#/components/schemas/([^"]+)"', json.dumps(spec))):
        assert reference in spec["components"]["schemas"], reference
