"""Health, metrics, check, doctor and pruning of an MDMS."""

import re
import socket

import pytest
from click.testing import CliRunner
from mdms_bench import DAY, MARCH, pseudonym, row
from sqlalchemy.exc import OperationalError
from test_mdms_config import changed
from waitress.proxy_headers import proxy_headers_middleware

from mdms.__main__ import cli
from mdms.config import Address, load_mdms_config
from mdms.errors import CannotStart, ConfigError
from mdms.operation import doctor
from mdms.operation.check import check
from mdms.operation.metrics import listen_for_scrapes
from mdms.operation.prune import first_kept, prune
from mdms.records.loads import undecided_loads
from mdms.records.sealed import rows_of
from mdms.records.windows import unbilled_windows
from mdms.web import proxy_settings
from protocol.keychain import epoch_of

ME, OTHER = pseudonym("north", 0), pseudonym("north", 1)
TODAY = epoch_of(MARCH)


@pytest.fixture
def config(web, tmp_path):
    """The configuration of `web`. Its port is 0, where nobody answers."""
    return tmp_path / "mdms.toml"


def exposed(web):
    from prometheus_client import generate_latest

    return generate_latest(web.app.extensions["hushmeter_metrics"].registry).decode()


# --- Health ---------------------------------------------------------------------------------------------------------


def test_ready_means_that_the_database_answers_and_healthy_that_the_process_does(web, monkeypatch):
    assert web.client.get("/readyz").get_json() == {"status": "ready"}

    def fail(*_):
        raise OperationalError("SELECT", {}, Exception("gone"))

    monkeypatch.setattr(web.store, "ask", fail)
    assert web.client.get("/readyz").status_code == 503
    assert web.client.get("/healthz").status_code == 200


# --- Metrics --------------------------------------------------------------------------------------------------------


def test_metrics_count_verdicts_and_what_waits_and_name_nobody(web, north):
    assert web.verdicts([north.load(), north.window()]) == ["stored"] * 2
    assert web.verdicts([north.load(), north.load(contributors=range(10))]) == ["conflict"] * 2
    text = exposed(web)
    for line in (
        'hushmeter_mdms_reports_total{verdict="stored"} 2.0',
        'hushmeter_mdms_reports_total{verdict="conflict"} 2.0',
        "hushmeter_mdms_batch_seconds_count 2.0",
        "hushmeter_mdms_loads_undecided 1.0",
        "hushmeter_mdms_conflicts 2.0",
        "hushmeter_mdms_newest_load_end_seconds 1.7723241e+09",
        'hushmeter_mdms_responses_total{class="2xx"} 2.0',
    ):
        assert line in text, line
    assert ME not in text
    assert "north" not in text


def test_a_database_that_is_away_is_a_metric_and_no_failed_scrape(web, monkeypatch):
    def fail(*_):
        raise OperationalError("SELECT", {}, Exception("gone"))

    monkeypatch.setattr(web.store, "ask", fail)
    assert "hushmeter_mdms_database_answers 0.0" in exposed(web)


def test_metrics_listen_on_loopback_unless_told_otherwise(config, web):
    with pytest.raises(ConfigError, match="metrics_beyond_loopback"):
        load_mdms_config(changed(config, metrics_listen='"0.0.0.0:9470"'))
    found = load_mdms_config(changed(config, metrics_listen='"0.0.0.0:9470"', metrics_beyond_loopback="true"))
    assert found.metrics_listen == Address("0.0.0.0", 9470)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f'"127.0.0.1:{taken.getsockname()[1]}"'
        with pytest.raises(CannotStart, match="metrics_listen"):
            listen_for_scrapes(load_mdms_config(changed(config, metrics_listen=where)), web.app)
    server = listen_for_scrapes(load_mdms_config(changed(config, metrics_listen='"127.0.0.1:0"')), web.app)
    server.shutdown()


# --- check ----------------------------------------------------------------------------------------------------------


