"""The auditor's door: every release and refusal in plain words, verified, and what is wrong where it is not."""

import re

import pytest
from mdms_bench import DAY, DEPLOYMENT, INTERVAL, MARCH, pseudonym
from pages_bench import token_of

from mdms.auditor.log_reader import LogReader
from mdms.keyholder.log import LogBroken


@pytest.fixture
def log(bench, pages, tmp_path):
    """A log of six loads, one of them refused, and a bill of a period that is too short."""
    holder = bench.holder(tmp_path, now=MARCH + DAY)
    for at in range(5):
        holder.load(bench.north.load(MARCH + at * INTERVAL))
    holder.load(bench.north.load(MARCH + 9 * INTERVAL, contributors=range(4)))
    holder.clock.now = MARCH + 31 * DAY
    holder.bill(
        bench.north.windows(MARCH, MARCH + 31 * DAY, 0, empty=range(MARCH, MARCH + 31 * DAY, 3600)),
        pseudonym("north", 0),
    )
    yield holder
    holder.close()


def shown(page):
    return re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", page))


def test_every_entry_is_shown_newest_first_in_plain_words(pages, log):
    page = shown(pages.signed_in("aud").get("/auditor/").text)
    assert "Chain and signatures verify: 7 entries" in page
    for text in (
        "Load of north",
        "4 of 12 meters",
        "Too few homes",
        f"Bill of {pseudonym('north', 0)}",
        "k = 10",
        "248 windows",
    ):
        assert text in page, text
    assert page.index("Bill of") < page.index("4 of 12") < page.index("12 of 12")
    assert log.state.head().hash in page


def test_the_log_is_followed_as_it_grows(pages, log, bench):
    client = pages.signed_in("aud")
    client.get("/auditor/")
    log.load(bench.south.load(MARCH + 31 * DAY - INTERVAL))
    assert "8 entries" in shown(client.get("/auditor/").text)


def test_a_line_that_is_being_written_waits(pages, log):
    client = pages.signed_in("aud")
    whole = log.log_path.read_bytes()
    log.log_path.write_bytes(whole[:-30])
    assert "6 entries" in shown(client.get("/auditor/").text)
    log.log_path.write_bytes(whole)
    assert "7 entries" in shown(client.get("/auditor/").text)


def test_a_log_with_an_entry_left_out_is_broken_there(pages, log):
    lines = log.log_path.read_bytes().splitlines(keepends=True)
    log.log_path.write_bytes(b"".join(lines[:3] + lines[4:]))
    page = shown(pages.signed_in("aud").get("/auditor/").text)
    assert "The log is broken" in page
    assert "The 3 entries before it verify" in page


def test_a_change_behind_the_readers_back_is_found(pages, log):
    client = pages.signed_in("aud")
    assert "verify" in shown(client.get("/auditor/").text)
    lines = log.log_path.read_bytes().splitlines(keepends=True)
    with log.log_path.open("r+b") as file:
        file.seek(len(lines[0]) + 40)
        file.write(b"X")
    assert "changed after it had been verified" in shown(client.get("/auditor/").text)
    assert "The log is broken" in shown(client.get("/auditor/").text)


def test_a_shorter_file_is_read_from_its_beginning(pages, log):
    client = pages.signed_in("aud")
    client.get("/auditor/")
    lines = log.log_path.read_bytes().splitlines(keepends=True)
    log.log_path.write_bytes(b"".join(lines[:2]))
    assert "2 entries" in shown(client.get("/auditor/").text)


def test_a_missing_file_is_one_clear_line(pages, log):
    log.log_path.unlink()
    assert "cannot be read" in shown(pages.signed_in("aud").get("/auditor/").text)


def test_the_log_can_be_verified_from_its_first_entry(pages, log):
    client = pages.signed_in("aud")
    assert client.post("/auditor/again", data={"csrf_token": token_of(client, "/auditor/")}).status_code == 303
    assert "7 entries" in shown(client.get("/auditor/").text)


def test_the_log_comes_in_pages(pages, log, monkeypatch):
    monkeypatch.setattr("mdms.auditor.routes.ENTRIES_A_PAGE", 3)
    client = pages.signed_in("aud")
    found = []
    for start in ("", "4", "1"):
        page = client.get("/auditor/", query_string={"from": start}).text
        found.append([int(number) for number in re.findall(r'<span class="n">(\d+)</span>', page)])
    assert found == [[7, 6, 5], [4, 3, 2], [1]]


@pytest.mark.parametrize("number", ["0", "-1", "x", "99999999999999999999999", "٣", "\0"])
def test_strange_page_numbers_are_no_error(pages, log, number):
    assert pages.signed_in("aud").get("/auditor/", query_string={"from": number}).status_code == 200


def test_an_auditor_without_a_log_is_told_what_to_configure(bench, tmp_path):
    from pages_bench import BenchPages

    pages = BenchPages(bench, tmp_path)
    pages.close()
    config = tmp_path / "mdms.toml"
    lines = [line for line in config.read_text().splitlines() if not line.startswith(("release_log", "log_key"))]
    config.write_text("\n".join(lines) + "\n")
    pages.app = __import__("mdms").create_app(__import__("mdms.config").config.load_mdms_config(config))
    assert "No release log is configured" in pages.signed_in("aud").get("/auditor/").text
    pages.app.extensions["hushmeter_store"].close()


def test_a_long_log_is_verified_in_pieces(log, bench):
    reader = LogReader(log.log_path, DEPLOYMENT, bench.log_key.public_key())
    states = [reader.look(within_s=-1) for _ in range(8)]
    assert [state.head.seq for state in states] == [1, 2, 3, 4, 5, 6, 7, 7]
    assert [state.whole for state in states] == [False] * 7 + [True]


def test_another_key_verifies_nothing(log, bench):
    reader = LogReader(log.log_path, DEPLOYMENT, bench.operator.public_key())
    state = reader.look()
    assert (state.head.seq, state.whole) == (0, True)
    assert "bad signature" in state.broken
    assert reader.entries(5, 5) == []


def test_entries_of_a_changed_file_are_not_shown(log, bench):
    reader = LogReader(log.log_path, DEPLOYMENT, bench.log_key.public_key())
    reader.look()
    data = bytearray(log.log_path.read_bytes())
    data[50] ^= 1
    log.log_path.write_bytes(data)
    with pytest.raises(LogBroken):
        reader.entries(7, 7)
