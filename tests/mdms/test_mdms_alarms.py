"""Alarms reach a person: once when raised, once when over, once a day meanwhile, whatever is restarted or away."""

import hashlib
import hmac
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from alarms_bench import PASSWORD, SECRET, MailServer, Receiver, certificate
from click.testing import CliRunner
from mdms_bench import DAY, DEPLOYMENT, MARCH, pseudonym
from sqlalchemy import select

from mdms.__main__ import cli
from mdms.alarms import delivery
from mdms.alarms.delivery import CannotSend, deliver
from mdms.alarms.ledger import Letter, count, due_letters, known_alarms, take, troubled_letters
from mdms.alarms.mail import Mail
from mdms.alarms.settings import AlarmSettings, MailSettings, WebhookSettings, read_settings
from mdms.alarms.watch import Watcher, channels_of
from mdms.alarms.webhook import Webhook
from mdms.config import load_mdms_config
from mdms.errors import CannotStart, ConfigError
from mdms.fleet.rules import Finding
from mdms.tables import alarm_messages
from protocol.rosters import Member, sign_roster

ROOT = Path(__file__).resolve().parents[2]
NOW = 1_800_000_000
HOUR = 3600
SILENT = Finding("silent:north", "north", "No load for 2 h: does its concentrator run, and reach us?")
SETTINGS = AlarmSettings()


class Kept:
    """A channel that keeps what it is given, or fails."""

    def __init__(self):
        self.letters, self.fails = [], None

    def send(self, letter):
        if self.fails:
            raise CannotSend(self.fails)
        self.letters.append(letter)

    def kinds(self):
        return [(letter.kind, letter.alarm) for letter in self.letters]


@pytest.fixture
def mail_server(tmp_path):
    server = MailServer(tmp_path)
    yield server
    server.stop()


@pytest.fixture
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.stop()


def secret_file(folder, name, text):
    path = folder / name
    path.write_bytes(text + b"\n")
    path.chmod(0o600)
    return path


def mail_settings(server, folder, **changes):
    password = secret_file(folder, "mail.password", PASSWORD.encode())
    facts = {
        "host": "localhost",
        "port": server.port,
        "sender": "mdms@utility.example",
        "to": ["duty@utility.example", "chief@utility.example"],
        "user": "alarms",
        "password_file": str(password),
        "ca": str(server.pem),
    }
    return MailSettings(**{**facts, **changes})


def letter(kind="raised", number=7):
    return Letter(number, "mail", kind, SILENT.name, SILENT.said, NOW, 0, NOW, None, None)


def go(store, found, now, *channels):
    """One turn of a watcher: take over what was found, and deliver."""
    named = {name: channel for name, channel in zip(("mail", "webhook"), channels, strict=False)}
    take(store, found, SETTINGS, tuple(named), now)
    return deliver(store, named, lambda: now)


# --- What is told, and how often ------------------------------------------------------------------------------------


def test_an_alarm_is_told_once_when_raised_and_once_when_over(web):
    kept = Kept()
    for minute in range(30):
        go(web.store, [SILENT], NOW + minute * 60, kept)
    assert kept.kinds() == [("raised", "silent:north")]
    for minute in range(30, 60):
        go(web.store, [], NOW + minute * 60, kept)
    assert kept.kinds() == [("raised", "silent:north"), ("over", "silent:north")]
    [alarm] = known_alarms(web.store)
    assert (alarm.since, alarm.cleared) == (NOW, NOW + 39 * 60)


def test_it_is_told_again_every_day_while_it_lasts(web):
    kept = Kept()
    for hour in range(3 * 24 + 1):
        go(web.store, [SILENT], NOW + hour * HOUR, kept)
    assert [each.kind for each in kept.letters] == ["raised", "still", "still", "still"]
    assert [each.made - NOW for each in kept.letters] == [0, 24 * HOUR, 48 * HOUR, 72 * HOUR]


def test_a_cause_that_comes_and_goes_is_one_alarm(web):
    kept = Kept()
    for minute in range(60):
        go(web.store, [SILENT] if minute % 5 == 0 else [], NOW + minute * 60, kept)
    assert kept.kinds() == [("raised", "silent:north")]


