"""Backup and restoration: a ledger that is lost in the middle of a day costs no energy and counts none twice.

The MDMS here is the real one's door (mdms/ingest) on a database of its own; only the key holder is the test.
"""

import json
import subprocess
import time

import msgspec
import pytest
from Crypto.Protocol.DH import import_x25519_private_key
from Crypto.PublicKey import ECC
from flask import Flask
from gateway_bench import (
    DAY,
    DEPLOYMENT,
    HOUR,
    IDENTITY,
    INTERVAL,
    NAME,
    START,
    WINDOW,
    Deployment,
    Meter,
    decrypt,
)

from gateway.config import load
from gateway.enrolment import EnrolmentError
from gateway.holdings import enrolled
from gateway.ledger import Ledger, LedgerError
from gateway.operation import backup, restore
from gateway.operation.backup import BackupError, MeterBackup, Secrets
from gateway.operation.restore import RestoreError, fetch, plan, write
from mdms.ingest.routes import ingest_routes
from mdms.records.windows import window_documents
from mdms.rosters import RosterBook
from mdms.store import Store
from mdms.tables import billing_windows, conflicts, interval_loads
from protocol import documents, reports
from protocol.documents import key_id
from protocol.standing import Standing

NOON = START + 12 * HOUR
END = START + 10 * DAY
SIGNERS = {key_id(IDENTITY): IDENTITY.public_key()}


class Mdms:
    """The utility's door over a fresh database."""

    def __init__(self, folder, roster):
        self.store = Store(f"sqlite:///{folder / 'mdms.sqlite3'}")
        app = Flask("mdms")
        app.register_blueprint(ingest_routes(self.store, RosterBook([roster]), DEPLOYMENT))
        self.client = app.test_client()

    def take(self, gateway, limit=10_000):
        """Upload what waits, oldest first, and return the verdicts."""
        found = []
        while len(found) < limit and (waiting := gateway.outbox.waiting(min(100, limit - len(found)))):
            body = msgspec.json.encode(reports.Batch([item.document for item in waiting]))
            answer = self.client.post("/api/v1/reports", data=body, content_type="application/json")
            verdicts = msgspec.json.decode(answer.get_data(), type=reports.BatchAnswer).verdicts
            with gateway.ledger.transaction():
                pairs = [(item.seq, verdict) for item, verdict in zip(waiting, verdicts, strict=True)]
                gateway.outbox.decide(pairs, lambda *alarm: None)
            found += [(verdict.verdict, verdict.reason) for verdict in verdicts]
        return found

    def ask(self, document):
        answer = self.client.post(
            "/api/v1/standing", data=msgspec.json.encode(document), content_type="application/json"
        )
        assert answer.status_code == 200, answer.get_data()
        return msgspec.json.decode(answer.get_data(), type=Standing)

    def billed(self, meter):
        """The sum of the stored windows of a meter, both directions."""
        sums = [(0, 0)]
        starts = [window.window_start for window in self.store.ask(billing_windows.select())]
        for document in window_documents(self.store, meter.pseudonym, starts):
            report = reports.parse_report(document.type, document.content_bytes())
            if report.energy is not None:
                sums.append(decrypt(report.energy))
        return sum(each[0] for each in sums), sum(each[1] for each in sums)


def make_backup(gateway, recovery=None):
    return backup.make(
        gateway.path,
        {NAME: gateway.place},
        deployment=DEPLOYMENT,
        configuration="",
        identity=IDENTITY.export_key(format="PEM"),
        recovery=recovery,
        now=START,
    )


def recovery_pair():
    private = import_x25519_private_key(bytes(range(32)))
    return private, private.public_key()


PRIVATE, PUBLIC = recovery_pair()


def lose_and_restore(gateway, kept, mdms, fetched=None):
    gateway.stop()
    for path in gateway.path.parent.glob(gateway.path.name + "*"):
        path.unlink()
    place = fetch(fetched or mdms.ask, IDENTITY, DEPLOYMENT, NAME, SIGNERS, int(time.time()))
    made = plan(kept, backup.unseal(PRIVATE, kept), [], {NAME: place}, {NAME: gateway.place})
    write(gateway.path, made)
    gateway.start()
    return made


