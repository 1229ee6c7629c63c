"""The supplier's year: peaks, load duration, flags, the privacy label, and the forecast beside the curve."""

import numpy as np
import pytest
from mdms_bench import DAY, INTERVAL, MARCH
from sqlalchemy import insert

from mdms.errors import CannotStart
from mdms.supplier import foresight
from mdms.tables import interval_loads, load_releases, reports

YEAR = "/supplier/neighbourhoods/north/year.json"
LABEL = "/supplier/neighbourhoods/north/label.json"
LOADS = "/supplier/neighbourhoods/north/loads.json"
A_DAY = DAY // INTERVAL


def seed(store, days, contributors=12, name="north", seed=1):
    """Loads of so many days before March, each released: an evening peak, busier at weekends."""
    random = np.random.default_rng(seed)
    at = np.arange(days * A_DAY)
    hour = at % A_DAY * 24 / A_DAY
    shape = (1 + 2 * np.exp(-((hour - 19) ** 2) / 6)) * np.exp(0.2 * random.standard_normal(len(at)))
    values = (shape * 400_000).astype(int).tolist()
    starts = [MARCH - days * DAY + int(place) * INTERVAL for place in at]
    names = [f"{name}{place:058x}"[-64:] for place in at]
    signed = [{"id": each, "type": "interval-load", "content": b"", "signer": "s", "signature": "s"} for each in names]
    loads = [
        {"neighbourhood": name, "interval_start": start, "interval_end": start + INTERVAL, "report": each}
        | {"contributors": contributors, "expected": 12, "decided": True}
        for start, each in zip(starts, names, strict=True)
    ]
    released = [
        {"neighbourhood": name, "interval_start": start, "status": "released", "answer": b""}
        | {"contributors": contributors, "expected": 12, "import_mwh": value, "export_mwh": value // 10}
        for start, value in zip(starts, values, strict=True)
    ]

    def work(connection):
        connection.execute(insert(reports), signed)
        connection.execute(insert(interval_loads), loads)
        connection.execute(insert(load_releases), released)

    store.write(work)
    return dict(zip(starts, values, strict=True))


@pytest.fixture
def lived(pages):
    pages.values = seed(pages.store, 60)
    return pages


def test_a_year_has_its_days_peaks_duration_and_completeness(lived):
    answer = lived.signed_in("sue").get(YEAR).get_json()
    assert (answer["last"], len(answer["days"])) == ("2026-02-28", 60)
    assert sum(day["import_mwh"] for day in answer["days"]) == sum(lived.values.values())
    highest = max(lived.values, key=lived.values.get)
    peak = max(answer["days"], key=lambda day: day["peak_w"])
    assert (peak["peak_at"], peak["peak_w"]) == (highest, lived.values[highest] * 3.6 / INTERVAL)
    assert answer["duration"][0][1] == peak["peak_w"]
    assert answer["completeness"] == 1.0
    assert answer["flags"] == []


def test_what_does_not_add_up_is_flagged(lived):
    lived.ingest(lived.bench.north.load(MARCH + INTERVAL, range(4)))  # the one before it never came
    answer = lived.signed_in("sue").get(YEAR).get_json()
    assert [(flag["start"], flag["kind"]) for flag in answer["flags"]] == [
        (MARCH + INTERVAL, "withheld"),
        (MARCH + INTERVAL, "incomplete"),
        (MARCH, "missing"),
    ]


def test_the_label_says_how_few_are_summed_and_what_that_gives_away(lived):
    label = lived.signed_in("sue").get(LABEL).get_json()["label"]
    assert (label["fewest"], label["warns"], label["share"]) == (12, True, 1.0)
    assert 0.4 < label["day"] <= 1 and 0.4 < label["week"] <= 1
    assert label["days"] == 60 - 1 - 1 - 21  # the newest day has not ended


def test_without_a_warning_there_are_fifty_homes(lived):
    assert not foresight.PrivacyLabel(50, 1.0, None).warns
    assert foresight.PrivacyLabel(49, 1.0, None).warns
    assert not foresight.PrivacyLabel(None, None, None).warns


def test_the_forecast_of_a_day_stands_beside_it_and_is_sent_once(lived):
    client = lived.signed_in("sue")
    answer = client.get(LOADS, query_string={"day": "2026-03-01"}).get_json()
    points = answer["forecast"]
    assert [point["start"] for point in points] == [MARCH + place * INTERVAL for place in range(A_DAY)]
    assert all(0 < point["low_mwh"] <= point["expected_mwh"] <= point["high_mwh"] for point in points)
    total = sum(point["expected_mwh"] for point in points)
    assert 0.8 < total / (sum(lived.values.values()) / 60) < 1.2
    held = client.get(LOADS, query_string={"day": "2026-03-01", "held": "2026-03-01"}).get_json()
    assert "forecast" not in held


def test_a_day_is_forecast_without_itself(lived, monkeypatch):
    client = lived.signed_in("sue")
    asked = {"day": "2026-02-28"}
    before = client.get(LOADS, query_string=asked).get_json()["forecast"]
    lived.store.write(
        lambda connection: connection.execute(
            load_releases.update()
            .where(load_releases.c.interval_start >= MARCH - DAY)
            .values(import_mwh=load_releases.c.import_mwh * 9)
        )
    )
    monkeypatch.setattr(foresight.Foresight, "_once", lambda self, key, work: work())
    assert client.get(LOADS, query_string=asked).get_json()["forecast"] == before


def test_without_a_day_before_there_is_no_forecast_and_without_a_load_no_year(pages):
    client = pages.signed_in("sue")
    assert client.get(YEAR).get_json() == {"last": None}
    assert client.get(LABEL).get_json() == {"label": None}
    pages.ingest(pages.bench.north.load(MARCH, range(12)))
    assert client.get(LOADS).get_json()["forecast"] == []
    assert client.get(YEAR).get_json()["days"] == []
    label = client.get(LABEL).get_json()["label"]
    assert (label["day"], label["fewest"], label["days"]) == (None, None, 0)


@pytest.mark.parametrize("who", ["aud", None])
def test_the_year_is_for_the_supplier(lived, who):
    client = lived.signed_in(who) if who else lived.app.test_client()
    for address in (YEAR, LABEL, YEAR.removesuffix(".json") + "/"):
        assert client.get(address, base_url="http://localhost").status_code in (302, 401, 403)


def test_an_unknown_neighbourhood_has_no_year(lived):
    client = lived.signed_in("sue")
    for page in ("year/", "year.json", "label.json"):
        assert client.get(f"/supplier/neighbourhoods/nowhere/{page}").status_code == 404


# --- Regions and feeders -------------------------------------------------------------------------------------------


@pytest.fixture
def town(tmp_path, make_pages):
    """North and south with a region of both, and a feeder meter in the north."""
    feeders = tmp_path / "feeders"
    feeders.mkdir()
    pages = make_pages(feeders=str(feeders), regions={"town": ["north", "south"]})
    pages.feeders = feeders
    pages.north, pages.south = seed(pages.store, 3), seed(pages.store, 2, name="south", seed=2)
    return pages


def test_a_region_is_the_sum_where_both_were_released(town):
    client = town.signed_in("sue")
    answer = client.get("/supplier/regions/town/year.json").get_json()
    both = [start for start in town.north if start in town.south]
    assert sum(day["import_mwh"] for day in answer["days"]) == sum(town.north[at] + town.south[at] for at in both)
    assert [day["day"] for day in answer["days"]] == ["2026-02-27", "2026-02-28"]
    assert "north, south" in client.get("/supplier/regions/town/year/").text
    assert client.get("/supplier/regions/village/year/").status_code == 404
    assert "/supplier/regions/town/year/" in client.get("/supplier/").text


def balance(town):
    answer = town.signed_in("sue").get("/supplier/neighbourhoods/north/balance.json")
    return answer.status_code, answer.get_json()


def test_a_feeder_is_balanced_by_whole_days(town):
    last = sum(value - value // 10 for start, value in town.north.items() if start >= MARCH - DAY)
    (town.feeders / "north.csv").write_text("day,kwh\n2026-02-28,60.5\n2026-03-01,70\n")
    status, answer = balance(town)
    assert status == 200
    assert answer["days"][0]["metered_mwh"] == last
    assert answer["days"][0]["loss_mwh"] == 60_500_000 - last
    assert answer["days"][1]["loss_mwh"] is None and "every interval" in answer["days"][1]["why"]


def test_without_a_file_there_is_no_balance_and_a_bad_one_is_named_by_its_line(town):
    assert balance(town) == (200, {"days": []})
    for text, reason in (
        ("date,kwh\n", "line 1"),
        ("day,kwh\n2026-02-30,1\n", "line 2"),
        ("day,kwh\n2026-02-28,1\n2026-02-28,2\n", "twice"),
        ("day,kwh\n2026-02-28,nan\n", "line 2"),
        ("day,kwh\n2026-02-28,0.0000001\n", "six decimal"),
        ("day,kwh\n2026-02-28,1e9999999\n", "line 2"),
        ("day,kwh\n2026-02-28\n", "line 2"),
    ):
        (town.feeders / "north.csv").write_text(text)
        status, answer = balance(town)
        assert status == 409 and reason in answer["error"] and "north.csv" in answer["error"]


@pytest.mark.parametrize(
    ("regions", "reason"),
    [
        ({"town": ["north", "nowhere"]}, "no roster of nowhere"),
        ({"town": []}, "list of neighbourhoods"),
        ({"town": ["north", "north"]}, "twice"),
        ({"Town!": ["north"]}, "no name"),
        ({"town": "north"}, "list of neighbourhoods"),
    ],
)
def test_a_region_that_cannot_be_is_refused_at_the_start(make_pages, regions, reason):
    with pytest.raises(CannotStart, match=reason):
        make_pages(regions=regions)
