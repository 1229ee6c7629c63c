"""The same run on a Dask cluster: two real workers, in processes of their own, over loopback."""

import logging
import os
import signal

import dask.config
import pytest
from bill_run_bench import MonthsEnd, files
from distributed import LocalCluster
from distributed.security import Security
from mdms_bench import pseudonym
from sqlalchemy import update

from mdms.bill_run.folder import BillFolder
from mdms.bill_run.run import Options
from mdms.errors import CannotStart
from mdms.tables import bill_sums, bills

METERS = 4
ANY = "127.0.0.1:0"


@pytest.fixture(scope="module")
def cluster():
    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        dashboard_address=ANY,
        silence_logs=logging.CRITICAL,
    ) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def end(tmp_path_factory):
    end = MonthsEnd(tmp_path_factory.mktemp("utility"), METERS)
    with end.key_holder():
        end.run(end.folder / "local")
    yield end
    end.close()


@pytest.fixture(autouse=True)
def one_bill_each(monkeypatch):
    monkeypatch.setattr("mdms.bill_run.collecting.BILLS_AT_ONCE", 1)


def test_a_cluster_writes_what_this_machine_writes_byte_for_byte(end, cluster, tmp_path):
    out = tmp_path / "bills"
    with end.key_holder() as keyholder:
        outcome, _ = end.run(out, scheduler=cluster.scheduler_address)
        assert keyholder.names() == []
    assert outcome.made == METERS
    assert files(out) == files(end.folder / "local")
    worked = [entry for entry in cluster.scheduler.transition_log if entry[1:3] == ("processing", "memory")]
    assert sum(str(entry[0]).startswith("make_pages") for entry in worked) == METERS, "the cluster did it"


def test_a_worker_that_is_killed_costs_time_and_no_page(end, cluster, tmp_path, monkeypatch):
    killed = []

    def keep(folder, name, content):
        if not killed:
            killed.append(next(iter(cluster.workers.values())).pid)
            os.kill(killed[0], signal.SIGKILL)
        return kept(folder, name, content)

    kept = BillFolder.keep
    monkeypatch.setattr(BillFolder, "keep", keep)
    with end.key_holder():
        end.run(tmp_path / "bills", scheduler=cluster.scheduler_address)
    assert killed
    assert files(tmp_path / "bills") == files(end.folder / "local")


def test_what_is_not_proved_is_told_by_a_worker_too(end, cluster, tmp_path):
    named = bills.c.pseudonym == pseudonym("north", 2)

    def change(connection):
        connection.execute(update(bills).where(named).values(import_mwh=bills.c.import_mwh + 1))
        bill = connection.execute(bills.select().where(named)).one().id
        first = (bill_sums.c.bill == bill) & (bill_sums.c.number == 0)
        connection.execute(update(bill_sums).where(first).values(import_mwh=bill_sums.c.import_mwh + 1))

    twin = end.twin(tmp_path / "twin")
    twin.store.write(change)
    with twin.key_holder(), pytest.raises(CannotStart, match=r"alarm: the bill of .* says something else"):
        twin.run(tmp_path / "bills", scheduler=cluster.scheduler_address)


def test_a_cluster_over_tls_is_met_with_dasks_own_configuration_alone(end, tmp_path):
    certified = Security.temporary()
    files_of = {
        "distributed.comm.tls.ca-file": certified.tls_ca_file,
        "distributed.comm.tls.client.cert": certified.tls_client_cert,
        "distributed.comm.tls.client.key": certified.tls_client_key,
    }
    with (
        LocalCluster(
            n_workers=1,
            threads_per_worker=1,
            host="127.0.0.1",
            protocol="tls://",
            security=certified,
            dashboard_address=ANY,
            silence_logs=logging.CRITICAL,
        ) as secured,
        end.key_holder(),
    ):
        assert secured.scheduler_address.startswith("tls://")
        with dask.config.set(files_of):
            end.run(tmp_path / "bills", scheduler=secured.scheduler_address)
        with pytest.raises(CannotStart, match="names no certificates"):
            end.run(tmp_path / "others", scheduler=secured.scheduler_address)
    assert files(tmp_path / "bills") == files(end.folder / "local")
    assert not (tmp_path / "others").exists()


def test_a_scheduler_without_workers_is_said(end, tmp_path, monkeypatch):
    monkeypatch.setattr("mdms.bill_run.executors.WORKERS_S", 0.2)
    with (
        LocalCluster(n_workers=0, host="127.0.0.1", dashboard_address=ANY, silence_logs=logging.CRITICAL) as empty,
        end.key_holder() as keyholder,
        pytest.raises(CannotStart, match="has no workers"),
    ):
        end.run(tmp_path / "bills", scheduler=empty.scheduler_address)
    assert keyholder.asked == [], "nothing is opened before everything is there"


def test_this_machine_is_the_default():
    assert Options(None, None, 1).scheduler is None
