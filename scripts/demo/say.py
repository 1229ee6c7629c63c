"""What a person reads while the town runs."""

import time
from datetime import UTC, datetime

from Crypto.PublicKey.ECC import EccKey
from rich.console import Console

from mdms.records.bills import decided_bills
from mdms.records.loads import decided_loads
from mdms.records.sealed import rows_of
from mdms.store import Store
from protocol.documents import to_base64url

from ..balance import Balance
from ..energy import format_wh
from ..street import Street
from ..street_balance import StreetBalance
from .chaos import Chaos, Wire
from .town import LARGE, LEAST_CONTRIBUTORS, SMALL

DAY_S = 86400


def clock_of(now: int) -> str:
    """Return a domain time as people read it."""
    return datetime.fromtimestamp(now, UTC).strftime("%a %H:%M")


def customers_link(address: str, account: str, key: EccKey) -> str:
    """Return an address that opens a home's readings: the key is behind the #, which no browser sends to a server."""
    public = to_base64url(key.public_key().export_key(format="raw"))
    return f"{address}/portal/#account={account}&x={public}&d={to_base64url(key.seed)}"


def doors(console: Console, address: str, passwords: dict[str, str], account: str, key: str, link: str) -> None:
    """Say where the pages are, and with what each opens."""
    console.print("")
    console.print(
        f"  supplier   {address}/supplier/   user supplier, password {passwords['supplier']}", highlight=False
    )
    console.print(f"  auditor    {address}/auditor/    user auditor, password {passwords['auditor']}", highlight=False)
    console.print(
        f"  operator   {address}/operator/   user operator, password {passwords['operator']}", highlight=False
    )
    console.print(f"  customer   {address}/portal/     account {account}", highlight=False)
    console.print(f"             the customer's private key is the file {key}: only that browser opens the rows")
    console.print("             or follow this link and press Open; the key in it, behind the #, goes to no server:")
    console.print(f"             {link}", highlight=False, soft_wrap=True)
    console.print("  from another machine: ssh -L PORT:127.0.0.1:PORT here first; browsers keep keys on localhost only")
    console.print("")


def progress(day: int, now: int, loads: dict[str, tuple[int, int, str]], troubles: str) -> str:
    """Return the progress line: domain time, and each neighbourhood's newest load."""
    parts = [f"day {day}  {clock_of(now)}"]
    for name, (contributors, expected, status) in loads.items():
        word = "released" if status == "released" else "withheld"
        parts.append(f"{name} {contributors} of {expected} meters, {word}")
    return "   ".join(parts) + troubles


def newest_loads(store: Store, names: tuple[str, ...] = (LARGE, SMALL)) -> dict[str, tuple[int, int, str]]:
    """Return each neighbourhood's newest load: contributors, expected, status."""
    found = {}
    for name in names:
        for load in decided_loads(store, name):
            found[name] = (load.contributors, load.expected, load.status)
    return found


def midnight(console: Console, day: int, street: Street, store: Store, ledger: StreetBalance) -> None:
    """Print a day's ledger, and what the supplier could and could not see of all days so far."""
    for name, side in (("import", ledger.imported), ("export", ledger.exported)):
        console.print(f"midnight of day {day}  {name}: {_sum(side)}", highlight=False)
    loads = list(decided_loads(store))
    opened = sum(load.status == "released" for load in loads)
    bills = sum(bill.status == "released" for bill in decided_bills(store))
    rows = sum(1 for home in street.homes for _ in rows_of(store, home.pseudonym))
    console.print(
        f"  the supplier saw {opened} sums of {LEAST_CONTRIBUTORS} meters or more and {bills} energies of whole"
        f" billing periods; not one of the {ledger.imported.readings} readings, not one of the {rows} sealed rows,"
        f" and none of the {len(loads) - opened} loads of too few meters",
        highlight=False,
    )


def _sum(side: Balance) -> str:
    verdict = "balances" if side.balances() else "DOES NOT BALANCE"
    return (
        f"measured {format_wh(side.measured_mwh)} Wh = billed {format_wh(side.billed_mwh)}"
        f" + queued {format_wh(side.queued_mwh)} + quarantined {format_wh(side.quarantined_mwh)}: {verdict}"
    )


def troubles(chaos: Chaos | None, wires: list[Wire]) -> str:
    """Return what has been done to the town so far."""
    if chaos is None:
        return ""
    return f"   {chaos.kills} kills, {sum(wire.cuts for wire in wires)} cuts"


class FirstPoint:
    """Says once how long it took from the command to the first point of a customer's curve."""

    def __init__(self, console: Console, began: float) -> None:
        self._console = console
        self._began = began
        self._said = False

    def look(self, store: Store, pseudonym: str) -> None:
        """Look whether the first row has arrived where the customer's browser takes it from."""
        if self._said or next(iter(rows_of(store, pseudonym)), None) is None:
            return
        self._said = True
        seconds = time.time() - self._began
        self._console.print(f"first point on the customer's curve after {seconds:.0f} s", highlight=False)