def run_day(gateway, meters, begin, end, mdms, upload=True, lost=()):
    """Deliver quarter hours from begin to end, closing as time goes, uploading every hour."""
    for start in range(begin, end, INTERVAL):
        for number, meter in enumerate(meters):
            frame = meter.reading(start, 1000 + number + start % 977, number)
            if (start, number) not in lost:
                gateway.take([frame], start + INTERVAL)
        gateway.close(start + INTERVAL)
        if upload and (start + INTERVAL) % HOUR == 0:
            assert {verdict for verdict, _ in mdms.take(gateway)} <= {"stored"}


@pytest.fixture
def street(make, folder):
    meters = [Meter(i) for i in range(4)]
    gateway = make(meters)
    return gateway, meters, Mdms(folder, gateway.roster())


def whole(meter):
    return meter.imported - meter.first_import, meter.exported - meter.first_export


def test_a_ledger_that_is_lost_in_the_middle_of_a_day_bills_last_register_minus_first(street):
    gateway, meters, mdms = street
    run_day(gateway, meters, START, START + 5 * HOUR, mdms)
    kept = make_backup(gateway, PUBLIC)
    run_day(gateway, meters, START + 5 * HOUR, NOON, mdms)
    # The MDMS is away: windows and loads are closed, and die with the ledger.
    run_day(gateway, meters, NOON, NOON + 4 * HOUR, mdms, upload=False)
    made = lose_and_restore(gateway, kept, mdms)
    assert len(made.meters) == 4 and made.left_out == []
    run_day(gateway, meters, NOON + 4 * HOUR, START + DAY, mdms)
    gateway.close(END)
    assert {verdict for verdict, _ in mdms.take(gateway)} == {"stored"}, "no load and no window closed twice"
    for meter in meters:
        assert mdms.billed(meter) == whole(meter)
    assert mdms.store.ask(conflicts.select()) == []
    starts = [row.interval_start for row in mdms.store.ask(interval_loads.select())]
    assert len(starts) == len(set(starts))


@pytest.mark.parametrize("accepted", [0, 1, 7, 23, 60])
def test_wherever_the_upload_was_cut_off_nothing_counts_twice(make, folder, accepted):
    """The answer is lost too: the MDMS has stored what the ledger never heard of."""
    meters = [Meter(0), Meter(1)]
    gateway = make(meters)
    mdms = Mdms(folder, gateway.roster())
    kept = make_backup(gateway, PUBLIC)
    run_day(gateway, meters, START, NOON, mdms, upload=False)
    mdms.take(gateway, accepted)
    lose_and_restore(gateway, kept, mdms)
    run_day(gateway, meters, NOON, NOON + 2 * HOUR, mdms)
    gateway.close(END)
    assert {verdict for verdict, _ in mdms.take(gateway)} == {"stored"}
    for meter in meters:
        assert mdms.billed(meter) == whole(meter)


def test_frames_that_come_again_after_the_restoration_count_nowhere_twice(street):
    """Lost acknowledgements, or somebody who has recorded the street."""
    gateway, meters, mdms = street
    kept = make_backup(gateway, PUBLIC)
    frames = [meter.reading(START + i * INTERVAL, 50 + i, i) for i in range(20) for meter in meters]
    gateway.take(frames, START + 5 * HOUR)
    gateway.close(START + 5 * HOUR)
    mdms.take(gateway)
    lose_and_restore(gateway, kept, mdms)
    gateway.take(frames, START + 5 * HOUR)
    gateway.take(frames[::-1], START + 5 * HOUR)
    gateway.close(END)
    assert {verdict for verdict, _ in mdms.take(gateway)} == {"stored"}
    for meter in meters:
        assert mdms.billed(meter) == whole(meter)


def test_a_loss_before_any_window_was_accepted_counts_from_the_first_register(street):
    gateway, meters, mdms = street
    run_day(gateway, meters, START, START + 2 * HOUR, mdms, upload=False)
    kept = make_backup(gateway, PUBLIC)
    # Sealed, not uploaded: a later backup's own register would lose that window.
    run_day(gateway, meters, START + 2 * HOUR, START + 5 * HOUR, mdms, upload=False)
    kept = make_backup(gateway, PUBLIC)
    lose_and_restore(gateway, kept, mdms)
    run_day(gateway, meters, START + 5 * HOUR, START + 8 * HOUR, mdms)
    gateway.close(END)
    mdms.take(gateway)
    for meter in meters:
        assert mdms.billed(meter) == whole(meter)