def test_one_that_comes_back_after_it_was_over_is_told_anew(web):
    kept = Kept()
    for minute, there in ((0, True), (10, False), (11, True)):
        go(web.store, [SILENT] if there else [], NOW + minute * 60, kept)
    assert [each.kind for each in kept.letters] == ["raised", "over", "raised"]
    assert [alarm.cleared for alarm in known_alarms(web.store)] == [None]


def test_two_watchers_of_one_database_tell_once(web):
    first, second = Kept(), Kept()
    for minute in range(20):
        for kept in (first, second):
            go(web.store, [SILENT] if minute < 5 else [], NOW + minute * 60, kept)
    assert sorted(first.kinds() + second.kinds()) == [("over", "silent:north"), ("raised", "silent:north")]


def test_without_a_channel_alarms_are_raised_and_nothing_waits(web):
    go(web.store, [SILENT], NOW)
    assert count(web.store) == (1, 0, 0)


def test_a_planted_alarm_that_is_not_remembered_is_seen(web, monkeypatch):
    monkeypatch.setattr("mdms.alarms.ledger._remember", lambda *_: True)
    with pytest.raises(AssertionError):
        test_an_alarm_is_told_once_when_raised_and_once_when_over(web)


# --- Delivery -------------------------------------------------------------------------------------------------------


def test_what_a_channel_does_not_take_is_tried_again_ever_less_often_and_the_other_channel_has_it(web):
    mail, hook = Kept(), Kept()
    mail.fails = "SMTPServerDisconnected: no answer"
    tries = []
    for second in range(0, 4 * HOUR, 10):
        _, failed = go(web.store, [SILENT], NOW + second, mail, hook)
        tries += [second] * failed
    pauses = [after - before for before, after in pairwise(tries)]
    assert pauses[:5] == [30, 60, 120, 240, 480]
    assert hook.kinds() == [("raised", "silent:north")]
    [waiting] = troubled_letters(web.store)
    assert (waiting.channel, waiting.attempts, waiting.failure) == ("mail", len(tries), mail.fails)
    assert count(web.store) == (1, 1, 1)
    mail.fails = None
    go(web.store, [SILENT], NOW + 8 * HOUR, mail, hook)
    assert mail.kinds() == [("raised", "silent:north")]
    assert count(web.store) == (1, 0, 0)


def test_no_pause_is_longer_than_an_hour_and_after_a_week_it_is_given_up(web):
    assert max(delivery.pause(attempts) for attempts in range(100)) == HOUR
    mail = Kept()
    mail.fails = "refused"
    for hour in range(24 * 8):
        go(web.store, [SILENT], NOW + hour * HOUR, mail)
    oldest = min(troubled_letters(web.store), key=lambda each: each.id)
    assert (oldest.next_try, oldest.sent) == (None, None)
    assert oldest.failure == "given up: refused"


def test_a_message_for_a_channel_that_was_taken_away_is_no_error_of_the_others(web):
    take(web.store, [SILENT], SETTINGS, ("pigeon", "mail"), NOW)
    kept = Kept()
    assert deliver(web.store, {"mail": kept}, lambda: NOW) == (1, 1)
    assert "not configured" in troubled_letters(web.store)[0].failure


def test_a_process_that_dies_while_it_sends_leaves_the_message_to_the_next(web):
    take(web.store, [SILENT], SETTINGS, ("mail",), NOW)

    class Dies:
        def send(self, _letter):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        deliver(web.store, {"mail": Dies()}, lambda: NOW)
    kept = Kept()
    assert deliver(web.store, {"mail": kept}, lambda: NOW + 10) == (0, 0), "it may still be on its way"
    assert deliver(web.store, {"mail": kept}, lambda: NOW + delivery.LEASE_S) == (1, 0)
    assert due_letters(web.store, NOW + 10**6) == []


# --- Mail -----------------------------------------------------------------------------------------------------------


def test_a_mail_is_submitted_over_starttls_with_a_password(mail_server, tmp_path):
    Mail(mail_settings(mail_server, tmp_path), "bench", "https://energy.example").send(letter())
    [mail] = mail_server.mails
    assert mail_server.secured == [True]
    for line in (
        "From: mdms@utility.example",
        "To: duty@utility.example, chief@utility.example",
        "Subject: [bench] Alarm: silent:north",
        f"Message-ID: <7.{NOW}.bench@alarms.hushmeter>",
        "Auto-Submitted: auto-generated",
        SILENT.said,
        "https://energy.example/operator/alarms",
    ):
        assert line in mail, line


