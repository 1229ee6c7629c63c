"""Who gets in: roles, sessions, CSRF, limits, and the headers of every answer."""

import time

import pytest
from mdms_bench import BenchWeb
from pages_bench import PASSWORD, TOKEN, BenchPages, token_of

from mdms.accounts import sessions
from mdms.accounts.users import add_user
from mdms.config import load_mdms_config
from mdms.errors import CannotStart, ConfigError
from mdms.headers import POLICY

SUPPLIERS = (
    "/supplier/",
    "/supplier/neighbourhoods/north/",
    "/supplier/neighbourhoods/north/loads.json",
    "/supplier/bills",
)
OPERATORS = (
    "/operator/",
    "/operator/neighbourhoods/north/",
    "/operator/alarms",
    "/operator/requests",
    "/operator/requests/new/meter",
    "/operator/log",
)
AUDITORS = ("/auditor/",)


def customers(account):
    return tuple(
        f"/portal/accounts/{account}/{name}.json" for name in ("envelope", "rows", "bills", "releases", "detail")
    )


def test_every_page_is_for_its_role_alone(pages):
    doors = {"supplier": SUPPLIERS, "operator": OPERATORS, "auditor": AUDITORS, "customer": customers(pages.me.account)}
    clients = {
        "supplier": pages.signed_in("sue"),
        "operator": pages.signed_in("ope"),
        "auditor": pages.signed_in("aud"),
        "customer": pages.as_customer(pages.me),
        "nobody": pages.client(),
    }
    for role, client in clients.items():
        for door, urls in doors.items():
            for url in urls:
                found = client.get(url).status_code
                if role == "nobody":
                    assert found == (401 if url.endswith(".json") else 302), url
                else:
                    assert found == (200 if role == door else 403), (role, url)


def test_no_route_is_forgotten(pages):
    """Whoever adds a route says here who may use it."""
    free = {
        "accounts.front",
        "accounts.login",
        "accounts.log_in",
        "accounts.logout",
        "pages.static",
        "ingest.accept_reports",
    }
    free |= {"health.healthz", "health.readyz", "portal.home", "portal.new_key", "portal.challenge", "portal.answer"}
    free |= {"portal.honesty", "portal.script_hashes"}  # what everyone may know
    free |= {"ingest.tell_standing"}  # it answers what a rostered concentrator signed
    free |= {"reference.openapi", "reference.docs", "reference.static"}
    for rule in pages.app.url_map.iter_rules():
        guarded = rule.endpoint.startswith(("supplier.", "operator.", "auditor.", "portal.own.", "api_"))
        assert guarded or rule.endpoint in free, rule.endpoint


def test_a_wrong_password_and_an_unknown_name_are_told_the_same(pages):
    client = pages.client()
    token = token_of(client, "/login")
    told = set()
    for name, password in (
        ("sue", "wrong password"),
        ("nobody", PASSWORD),
        ("sue\0", PASSWORD),
        ("é" * 99, ""),
        ("", ""),
    ):
        answer = client.post("/login", data={"csrf_token": token, "name": name, "password": password})
        told.add((answer.status_code, TOKEN.sub("", answer.text)))
    assert len(told) == 1
    assert told.pop()[0] == 403


def test_a_new_password_ends_older_sessions(pages):
    client = pages.signed_in("sue")
    assert client.get("/supplier/").status_code == 200
    add_user(pages.store, "sue", "supplier", "another horse battery")
    assert client.get("/supplier/").status_code == 302


def test_a_changed_role_ends_older_sessions(pages):
    client = pages.signed_in("sue")
    add_user(pages.store, "sue", "auditor", PASSWORD)
    assert client.get("/supplier/").status_code == 302
    assert client.get("/auditor/").status_code == 302


def test_signing_out_ends_the_session(pages):
    client = pages.signed_in("sue")
    assert client.post("/logout", data={"csrf_token": token_of(client, "/supplier/")}).status_code == 303
    assert client.get("/supplier/").status_code == 302


def test_an_idle_session_ends_and_asking_alone_does_not_keep_it(pages, monkeypatch):
    client = pages.signed_in("sue")
    now = time.time()
    loads = "/supplier/neighbourhoods/north/loads.json"
    monkeypatch.setattr(sessions.time, "time", lambda: now + 20 * 60)
    assert client.get(loads).status_code == 200
    monkeypatch.setattr(sessions.time, "time", lambda: now + 31 * 60)
    assert client.get(loads).status_code == 401
    client = pages.signed_in("sue")
    for minutes in range(31, 12 * 60 + 31, 29):
        monkeypatch.setattr(sessions.time, "time", lambda at=minutes: now + at * 60)
        assert client.get(loads, query_string={"active": "1"}).status_code == 200, minutes
    monkeypatch.setattr(sessions.time, "time", lambda: now + (31 + 12 * 60 + 1) * 60)
    assert client.get(loads).status_code == 401


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(pages):
    client = pages.client()
    form = {"csrf_token": token_of(client, "/login"), "name": "sue", "password": PASSWORD}
    cookie = client.post("/login", data=form).headers["Set-Cookie"]
    assert cookie.startswith("hushmeter=")
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert "Domain" not in cookie