def test_an_old_backup_is_as_good_as_a_new_one(street):
    gateway, meters, mdms = street
    kept = make_backup(gateway, PUBLIC)
    for day in range(9):
        run_day(gateway, meters[:1], START + day * DAY, START + day * DAY + 2 * HOUR, mdms)
    lose_and_restore(gateway, kept, mdms)
    run_day(gateway, meters[:1], START + 9 * DAY, START + 9 * DAY + 2 * HOUR, mdms)
    gateway.close(START + 20 * DAY)
    assert {verdict for verdict, _ in mdms.take(gateway)} == {"stored"}
    assert mdms.billed(meters[0]) == whole(meters[0])


def test_a_ledger_that_is_put_back_from_a_copy_is_why_this_exists(street):
    """The planted bug: an old ledger, without asking. Its reports contradict what is stored."""
    gateway, meters, mdms = street
    run_day(gateway, meters, START, START + 5 * HOUR, mdms)
    gateway.stop()
    copy = gateway.path.read_bytes()
    gateway.start()
    run_day(gateway, meters, START + 5 * HOUR, NOON, mdms)
    gateway.stop()
    gateway.path.write_bytes(copy)
    gateway.start()
    gateway.take([meters[0].reading(NOON, 5)], NOON + INTERVAL)
    gateway.close(END)
    assert "conflict" in {verdict for verdict, _ in mdms.take(gateway)}


def test_a_planted_restoration_from_the_backups_own_register_is_found(street, monkeypatch):
    honest = restore._standpoint

    def planted(*arguments):
        found = honest(*arguments)
        return found._replace(base=found.first, base_end=found.record.since)

    monkeypatch.setattr(restore, "_standpoint", planted)
    with pytest.raises(AssertionError):
        test_a_ledger_that_is_lost_in_the_middle_of_a_day_bills_last_register_minus_first(street)


# --- What a backup holds ------------------------------------------------------------------------------------------


def test_a_backup_holds_no_key_no_reading_and_no_register_as_it_is_stored(street):
    gateway, meters, mdms = street
    run_day(gateway, meters, START, START + 4 * HOUR, mdms)
    text = msgspec.json.encode(make_backup(gateway, PUBLIC)).decode()
    bare = make_backup(gateway)
    assert bare.sealed is None
    for meter in meters:
        assert meter.title.hex() in text
        for secret in (meter.chain.value, meter.hello_key, meter.time_key):
            assert secret.hex() not in text and documents.to_base64url(secret) not in text
    assert "PRIVATE" not in text
    for (register,) in gateway.ledger.execute("SELECT register FROM first_registers").fetchall():
        assert documents.to_base64url(register) not in text
    assert {decrypt(meter.first_register) for meter in bare.meters} == {(1_000, 50)}
    assert not set(msgspec.structs.asdict(bare)) & {"windows", "loads", "quarantine", "readings"}


def test_the_keys_open_with_the_recovery_key_only(gateway):
    kept = make_backup(gateway, PUBLIC)
    secrets = backup.unseal(PRIVATE, kept)
    assert "PRIVATE" in secrets.identity and "PRIVATE" not in repr(secrets)
    stranger = import_x25519_private_key(bytes(range(1, 33)))
    for key, changed in (
        (stranger, kept),
        (PRIVATE, msgspec.structs.replace(kept, deployment="elsewhere")),
        (PRIVATE, msgspec.structs.replace(kept, sealed=backup.Sealed(kept.sealed.enc, "AAAA"))),
        (PRIVATE, make_backup(gateway)),
    ):
        with pytest.raises(BackupError):
            backup.unseal(key, changed)


