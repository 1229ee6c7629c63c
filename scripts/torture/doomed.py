"""The concentrator's daemon, to be killed by itself: `python -m scripts.torture.doomed CONFIG OPERATION [PLANT]`.

It is `python -m gateway run` on the watched disk, and sends itself SIGKILL when SQLite asks for the n-th operation:
an instant that no clock would hit, and every one of them can be numbered.
"""

import os
import signal
import sys
from itertools import count
from pathlib import Path

from gateway import __main__ as daemon
from gateway.ledger import Ledger

from . import planted
from .disk import OK, Operation, watched


def plant_ledger(planted_one: type[Ledger], right: type[Ledger] = Ledger) -> None:
    """Put a ledger in the place of the right one, in every module of the daemon."""
    for name, module in list(sys.modules.items()):
        if name.startswith("gateway.") and vars(module).get("Ledger") is right:
            vars(module)["Ledger"] = planted_one


def main(path: Path, last: int, plant: str) -> None:
    """Run the daemon until its n-th operation; 0: for good."""
    numbers = count(1)

    def watch(_: Operation) -> int:
        if next(numbers) == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return OK

    if plant:
        plant_ledger(planted.ledger(plant))
    with planted.bug(plant), watched(watch):
        daemon.main(["run", "--config", str(path)])


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), "".join(sys.argv[3:4]))
