"""Sets a street up: the key ceremony, the enrolments, and a configuration for every process."""

import secrets
import socket
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from Crypto.PublicKey import ECC
from Crypto.PublicKey.ECC import EccKey

from protocol.tariffs import Tariff

from .ceremony import Ceremony, Facts, perform
from .deployment import Deployment, toml, write_private
from .enrol import NewMeter, Terms, enrol, open_operator_key
from .sign_tariff import publish_tariff
from .supervisor import Process

HOST = "127.0.0.1"
GATEWAY = "gateway-1"
HEAP = "256M"


@dataclass(frozen=True)
class Layout:
    """What a simulated street is: its meters by neighbourhood, and the terms of all of them.

    ``since`` (UTC seconds) starts a billing window; ``period`` is the key holder's setting of that name, ``pages`` are
    further settings of the MDMS. ``tariff`` is everybody's.
    """

    deployment: str
    neighbourhoods: dict[str, list[str]]
    since: int
    zone: str
    interval_s: int
    detail_s: int
    rating_w: int
    min_contributors: int
    period: str
    key_bits: int = 3072
    unsafe_small_key: bool = False
    unsafe_short_periods: bool = False
    pages: Mapping[str, object] = field(default_factory=dict)
    tariff: Tariff | None = None


@dataclass(frozen=True)
class Ports:
    """Loopback ports. Where a link goes through something that may cut it, its own end differs from the other."""

    gateway: int
    web: int
    gateway_of_meters: int = 0
    web_of_gateway: int = 0


@dataclass(frozen=True)
class Home:
    """One meter of a street: its names and its customer's private key, which stays in this process's memory."""

    meter: str
    neighbourhood: str
    system_title: bytes
    pseudonym: str
    customer: EccKey


@dataclass(frozen=True)
class Street:
    """A street that is ready to run."""

    folder: Deployment
    facts: Facts
    homes: tuple[Home, ...]
    interval_s: int
    energies: Path
    measured: Path
    ledger: Path
    database_url: str
    release_log: Path
    processes: tuple[Process, ...]


def set_up(
    run: Path, world: Path, layout: Layout, ports: Ports, conductor_port: int, said: Callable[[str], None]
) -> Street:
    """Make keys, enrol every meter and write the configurations under ``run``.

    ``world`` holds what is no part of the system and exists in a simulation only: the energies of the simulated
    sensors, the meters' flash, the street's own record of what was measured. It is also where the key holder's
    socket lies, so its name must be short: a Unix socket's path has at most 107 bytes.
    """
    folder = Deployment(run)
    passphrase = secrets.token_urlsafe(24)
    ceremony = Ceremony(
        layout.deployment, list(layout.neighbourhoods), GATEWAY, layout.key_bits, layout.unsafe_small_key
    )
    facts = perform(folder, ceremony, passphrase, said)
    write_private(folder.keyholder / "passphrase", passphrase.encode())
    operator = open_operator_key(folder, layout.deployment, passphrase)
    homes = _enrol(folder, facts, layout, operator)
    folder.tariffs.mkdir(parents=True)
    if layout.tariff is not None:
        publish_tariff(folder, facts.deployment, layout.tariff, operator)
    said(f"{len(homes)} meters enrolled in {len(layout.neighbourhoods)} neighbourhoods")
    _configure(folder, facts, layout, ports, world, conductor_port)
    return Street(
        folder=folder,
        facts=facts,
        homes=homes,
        interval_s=layout.interval_s,
        energies=world / "energies.csv",
        measured=world / "measured.csv",
        ledger=folder.gateway(GATEWAY) / "ledger.sqlite3",
        database_url=f"sqlite:///{folder.mdms / 'mdms.sqlite3'}",
        release_log=release_log(folder),
        processes=_processes(folder),
    )


def release_log(folder: Deployment) -> Path:
    """Return where the key holder writes its log."""
    return folder.keyholder / "release-log.jsonl"