def test_a_mail_server_with_another_certificate_or_none_is_given_no_password(mail_server, tmp_path):
    other, _ = certificate(tmp_path, "other")
    with pytest.raises(CannotSend, match="certificate"):
        Mail(mail_settings(mail_server, tmp_path, ca=str(other)), "bench", None).send(letter())
    with pytest.raises(CannotSend, match="SSLError"):
        Mail(mail_settings(mail_server, tmp_path, tls="tls"), "bench", None).send(letter())
    assert mail_server.mails == []


@pytest.mark.parametrize("answer", ["451 later, because of hunter2", "554 never, because of hunter2"])
def test_what_a_mail_server_refuses_is_told_by_its_code(mail_server, tmp_path, answer):
    mail_server.refuse = answer
    with pytest.raises(CannotSend) as refused:
        Mail(mail_settings(mail_server, tmp_path), "bench", None).send(letter())
    assert answer[:3] in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_a_wrong_password_and_an_absent_server_are_told_and_the_password_is_not(mail_server, tmp_path):
    secret = secret_file(tmp_path, "wrong.password", b"a wrong password")
    with pytest.raises(CannotSend, match="code 535") as refused:
        Mail(mail_settings(mail_server, tmp_path, password_file=str(secret)), "bench", None).send(letter())
    assert "wrong password" not in str(refused.value)
    with pytest.raises(CannotSend, match="ConnectionRefusedError"):
        Mail(mail_settings(mail_server, tmp_path, port=9, host="127.0.0.1"), "bench", None).send(letter())


# --- Webhook --------------------------------------------------------------------------------------------------------


def hook(receiver, folder, scheme="http", **changes):
    secret = secret_file(folder, "hook.secret", SECRET)
    url = f"{scheme}://localhost:{receiver.port}/alarms?from=mdms"
    return Webhook(WebhookSettings(**{"url": url, "secret_file": str(secret), **changes}), "bench")


def test_a_webhooks_post_is_signed_over_time_and_body(receiver, tmp_path):
    hook(receiver, tmp_path).send(letter("over", 9))
    [(headers, body)] = receiver.posts
    assert json.loads(body) == {
        "version": 1,
        "id": 9,
        "deployment": "bench",
        "kind": "over",
        "alarm": "silent:north",
        "said": SILENT.said,
        "at": NOW,
    }
    stamp = headers["X-Hushmeter-Timestamp"]
    assert abs(int(stamp) - time.time()) < 60
    expected = hmac.new(SECRET, f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    assert headers["X-Hushmeter-Signature"] == f"sha256={expected}"


@pytest.mark.parametrize("status", [302, 400, 500])
def test_only_2xx_is_taken_and_no_redirection_is_followed(receiver, tmp_path, status):
    receiver.status = status
    with pytest.raises(CannotSend, match=f"answered {status}"):
        hook(receiver, tmp_path).send(letter())
    assert receiver.posts == []


def test_a_webhook_over_https_checks_the_certificate(tmp_path):
    pem, key = certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem, key)
    receiver = Receiver(context)
    with pytest.raises(CannotSend, match="certificate"):
        hook(receiver, tmp_path, "https").send(letter())
    hook(receiver, tmp_path, "https", ca=str(pem)).send(letter())
    assert len(receiver.posts) == 1
    receiver.stop()


# --- Settings -------------------------------------------------------------------------------------------------------