def test_check_says_what_would_be_done_and_makes_nothing(config, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    done = CliRunner().invoke(cli, ["check", "--config", str(config)])
    assert done.exit_code == 0, done.output
    for said in ("takes reports of north: 12 meters", "serves no page", "keeps customers' rows for 400 days"):
        assert said in done.output, said
    assert sorted(tmp_path.rglob("*")) == before


def test_check_names_everything_that_is_wrong_at_once(config, tmp_path):
    (tmp_path / "session.key").write_text("00" * 32)
    (tmp_path / "session.key").chmod(0o644)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        changed(
            config,
            rosters='"nowhere"',
            database='"sqlite:////nowhere/mdms.sqlite3"',
            session_key='"session.key"',
            listen=f'"127.0.0.1:{taken.getsockname()[1]}"',
        )
        done = CliRunner().invoke(cli, ["check", "--config", str(config)])
        problems = check(config).problems
    assert done.exit_code == 2
    assert [re.match(r"'?(\w+)", problem)[1] for problem in problems] == [
        "rosters",
        "database",
        "session_key",
        "listen",
    ]


@pytest.mark.parametrize(
    ("key", "value"), [("trusted_proxy", '"proxy.example"'), ("detail_days", "30"), ("metrics_listen", '"x"')]
)
def test_a_setting_of_operation_that_is_wrong_is_named(config, key, value):
    with pytest.raises(ConfigError, match=key):
        load_mdms_config(changed(config, **{key: value}))


# --- Behind a proxy -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trusted", "peer", "seen"),
    [
        ("127.0.0.1", "127.0.0.1", "198.51.100.7"),
        ("127.0.0.1", "10.0.0.9", "10.0.0.9"),
        (None, "127.0.0.1", "127.0.0.1"),
    ],
)
def test_only_the_trusted_proxys_word_about_a_client_is_taken(config, trusted, peer, seen):
    if trusted:
        changed(config, trusted_proxy=f'"{trusted}"')
    settings = proxy_settings(load_mdms_config(config))
    found = []

    def app(environ, _start):
        found.append((environ["REMOTE_ADDR"], environ.get("HTTP_X_FORWARDED_FOR")))
        return []

    environ = {"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": "198.51.100.7", "SERVER_NAME": "x", "SERVER_PORT": "1"}
    environ |= {"wsgi.url_scheme": "http", "REMOTE_HOST": peer}
    wrapped = proxy_headers_middleware(app, clear_untrusted=True, **settings) if settings else app
    wrapped(environ, None)
    assert found[0][0] == seen


# --- doctor ---------------------------------------------------------------------------------------------------------


def test_doctor_names_what_does_not_run_and_what_waits(config, web, north, bench):
    assert web.verdicts([north.load(), north.load(contributors=range(10))]) == ["stored", "conflict"]
    settings = load_mdms_config(config)
    found = {(each.what, each.level): each.said for each in doctor.kept(web.store, bench.book, MARCH + 49 * 3600)}
    assert "too late" in found["releases", "fail"]
    assert "1 reports contradict" in found["conflicts", "warn"]
    assert ("concentrators", "warn") in found
    early = {(each.what, each.level) for each in doctor.kept(web.store, bench.book, MARCH + 1800)}
    assert ("releases", "ok") in early
    every = {each.what: each.level for each in doctor.examine(settings, MARCH + 1800)}
    assert (every["serve"], every["key holder"], every["database"]) == ("fail", "fail", "ok")


def test_doctors_command_fails_where_something_does(config):
    done = CliRunner().invoke(cli, ["doctor", "--config", str(config)])
    assert done.exit_code == 1
    assert "fail  serve" in done.output
    assert "ok    database" in done.output


# --- prune ----------------------------------------------------------------------------------------------------------


def epochs(store, account):
    return sorted(int.from_bytes(kept[10:12], "big") for kept in rows_of(store, account))


def test_pruning_deletes_the_old_rows_of_every_account_and_nothing_else(web, north, bench):
    for meter, title in ((0, b"METER--1"), (1, b"METER--2")):
        rows = [row(at, title, epoch=TODAY - at) for at in (0, 1, 30, 31, 32, 400)]
        assert web.verdicts([north.segment(rows, meter)]) == ["stored"]
    assert web.verdicts([north.load(), north.window()]) == ["stored"] * 2
    told = []
    assert prune(web.store, bench.book, first_kept(MARCH + 5, 31), told.append) == 4
    assert told == [1] * 4
    for account in (ME, OTHER):
        assert epochs(web.store, account) == [TODAY - 31, TODAY - 30, TODAY - 1, TODAY]
    assert prune(web.store, bench.book, first_kept(MARCH + 5, 31)) == 0
    assert len(undecided_loads(web.store, MARCH + DAY)) == 1
    assert len(list(unbilled_windows(web.store))) == 1


def test_the_command_keeps_what_the_configuration_says(config, web, north):
    assert web.verdicts([north.segment([row(1, epoch=10)])]) == ["stored"]
    run = CliRunner()
    assert run.invoke(cli, ["prune", "--keep-days", "3", "--config", str(config)]).exit_code == 2
    done = run.invoke(cli, ["prune", "--config", str(config)])
    assert (done.exit_code, "1 rows older than 400 days, or than" in done.output) == (0, True), done.output


def test_tokens_are_made_listed_and_revoked_by_command(config):
    run = CliRunner()
    made = run.invoke(
        cli, ["add-token", "--role", "third-party", "--neighbourhood", "north", "--config", str(config), "t"]
    )
    assert made.exit_code == 0, made.output
    secret = made.stdout.strip()
    assert secret.startswith("hmt_")
    listed = run.invoke(cli, ["list-tokens", "--config", str(config)]).output
    assert listed.startswith("t\tthird-party\tnorth\t")
    assert secret not in listed
    assert run.invoke(cli, ["revoke-token", "--config", str(config), "t"]).exit_code == 0
    assert run.invoke(cli, ["list-tokens", "--config", str(config)]).output == ""
    again = run.invoke(
        cli, ["add-token", "--role", "supplier", "--neighbourhood", "nowhere", "--config", str(config), "t"]
    )
    assert again.exit_code == 1
