"""A machine that a real systemd has booted, in namespaces of its own over a copy-on-write view of this one's files.

It has its own processes, mounts, host name, cgroups and network (loopback alone). Nothing that it writes is left: its
files are in memory. It needs root and a kernel with overlayfs and cgroup v2.
"""

import contextlib
import os
import signal
import subprocess
import time
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 90

# Into a cgroup of its own, of which the booted systemd sees nothing above.
OUTSIDE = """
set -e
mount --make-rprivate /
mount -t tmpfs none "$PLACE"; mkdir "$PLACE/cgroup" "$PLACE/upper" "$PLACE/work" "$PLACE/root"
mount -t cgroup2 none "$PLACE/cgroup"; mkdir "$PLACE/cgroup/$NAME"; echo $$ > "$PLACE/cgroup/$NAME/cgroup.procs"
umount "$PLACE/cgroup"
exec unshare --mount --pid --fork --ipc --uts --cgroup --net --kill-child sh -c "$INSIDE"
"""

INSIDE = """
set -e
mount -t overlay none -o "lowerdir=/,upperdir=$PLACE/upper,workdir=$PLACE/work" "$PLACE/root"
cd "$PLACE/root"
mount -t proc none proc
mount --rbind /sys sys; mount --make-rprivate sys; umount -R sys/fs/cgroup; mount -t cgroup2 none sys/fs/cgroup
mount -t tmpfs none dev; mkdir dev/shm dev/pts; ln -s /proc/self/fd dev/fd
touch dev/console
for node in null zero full random urandom tty; do cp -a "/dev/$node" dev/; done
mount -t tmpfs none run; mount -t tmpfs none tmp
mkdir -p srv/given srv/code; mount --bind "$GIVEN" srv/given; mount --bind "$CODE" srv/code
rm -rf var/lib/hushmeter var/lib/private/hushmeter etc/hushmeter
echo "$NAME" > etc/machine-id
ip link set lo up
# Not a chroot: a service in one could have no user namespace of its own.
mkdir old; pivot_root . old; cd /; umount -l /old; rmdir /old
mount --make-rshared /  # as systemd finds it on a machine: credentials come by a mount
/bin/sh -c "$PREPARE"
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system \
  --unit="$UNIT" --log-target=console --log-level=info --show-status=no
"""

TIDY = """
mount -t cgroup2 none "$PLACE"
[ ! -d "$PLACE/$NAME" ] || find "$PLACE/$NAME" -depth -type d -exec rmdir {} +
"""


class Machine:
    """One boot into a unit. ``prepare`` is a shell script that is run inside, before systemd is.

    It finds ``given`` at /srv/given and this repository at /srv/code.
    """

    def __init__(self, folder: Path, unit: str, prepare: str, given: Path):
        self.name = uuid.uuid4().hex
        self.place = folder / "machine"
        self.place.mkdir()
        self.log = folder / "systemd.log"
        words = {"PLACE": str(self.place), "NAME": self.name, "UNIT": unit, "PREPARE": prepare, "INSIDE": INSIDE}
        words |= {"GIVEN": str(given), "CODE": str(ROOT)}
        self._environment = {**os.environ, **words}
        with self.log.open("w") as log:
            self._process = subprocess.Popen(
                ["unshare", "--mount", "sh", "-c", OUTSIDE],
                env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        try:
            self.pid = self._first_process()
        except BaseException:
            self.stop()
            raise

    def _first_process(self) -> int:
        """Return the process that systemd is, seen from outside, as soon as it can be asked."""
        deadline = time.monotonic() + PATIENCE_S
        while self._process.poll() is None and time.monotonic() < deadline:
            children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
            for pid in children:
                if Path("/proc", pid, "root", "run", "systemd", "private").exists():
                    return int(pid)
            time.sleep(0.05)
        raise AssertionError(f"it has not booted:\n{self.log.read_text()}")

    def run(self, *command: str, check: bool = True, **how) -> subprocess.CompletedProcess:
        """Run a command inside."""
        inside = ["nsenter", "--target", str(self.pid), "--all", "--root", "--wd=/", *command]
        done = subprocess.run(inside, capture_output=True, text=True, timeout=PATIENCE_S, check=False, **how)
        assert not check or done.returncode == 0, (command, done.stdout, done.stderr, self.log.read_text()[-4000:])
        return done

    def beside(self, *command: str, **how) -> subprocess.CompletedProcess:
        """Run a command of outside, with outside's files, on the machine's network."""
        joined = ["nsenter", "--target", str(self.pid), "--net", *command]
        return subprocess.run(joined, capture_output=True, text=True, timeout=PATIENCE_S, check=False, **how)

    def show(self, unit: str, name: str) -> str:
        """Return one property of a unit."""
        return self.run("systemctl", "show", unit, f"--property={name}", "--value").stdout.strip()

    def until(self, unit: str, name: str, *wanted: str) -> None:
        """Wait until a property of a unit is one of some values."""
        deadline = time.monotonic() + PATIENCE_S
        while (seen := self.show(unit, name)) not in wanted:
            assert time.monotonic() < deadline, (unit, name, seen, self.log.read_text()[-4000:])
            time.sleep(0.1)

    def main_process(self, unit: str) -> Path:
        """Return the /proc folder, seen from outside, of a unit's main process."""
        inside = self.show(unit, "MainPID")
        for status in Path("/proc").glob("[0-9]*/status"):
            with contextlib.suppress(OSError):
                found = dict(line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line)
                numbers = found["NSpid"].split()
                if len(numbers) == 2 and numbers[1] == inside and self._is_here(status.parent):
                    return status.parent
        raise AssertionError(f"{unit} has no process {inside}")

    def _is_here(self, process: Path) -> bool:
        return (process / "ns" / "pid").readlink() == Path(f"/proc/{self.pid}/ns/pid").readlink()

    def stop(self) -> None:
        """End it with all that runs in it: its first process takes the others with it."""
        with contextlib.suppress(ProcessLookupError, AttributeError):
            os.kill(self.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        self._process.kill()
        self._process.wait(PATIENCE_S)
        subprocess.run(["unshare", "--mount", "sh", "-c", TIDY], env=self._environment, check=False)
