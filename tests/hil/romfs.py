"""What a board without a file system of its own gets: the firmware's files and a test's, as a ROMFS image."""

import json
import shutil
from pathlib import Path

from scripts.hil.mpremote import mpremote

ROOT = Path(__file__).resolve().parents[2]
DEVICE = Path(__file__).parent / "device"
PACKAGE = ROOT / "firmware" / "package.json"


# Machine code is compiled for a processor that the package is for; elsewhere loops.py takes its place.
MACHINE_CODE = ("firmware/meter/loops_viper.py", "firmware/meter/loops_viper_two.py")


def build(folder, files):
    """Return the image of the package and of ``files`` ({name: path}), built by mpremote, which compiles on the way."""
    place = folder / "rom"
    for target, source in json.loads(PACKAGE.read_text())["urls"]:
        if target not in MACHINE_CODE:
            files = {target: PACKAGE.parent / source, **files}
    for name, source in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, place / name)
    image = folder / "files.romfs"
    mpremote("romfs", "-o", str(image), "build", str(place))
    return image


def mount(address, image):
    """Return the line that a board mounts it with, as /rom and as the first place to import from."""
    return (
        "import sys, uctypes, vfs;"
        f"vfs.mount(vfs.VfsRom(memoryview(uctypes.bytearray_at({address}, {image.stat().st_size}))), '/rom');"
        "sys.path.insert(0, '/rom')"
    )
