"""Room for connections: they never take the files that the ledger, the uploads and the other links need."""

import resource

import pytest
from gateway_bench import Deployment, Meter

from gateway import carriers
from gateway.config import ConfigError, load


@pytest.fixture
def limits(monkeypatch):
    """The process's limit of open files, as the test says it is: [soft, hard]."""
    found = [1024, 524_288]
    monkeypatch.setattr(carriers.resource, "getrlimit", lambda _: tuple(found))
    monkeypatch.setattr(carriers.resource, "setrlimit", lambda _, pair: found.__setitem__(slice(None), pair))
    return found


@pytest.fixture
def config(tmp_path):
    return load(Deployment(tmp_path / "deployment", [Meter()]).write())


def test_the_limit_of_open_files_is_raised_to_hold_every_connection(config, limits):
    carriers.allow_files(config)
    assert limits == [config.max_connections + carriers.SPARE_FILES, 524_288]
    limits[:] = [resource.RLIM_INFINITY, resource.RLIM_INFINITY]
    carriers.allow_files(config)
    assert limits == [resource.RLIM_INFINITY] * 2


def test_more_connections_than_the_system_has_files_are_refused_with_the_number_that_fits(config, limits):
    limits[:] = [1024, 1024]
    with pytest.raises(ConfigError, match=r"'max_connections'.*1024: lower it to 896"):
        carriers.allow_files(config)
    assert limits == [1024, 1024]
