"""Makes the firmwares of the emulated boards: MicroPython's own qemu and rp2 ports from Debian's sources.

What is kept lies in a folder named after the recipe, so that a changed recipe builds anew and an unchanged one never.
"""

import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .debian import View
from .needs import Missing

SUITE = "trixie"  # the first Debian whose MicroPython (1.25) has ROMFS and these ports
SOURCES = ("micropython", "mbedtls")
BINARIES = ("pico-sdk-source", "tinyusb-source")
HERE = Path(__file__).parent
PORT = HERE / "port"
QEMU_HEAP_BYTES = 262144
ROMFS_BYTES = 131072  # for the meter's code, which then runs from flash: `mpremote romfs deploy`
RP2040_FAMILY = "0xe48bff56"


@dataclass(frozen=True)
class Boards:
    """Where the firmwares lie."""

    folder: Path

    @property
    def mps2(self) -> Path:
        """MicroPython for QEMU's mps2-an385."""
        return self.folder / "mps2-an385.elf"

    @property
    def rp2040(self) -> Path:
        """MicroPython for the RP2040."""
        return self.folder / "rp2040.uf2"


def recipe() -> str:
    """Return the name of everything that decides what is built."""
    digest = hashlib.sha256()
    for path in sorted([HERE / "building.py", HERE / "debian.py", *PORT.rglob("*")]):
        if path.is_file():
            digest.update(str(path.relative_to(HERE)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def boards(cache: Path) -> Boards:
    """Return the boards, built now where this recipe never was; raises Missing."""
    ready = Boards((cache / recipe()).resolve())
    if not ready.folder.exists():
        work = (cache / "work").resolve()
        shutil.rmtree(work, ignore_errors=True)  # a build that was cut off
        work.mkdir(parents=True)
        made = _build(work)
        made.folder.rename(ready.folder)  # whole or not at all
        shutil.rmtree(work)
    return ready


def _build(work: Path) -> Boards:
    made = Boards(work / "made")
    made.folder.mkdir()
    source = _sources(work)
    _run(work, "mpy-cross", ["make", "-C", str(source / "mpy-cross"), f"-j{os.cpu_count()}"])
    _build_mps2(work, source)
    shutil.copy(work / "mps2" / "firmware.elf", made.mps2)
    _build_rp2040(work, source, made)
    return made


def _sources(work: Path) -> Path:
    """Fetch and unpack; returns MicroPython's tree with its libraries in place."""
    view = View(work / "apt", SUITE)
    view.sources(*SOURCES)
    view.binaries(*BINARIES)
    source = work / "micropython"
    for name in SOURCES:
        (description,) = (work / "apt").glob(f"{name}_*.dsc")
        _run(work, name, ["dpkg-source", "--skip-patches", "-x", str(description), str(work / name)])
    for name in BINARIES:
        (package,) = (work / "apt").glob(f"{name}_*.deb")
        _run(work, name, ["dpkg-deb", "-x", str(package), str(work / "packages")])
    libraries = {
        "pico-sdk": work / "packages/usr/src/pico-sdk",
        "tinyusb": work / "packages/usr/src/tinyusb",
        "mbedtls": work / "mbedtls",
    }
    for name, place in libraries.items():
        (source / "lib" / name).rmdir()  # Debian leaves submodules out
        (source / "lib" / name).symlink_to(place)
    (source / "lib/micropython-lib/README.md").write_text("the rp2 port asks for this file and uses nothing of it\n")
    return source


def _build_mps2(work: Path, source: Path) -> None:
    mbedtls = work / "mbedtls"
    flags = (
        f"-DMP_CONFIGFILE='\"{PORT}/mpconfigport_mps2.h\"' -I{PORT}/mps2"
        f" -DMBEDTLS_CONFIG_FILE='\"{PORT}/mps2/mbedtls_config.h\"' -I{mbedtls}/include -I{mbedtls}/library"
    )
    _run(
        work,
        "qemu",
        [
            "make",
            "-C",
            str(source / "ports/qemu"),
            f"-j{os.cpu_count()}",
            "BOARD=MPS2_AN385",
            f"BUILD={work}/mps2",
            f"FROZEN_MANIFEST={_manifest(work, 'mps2')}",
            f"USER_C_MODULES={PORT}",
            f"MBEDTLS_SRC={mbedtls}",
            f"MICROPY_HEAP_SIZE={QEMU_HEAP_BYTES}",
            f"CFLAGS_EXTRA={flags}",
        ],
    )


def _build_rp2040(work: Path, source: Path, made: Boards) -> None:
    port = source / "ports/rp2"
    board = shutil.copytree(port / "boards/RPI_PICO", work / "board")
    with (board / "mpconfigboard.h").open("a") as header:
        header.write(f"#define MICROPY_HW_ROMFS_BYTES ({ROMFS_BYTES})\n")
    manifest = _manifest(work, "rp2", 'freeze("$(PORT_DIR)/modules")')
    _run(
        work,
        "rp2",
        [
            "cmake",
            *("-S", str(port), "-B", str(work / "rp2")),
            "-DMICROPY_BOARD=RPI_PICO",
            f"-DMICROPY_BOARD_DIR={board}",
            "-DPICO_NO_PICOTOOL=1",
            f"-DMICROPY_FROZEN_MANIFEST={manifest}",
        ],
    )
    _run(work, "rp2", ["make", "-C", str(work / "rp2"), f"-j{os.cpu_count()}"])
    convert = ["python3", str(source / "tools/uf2conv.py"), "-f", RP2040_FAMILY, "-b", "0x10000000", "-c"]
    _run(work, "uf2", [*convert, "-o", str(made.rp2040), str(work / "rp2/firmware.bin")])


def _manifest(work: Path, name: str, *lines: str) -> Path:
    """Write what is frozen into a firmware: asyncio's Python half, and what the port itself asks for."""
    path = work / f"manifest_{name}.py"
    path.write_text("\n".join([*lines, 'include("$(MPY_DIR)/extmod/asyncio")', ""]))
    return path


def _run(work: Path, name: str, command: list[str]) -> None:
    """Run a step, its output in a log; raises Missing with the log's last lines."""
    log = work / f"{name}.log"
    with log.open("ab") as file:
        done = subprocess.run(command, stdout=file, stderr=file, check=False)  # noqa: S603 - our own recipe
    if done.returncode:
        last = "\n".join(log.read_text(errors="replace").splitlines()[-12:])
        raise Missing(f"`{' '.join(command[:3])} ...` ended with status {done.returncode}; {log} ends with:\n{last}")