MAIL = {"host": "mail.example", "sender": "a@b.example", "to": ["c@d.example"]}


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ({"silent_minute": 5}, "unknown field `silent_minute`"),
        ({"silent_minutes": 0}, "silent_minutes"),
        ({"silent_minutes": "5"}, "silent_minutes"),
        ({"mail": {**MAIL, "to": []}}, "to"),
        ({"mail": {**MAIL, "to": ["nobody"]}}, "no address"),
        ({"mail": {**MAIL, "sender": "a@b.example\nBcc: x@y.example"}}, "no address"),
        ({"mail": {**MAIL, "tls": "none"}}, "loopback only"),
        ({"mail": {**MAIL, "tls": "maybe"}}, "tls"),
        ({"mail": {**MAIL, "password_file": "x"}}, "without a user"),
        ({"mail": {**MAIL, "password": "x"}}, "unknown field `password`"),
        ({"webhook": {"url": "http://hooks.example/x"}}, "must be https"),
        ({"webhook": {"url": "ftp://hooks.example/x"}}, "must be https"),
        ({"webhook": {"url": "https://user:pw@hooks.example/x"}}, "without a password"),
        ({"webhook": {"url": "https://hooks.example:99999/x"}}, "url"),
        ({"webhook": {"url": "https:///x"}}, "url"),
    ],
)
def test_a_wrong_setting_is_named(table, reason):
    with pytest.raises(ConfigError, match=reason):
        read_settings(table, Path("mdms.toml"))


def test_secrets_are_files_that_nobody_else_may_read_or_systemds(tmp_path, monkeypatch):
    found = read_settings({"webhook": {"url": "https://hooks.example/x", "secret_file": "s"}}, tmp_path / "mdms.toml")
    assert found.webhook.secret_file == str(tmp_path / "s")
    with pytest.raises(CannotStart, match="No such"):
        Webhook(found.webhook, "bench")
    path = secret_file(tmp_path, "s", SECRET)
    Webhook(found.webhook, "bench")
    path.chmod(0o640)
    with pytest.raises(CannotStart, match="chmod 600"):
        Webhook(found.webhook, "bench")
    secret_file(tmp_path, "s", b"short")
    with pytest.raises(CannotStart, match="fewer than 16"):
        Webhook(found.webhook, "bench")
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    bare = WebhookSettings(url="https://hooks.example/x")
    with pytest.raises(CannotStart, match="alarm-webhook"):
        Webhook(bare, "bench")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "alarm-webhook").write_bytes(SECRET)
    Webhook(bare, "bench")


def test_every_key_of_the_table_is_documented_with_its_default():
    text = (ROOT / "docs" / "reference" / "configuration.md").read_text()
    for heading, kind in (
        ("[alarms]", AlarmSettings),
        ("[alarms.mail]", MailSettings),
        ("[alarms.webhook]", WebhookSettings),
    ):
        section = re.search(rf"^### {re.escape(heading)}\n(.*?)(?=^#|\Z)", text, re.M | re.S)[1]
        documented = dict(re.findall(r"^\| `(\w+)` \| [^|]* \| ([^|]*?) \|", section, re.M))
        fields = {field.name: field for field in msgspec.structs.fields(kind)}
        assert set(documented) == set(fields) - {"mail", "webhook"}
        for name, default in documented.items():
            known = fields[name].default
            expected = "required" if known is msgspec.NODEFAULT else json.dumps(known) if known != "" else "none"
            assert default.strip("`") == expected, name


# --- The process ----------------------------------------------------------------------------------------------------


def configured(folder, **tables):
    """Add tables to a configuration; returns its path."""
    path = folder / "mdms.toml"
    text = "".join(
        f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())
        for name, values in tables.items()
    )
    path.write_text(path.read_text() + text)
    return path


def with_webhook(folder, receiver, **limits):
    secret_file(folder, "hook.secret", SECRET)
    hook = {"url": f"http://127.0.0.1:{receiver.port}/", "secret_file": "hook.secret"}
    return configured(folder, alarms={"every_seconds": 1, **limits}, **{"alarms.webhook": hook})


def alarms_of(receiver):
    return [(told["kind"], told["alarm"]) for told in (json.loads(body) for _, body in receiver.posts)]


def test_the_watcher_tells_of_a_silent_street_and_of_no_home(web, tmp_path, receiver):
    config = load_mdms_config(with_webhook(tmp_path, receiver))
    Watcher(config, web.store, channels_of(config)).look_once()
    told = alarms_of(receiver)
    assert ("raised", "silent:north") in told
    assert ("raised", "windows:south") in told
    text = b"".join(body for _, body in receiver.posts).decode()
    assert not any(pseudonym(street, at) in text for street in ("north", "south") for at in range(12))
    Watcher(config, web.store, channels_of(config)).look_once()
    assert alarms_of(receiver) == told, "another process knows what was told"