def test_openssl_makes_a_recovery_key(tmp_path):
    private, public = tmp_path / "recovery.pem", tmp_path / "recovery.pub.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "X25519", "-out", private], check=True)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True)
    assert backup.read_recovery_key(private, private=True).has_private()
    assert not backup.read_recovery_key(public, private=False).has_private()
    for path, half in ((public, True), (private, False), (tmp_path / "none", True)):
        with pytest.raises(BackupError):
            backup.read_recovery_key(path, private=half)
    (tmp_path / "ed.pem").write_text(ECC.generate(curve="Ed25519").export_key(format="PEM"))
    with pytest.raises(BackupError, match="X25519"):
        backup.read_recovery_key(tmp_path / "ed.pem", private=True)


# --- Who is believed, and what is left out ------------------------------------------------------------------------


def test_an_answer_that_nobody_of_the_neighbourhood_signed_is_not_believed(street):
    gateway, meters, mdms = street
    run_day(gateway, meters, START, START + 4 * HOUR, mdms)
    true = mdms.ask(request(gateway))
    stranger = documents.generate_signing_key()

    def forged(document):
        return documents.sign(stranger, document.type, DEPLOYMENT, document.content_bytes())

    first, second = true.meters[:2]
    cases = [
        msgspec.structs.replace(true, load=forged(true.load)),
        msgspec.structs.replace(true, load=first.newest),
        msgspec.structs.replace(true, meters=[msgspec.structs.replace(first, newest=forged(first.newest))]),
        msgspec.structs.replace(true, meters=[msgspec.structs.replace(first, newest=second.newest)]),
        msgspec.structs.replace(true, meters=[msgspec.structs.replace(first, newest_filled=None)]),
        msgspec.structs.replace(true, more=True),
    ]
    for case in cases:
        with pytest.raises(RestoreError, match="nothing was restored"):
            fetch(lambda document, case=case: case, IDENTITY, DEPLOYMENT, NAME, SIGNERS, 0)


def request(gateway):
    content = documents.canonical_json({"neighbourhood": NAME, "asked": int(time.time()), "after": ""})
    return documents.sign(IDENTITY, "standing-request", DEPLOYMENT, content)


def test_a_meter_without_keys_or_base_is_left_out_and_named(street):
    gateway, meters, mdms = street
    run_day(gateway, meters[:1], START, START + 4 * HOUR, mdms)
    gateway.close(START + 4 * HOUR)
    kept = make_backup(gateway, PUBLIC)
    secrets = backup.unseal(PRIVATE, kept)
    titles = sorted(secrets.meters)
    fewer = Secrets(secrets.identity, {title: secrets.meters[title] for title in titles[:3]})
    unknown = [
        MeterBackup(*[None if name == "first_register" else getattr(meter, name) for name in meter.__struct_fields__])
        for meter in kept.meters
    ]
    place = fetch(mdms.ask, IDENTITY, DEPLOYMENT, NAME, SIGNERS, int(time.time()))
    made = plan(msgspec.structs.replace(kept, meters=unknown), fewer, [], {NAME: place}, {NAME: gateway.place})
    assert [meter.record.system_title for meter in made.meters] == titles[:1]
    reasons = dict(made.left_out)
    assert "no window of it was accepted" in reasons[titles[1]]
    assert "no keys" in reasons[titles[3]]


def test_a_new_enrolment_record_brings_keys_and_the_account_goes_on(street):
    """No sealed backup: the installer gives a meter new keys at its place. Its registers go on."""
    gateway, meters, mdms = street
    run_day(gateway, meters, START, START + 5 * HOUR, mdms)
    kept = make_backup(gateway)
    meter = meters[0]
    again = msgspec.structs.replace(
        meter.record(), since=START + 5 * HOUR, first_import_mwh=meter.imported, first_export_mwh=meter.exported
    )
    place = fetch(mdms.ask, IDENTITY, DEPLOYMENT, NAME, SIGNERS, int(time.time()))
    made = plan(kept, None, [again], {NAME: place}, {NAME: gateway.place})
    [standpoint] = made.meters
    assert (standpoint.record.since, standpoint.base_end) == (meter.since, START + WINDOW)
    assert len(made.left_out) == 3
    other = msgspec.structs.replace(again, series=2)
    assert plan(kept, None, [other], {NAME: place}, {NAME: gateway.place}).meters == []