def free_port() -> int:
    """Return a loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _enrol(folder: Deployment, facts: Facts, layout: Layout, operator: EccKey) -> tuple[Home, ...]:
    homes: list[Home] = []
    for neighbourhood, meters in layout.neighbourhoods.items():
        new = [
            NewMeter(b"HSM" + (len(homes) + at).to_bytes(5, "big"), ECC.generate(curve="Curve25519"))
            for at in range(len(meters))
        ]
        terms = Terms(neighbourhood, GATEWAY, layout.since, layout.zone, layout.interval_s, layout.rating_w)
        pseudonyms = enrol(folder, facts, terms, new, operator)
        homes += [
            Home(meter, neighbourhood, each.system_title, pseudonym, each.customer)
            for meter, each, pseudonym in zip(meters, new, pseudonyms, strict=True)
        ]
    return tuple(homes)


def append_energies(street: Street, rows: Iterable[tuple[str, int, int, int]]) -> None:
    """Append (system title in hex, start, import mWh, export mWh) to what the simulated sensors will give, in order.

    Every period is written before the conductor lets it begin.
    """
    with street.energies.open("a") as file:
        file.writelines(f"{title},{start},{taken},{given}\n" for title, start, taken, given in rows)


def _configure(
    folder: Deployment,
    facts: Facts,
    layout: Layout,
    ports: Ports,
    world: Path,
    conductor_port: int,
) -> None:
    """Write every process's configuration, and make what the simulated meters read and write."""
    common = _common_settings(folder, facts, conductor_port)
    gateway = common | _gateway_settings(layout, ports)
    mdms = common | _mdms_settings(folder, facts, layout, ports, world)
    keyholder = common | _keyholder_settings(folder, layout, world)
    street = _street_settings(folder, layout, ports, world, conductor_port)
    (world / "flash").mkdir()
    for name in ("energies.csv", "measured.csv"):
        (world / name).touch()
    write_private(folder.gateway(GATEWAY) / "gateway.toml", toml(gateway))
    write_private(folder.mdms / "mdms.toml", toml(mdms))
    write_private(folder.keyholder / "keyholder.toml", toml(keyholder))
    write_private(folder.root / "street" / "street.json", msgspec.json.encode(street))


def _common_settings(folder: Deployment, facts: Facts, conductor_port: int) -> dict[str, object]:
    return {
        "deployment": facts.deployment,
        "operator_key": facts.operator_key,
        "rosters": str(folder.rosters.resolve()),
        "clock": f"conducted:{HOST}:{conductor_port}",
        "unsafe_simulated_clock": True,
    }


def _gateway_settings(layout: Layout, ports: Ports) -> dict[str, object]:
    return {
        "identity_key": "identity.pem",
        "enrolment": "enrolment",
        "ledger": "ledger.sqlite3",
        "listen": f"{HOST}:{ports.gateway}",
        "mdms_url": f"http://{HOST}:{ports.web_of_gateway or ports.web}",
        "min_contributors": layout.min_contributors,
        "commit_delay_ms": 5,
        "unsafe_small_key": layout.unsafe_small_key,
    }


def _mdms_settings(folder: Deployment, facts: Facts, layout: Layout, ports: Ports, world: Path) -> dict[str, object]:
    return {
        "tariffs": str(folder.tariffs.resolve()),
        **layout.pages,
        "release_log": str(release_log(folder).resolve()),
        "log_key": facts.log_key,
        "database": f"sqlite:///{(folder.mdms / 'mdms.sqlite3').resolve()}",
        "envelopes": str(folder.envelopes.resolve()),
        "listen": f"{HOST}:{ports.web}",
        "keyholder_socket": str(world / "keyholder"),
    }


def _keyholder_settings(folder: Deployment, layout: Layout, world: Path) -> dict[str, object]:
    return {
        "tariffs": str(folder.tariffs.resolve()),
        "keys": "keys",
        "log_key": "log.key.json",
        "passphrase_file": "passphrase",
        "database": "keyholder.sqlite3",
        "socket": str(world / "keyholder"),
        "log_file": "release-log.jsonl",
        "min_contributors": layout.min_contributors,
        "period": layout.period,
        "unsafe_short_periods": layout.unsafe_short_periods,
        "unsafe_small_key": layout.unsafe_small_key,
    }


def _street_settings(
    folder: Deployment, layout: Layout, ports: Ports, world: Path, conductor_port: int
) -> dict[str, object]:
    """Return what the simulated meters' own process is told: it has no part in the system's common settings."""
    return {
        "conductor": [HOST, conductor_port],
        "gateway": [HOST, ports.gateway_of_meters or ports.gateway],
        "provisioning": str(folder.meters.resolve()),
        "energies": str(world / "energies.csv"),
        "state": str(world / "flash"),
        "measured": str(world / "measured.csv"),
        "interval_s": layout.interval_s,
        "detail_s": layout.detail_s,
    }


def _processes(folder: Deployment) -> tuple[Process, ...]:
    python = sys.executable
    micropython = str(Path(sys.prefix) / "bin" / "micropython")
    mdms = ("--config", str(folder.mdms / "mdms.toml"))
    return (
        Process("keyholder", (python, "-m", "mdms", "keyholder", "--config", str(folder.keyholder / "keyholder.toml"))),
        Process("mdms", (python, "-m", "mdms", "serve", *mdms)),
        Process("worker", (python, "-m", "mdms", "worker", *mdms)),
        Process("gateway", (python, "-m", "gateway", "run", "--config", str(folder.gateway(GATEWAY) / "gateway.toml"))),
        Process(
            "street",
            (micropython, "-X", f"heapsize={HEAP}", "firmware/street.py", str(folder.root / "street" / "street.json")),
        ),
    )