def test_a_roster_that_cannot_be_used_is_an_alarm_and_the_fleet_is_watched_on(bench, web, tmp_path, receiver):
    config = load_mdms_config(with_webhook(tmp_path, receiver))
    watcher = Watcher(config, web.store, channels_of(config))
    watcher.look_once()
    moved = bench.north.make_roster(2, MARCH + DAY, [Member(pseudonym("north", 0), MARCH + DAY)])
    document = sign_roster(bench.operator, DEPLOYMENT, moved)
    (tmp_path / "rosters" / "z.json").write_bytes(msgspec.json.encode(document))
    watcher.look_once()
    assert alarms_of(receiver)[-1] == ("raised", "rosters")
    told = receiver.posts[-1][1].decode()
    assert str(tmp_path) not in told
    assert pseudonym("north", 0) not in told, "the reason names it"


def test_a_database_that_is_away_stops_no_watcher(web, tmp_path, monkeypatch):
    from sqlalchemy.exc import OperationalError

    def fail(*_):
        raise OperationalError("SELECT", {}, Exception("gone"))

    config = load_mdms_config(tmp_path / "mdms.toml")
    watcher = Watcher(config, web.store, {})
    monkeypatch.setattr(web.store, "ask", fail)
    watcher.look_once()
    monkeypatch.undo()
    watcher.look_once()
    assert count(web.store)[0] > 0


def test_the_process_survives_a_kill_without_repeating_itself_and_stops_in_order(web, tmp_path, receiver):
    path = with_webhook(tmp_path, receiver)
    command = [sys.executable, "-m", "mdms", "watch", "--config", str(path)]

    def start():
        return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, env=os.environ)

    process = start()
    wait_until(lambda: len(receiver.posts) >= 4)
    process.kill()
    process.wait(20)
    before = alarms_of(receiver)
    process = start()
    turns = watched(web)
    wait_until(lambda: watched(web) > turns + 1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    assert len(before) == len(set(before))
    assert alarms_of(receiver) == before


def watched(web):
    from mdms.fleet.questions import WATCH, chore

    found = chore(web.store, WATCH)
    return found.at if found else 0


def wait_until(condition, seconds=40):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.1)


def test_a_test_message_says_what_became_of_it(web, tmp_path, receiver):
    none = CliRunner().invoke(cli, ["watch", "--test", "--config", str(tmp_path / "mdms.toml")])
    assert (none.exit_code, "no channel" in none.output) == (1, True)
    path = with_webhook(tmp_path, receiver)
    done = CliRunner().invoke(cli, ["watch", "--test", "--config", str(path)])
    assert (done.exit_code, done.output) == (0, "mdms: webhook: taken\n")
    receiver.status = 500
    done = CliRunner().invoke(cli, ["watch", "--test", "--config", str(path)])
    assert (done.exit_code, done.output) == (1, "mdms: webhook: the receiver answered 500\n")
    assert web.store.ask(select(alarm_messages)) == []


def test_the_page_and_the_metrics_show_alarms_and_what_nobody_took(pages):
    from prometheus_client import generate_latest

    operator = pages.signed_in("ope")
    assert "has never run" in operator.get("/operator/alarms").text
    mail = Kept()
    mail.fails = "SMTPServerDisconnected: no answer"
    now = int(time.time())
    go(pages.store, [SILENT], now, mail)
    text = operator.get("/operator/alarms").text
    for said in ("silent:north", SILENT.said, "SMTPServerDisconnected", "reach nobody"):
        assert said in text, said
    metrics = generate_latest(pages.app.extensions["hushmeter_metrics"].registry).decode()
    for line in ("alarms 1.0", "alarm_messages_waiting 1.0", "alarm_messages_failing 1.0", "watched_seconds 0.0"):
        assert f"hushmeter_mdms_{line}" in metrics, line


def test_check_says_whom_alarms_reach(web, tmp_path):
    from mdms.operation.check import check

    path = tmp_path / "mdms.toml"
    assert "WARNING: alarms reach nobody: [alarms] names neither mail nor webhook" in check(path).plan
    configured(tmp_path, **{"alarms.mail": {**MAIL, "host": "mail.example"}})
    assert "watch mails alarms to c@d.example by mail.example:587, starttls" in check(path).plan