def test_a_restoration_is_never_put_over_a_ledger(street):
    gateway, _, _ = street
    made = plan(None, None, [Meter(9).record()], {NAME: restore.Place(None, {})}, {NAME: gateway.place})
    gateway.stop()
    before = gateway.path.read_bytes()
    with pytest.raises(LedgerError, match="there is a ledger"):
        write(gateway.path, made)
    assert gateway.path.read_bytes() == before


def test_a_restoration_that_is_cut_short_leaves_nothing_that_a_daemon_would_start(street, monkeypatch):
    gateway, _, _ = street
    made = plan(None, None, [Meter(9).record()], {NAME: restore.Place(None, {})}, {NAME: gateway.place})
    gateway.stop()
    gateway.path.unlink()

    def power_cut(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(restore, "_write_meter", power_cut)
    with pytest.raises(KeyboardInterrupt):
        write(gateway.path, made)
    assert not gateway.path.exists()
    monkeypatch.undo()
    write(gateway.path, made)
    ledger = Ledger(gateway.path)
    assert len(enrolled.titles(ledger)) == 1
    ledger.close()
    assert not list(gateway.path.parent.glob("*restoring*"))


def test_what_was_revoked_stays_revoked(street):
    gateway, _, mdms = street
    gateway.ledger.execute("INSERT INTO revoked VALUES (?, ?, 'revoked')", (b"OLDMETER", START))
    lose_and_restore(gateway, make_backup(gateway, PUBLIC), mdms)
    assert gateway.ledger.execute("SELECT * FROM revoked").fetchall() == [(b"OLDMETER", START, "revoked")]


def test_the_command_restores_with_nothing_but_files_and_the_mdms(street, folder, tmp_path):
    gateway, meters, mdms = street
    run_day(gateway, meters, START, START + 4 * HOUR, mdms)
    deployment = Deployment(tmp_path / "deployment", meters)
    config = load(deployment.write(min_contributors=3))
    for path in config.enrolment.glob("*.json"):
        path.unlink()
    config.identity_key.unlink()
    kept = make_backup(gateway, PUBLIC)
    backup.write(tmp_path / "backup.json", kept)
    assert (tmp_path / "backup.json").stat().st_mode & 0o077 == 0
    read = backup.read(tmp_path / "backup.json", DEPLOYMENT)
    secrets = backup.unseal(PRIVATE, read)
    assert restore.put_identity_back(config.identity_key, secrets)
    assert not restore.put_identity_back(config.identity_key, secrets)
    assert config.identity_key.stat().st_mode & 0o077 == 0
    made = restore.restore(config, read, secrets, mdms.ask, int(time.time()))
    assert len(made.meters) == 4
    with pytest.raises(LedgerError, match="there is a ledger"):
        restore.restore(config, read, secrets, mdms.ask, int(time.time()))


def test_a_file_that_is_no_backup_of_this_deployment_is_refused(gateway, tmp_path):
    path = tmp_path / "backup.json"
    kept = json.loads(msgspec.json.encode(make_backup(gateway)))
    for content, words in (
        (b"", "is not a concentrator's backup"),
        (b"{}", "is not a concentrator's backup"),
        (json.dumps({**kept, "deployment": "elsewhere"}).encode(), "of the deployment elsewhere"),
        (json.dumps({**kept, "format": "x"}).encode(), "of another format"),
    ):
        path.write_bytes(content)
        with pytest.raises(BackupError, match=words):
            backup.read(path, DEPLOYMENT)
    with pytest.raises(BackupError, match="cannot read"):
        backup.read(tmp_path / "none", DEPLOYMENT)


def test_an_mdms_that_is_away_or_refuses_says_what_to_do(tmp_path):
    with pytest.raises(RestoreError, match="cannot be reached"):
        restore.ask_mdms("http://127.0.0.1:9")(documents.sign(IDENTITY, "standing-request", DEPLOYMENT, b"{}"))
    assert restore._reason(403, b'{"status": 403, "detail": "unknown concentrator"}') == "unknown concentrator"
    assert restore._reason(502, b"<html>")


def test_no_roster_no_restoration(tmp_path):
    deployment = Deployment(tmp_path / "deployment", [Meter()])
    (deployment.folder / "rosters" / "north.json").unlink()
    with pytest.raises(EnrolmentError):
        restore.restore(load(deployment.config), None, None, lambda document: Standing(None, [], False), 0)