def test_over_https_the_cookie_is_for_https_alone(bench, tmp_path):
    pages = BenchPages(bench, tmp_path, origin="https://portal.example.org")
    answer = pages.client().get("/login", headers={"Host": "portal.example.org"})
    assert answer.headers["Set-Cookie"].startswith("__Host-hushmeter=")
    assert "; Secure" in answer.headers["Set-Cookie"]
    assert answer.headers["Strict-Transport-Security"].startswith("max-age=")
    assert pages.client().get("/login").status_code == 421
    pages.close()


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "localhost:99999999", ""]
)
def test_a_request_for_another_host_gets_no_page(pages, host):
    answer = pages.client().get("/login", headers={"Host": host})
    assert answer.status_code in (400, 421)
    assert "csrf_token" not in answer.text


def test_reports_need_neither_host_nor_token(pages):
    answer = pages.client().post("/api/v1/reports", data=b"{}", content_type="application/json", headers={"Host": "x"})
    assert answer.status_code == 400
    assert "batch" in answer.get_json()["detail"]
    assert pages.client().get("/healthz", headers={"Host": "x"}).status_code == 200


@pytest.mark.parametrize(
    "url",
    [
        "/login",
        "/logout",
        "/auditor/again",
        "/operator/conflicts/x/handled",
        "/operator/requests/new/meter",
        "/operator/requests/export",
        "/operator/requests/x/approve",
        "/portal/challenge.json",
        "/portal/answer.json",
    ],
)
def test_every_form_needs_its_token(pages, url):
    client = pages.signed_in("aud")
    for headers in ({}, {"X-CSRFToken": "wrong"}):
        answer = client.post(url, data={"name": "sue", "password": PASSWORD}, headers=headers)
        assert answer.status_code == 400, url
    assert client.get("/auditor/").status_code == 200


def test_guessing_passwords_is_slowed_down(pages):
    client = pages.client()
    form = {"csrf_token": token_of(client, "/login"), "name": "sue", "password": "wrong password"}
    found = [client.post("/login", data=form).status_code for _ in range(12)]
    assert found == [403] * 10 + [429] * 2
    assert "Wait" in client.post("/login", data=form).text


def test_every_answer_has_the_headers(pages):
    client = pages.signed_in("sue")
    urls = (
        "/",
        *SUPPLIERS,
        *OPERATORS,
        "/auditor/",
        "/login",
        "/portal/",
        "/static/pages.css",
        "/none",
        "/healthz",
        "/readyz",
        "/docs",
        "/api/v1/reports",
        "/api/v1/openapi.json",
        "/api/v1/neighbourhoods",
        "/api/v1/bills",
    )
    for url in urls:
        headers = client.get(url).headers
        assert headers["Content-Security-Policy"] == POLICY, url
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        if not url.startswith("/static/"):
            assert headers["Cache-Control"] == "no-store", url
    assert "unsafe" not in POLICY
    assert "http" not in POLICY


def test_without_a_session_key_there_are_no_pages(web):
    assert web.client.get("/healthz").status_code == 200
    for url in ("/", "/login", "/supplier/", "/portal/", "/static/pages.css"):
        assert web.client.get(url).status_code == 404
    assert web.client.get("/healthz").headers["Content-Security-Policy"] == POLICY


@pytest.mark.parametrize(
    ("text", "mode", "reason"),
    [
        ("ab" * 31, 0o600, "64 hex digits"),
        ("zz" * 32, 0o600, "64 hex digits"),
        ("ab" * 32, 0o644, "chmod 600"),
        (None, 0, "No such"),
    ],
)
def test_a_session_key_that_cannot_be_used_is_one_line(bench, tmp_path, text, mode, reason):
    config, _ = bench.write(tmp_path)
    with config.open("a") as file:
        file.write('session_key = "session.key"\n')
    if text is not None:
        (tmp_path / "session.key").write_text(text)
        (tmp_path / "session.key").chmod(mode)
    with pytest.raises(CannotStart, match=reason):
        BenchWeb.__init__(object.__new__(BenchWeb), _Written(config), tmp_path)


class _Written:
    """A bench whose deployment is written already."""

    def __init__(self, config):
        self._config = config

    def write(self, _folder):
        return self._config, None


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('origin = "http://portal.example.org"', "origin"),
        ('origin = "https://portal.example.org/"', "origin"),
        ("tariffs = 0.3", "tariffs"),
        ("tariff_micro_per_kwh = 312500", "unknown key: tariff_micro_per_kwh"),
        ('release_log = "release-log.jsonl"', "log_key"),
        ('log_key = "AAAA"', "log_key"),
        ('session_keys = "x"', "unknown key: session_keys"),
    ],
)
def test_a_wrong_setting_is_named(bench, tmp_path, line, reason):
    config, _ = bench.write(tmp_path)
    with config.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(ConfigError, match=reason):
        load_mdms_config(config)


def test_a_password_that_is_too_short_is_refused(pages):
    for name, password in (("sue", "short"), ("a b", PASSWORD), ("", PASSWORD), ("x" * 65, PASSWORD)):
        with pytest.raises(CannotStart):
            add_user(pages.store, name, "supplier", password)
