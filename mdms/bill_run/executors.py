"""Who works for a run: processes of this machine, or the workers of a Dask cluster. Both are `concurrent.futures`.

A cluster is given what `book.Portion` says, and what it answers is unpickled here: it stands inside the MDMS's trust
(never the key holder's), so that a scheduler beyond this machine has to speak TLS.
"""

import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

from ..config import is_loopback
from ..errors import CannotStart, ConfigError

CONNECT_S = 10
WORKERS_S = 30
RETRIES = 2
MISSING = (
    "--scheduler needs the package distributed, which is not installed: install the extra named dask "
    "(pip install '.[dask]' in the program's folder), in the same version as on the cluster"
)

CERTIFICATES = "set distributed.comm.tls.ca-file, .client.cert and .client.key"

_Task = TypeVar("_Task")
_Done = TypeVar("_Done")


@dataclass(frozen=True, slots=True)
class Working:
    """Who works, and how many tasks are given out at once."""

    executor: Executor
    width: int

    def each(self, work: Callable[[_Task], _Done], tasks: Iterable[_Task]) -> Iterator[_Done]:
        """Yield what ``work`` returns for each task, as it comes; tasks are read only when it is their turn.

        Raises what a task raised, and gives out no more then.
        """
        running: set[Future[_Done]] = set()
        try:
            for task in tasks:
                running.add(self.executor.submit(work, task))
                if len(running) >= self.width:
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    yield from (one.result() for one in done)
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (one.result() for one in done)
        finally:
            for one in running:
                one.cancel()


@contextmanager
def working(workers: int, scheduler: str | None, unsafe_plain: bool) -> Iterator[Working]:
    """Have so many processes of this machine, or the cluster behind a scheduler's address, for as long as it lasts.

    Raises ConfigError for an address that is none or that is refused, CannotStart for a cluster that is not there.
    """
    if scheduler is None:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, context, initializer=_leave_signals_to_parent) as processes:
            yield Working(processes, 2 * workers)
        return
    check_address(scheduler, unsafe_plain)
    try:
        from distributed import Client, Security  # noqa: PLC0415 - only whoever has a cluster installs it
    except ImportError:
        raise CannotStart(MISSING) from None
    try:
        if scheduler.startswith("tls:") and Security().get_connection_args("client")["ssl_context"] is None:
            raise CannotStart(f"scheduler {scheduler}: Dask's configuration names no certificates: {CERTIFICATES}")
        client = Client(scheduler, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise CannotStart(f"scheduler {scheduler}: {_first_line(error)}; is it running, and with this TLS?") from None
    with client:
        try:
            client.wait_for_workers(1, timeout=WORKERS_S)
        except TimeoutError:
            raise CannotStart(f"scheduler {scheduler} has no workers: start some with `dask worker`") from None
        threads = sum(client.nthreads().values())
        yield Working(client.get_executor(retries=RETRIES), 2 * threads)


def check_address(scheduler: str, unsafe_plain: bool) -> None:
    """Refuse a scheduler's address that is none, and one beyond this machine without TLS; raises ConfigError."""
    scheme, host, port = _parts(scheduler if "://" in scheduler else f"tcp://{scheduler}")
    if scheme not in ("tls", "tcp") or not host or not port:
        raise ConfigError(f"--scheduler {scheduler}: must be tls://HOST:PORT or tcp://HOST:PORT")
    if scheme == "tcp" and not is_loopback(host) and not unsafe_plain:
        raise ConfigError(
            f"--scheduler {scheduler}: customers' bills would travel in clear, and whoever reaches that port could run "
            "code on this machine: use tls://, or say --unsafe-plain-scheduler on a network that is yours alone"
        )


def _parts(address: str) -> tuple[str, str | None, int | None]:
    try:
        parts = urlsplit(address)
        return parts.scheme, parts.hostname, parts.port
    except ValueError:
        return "", None, None


def _leave_signals_to_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
