"""What the emulated boards are built with: what is missing is named, and the machine's own apt says where from."""

import struct
from pathlib import Path

import pytest
from click.testing import CliRunner

from scripts.hil import building, debian, needs
from scripts.hil.__main__ import main
from scripts.hil.rp2040 import FLASH_BYTES, flash_image


def test_what_a_machine_lacks_is_named_with_what_to_type(monkeypatch, tmp_path):
    monkeypatch.setattr(needs, "PROGRAMS", {"make": "build-essential", "no-such-compiler": "gcc-none"})
    monkeypatch.setattr(needs, "FILES", {"/no/such/header.h": "libnone-dev"})
    done = CliRunner().invoke(main, ["--cache", str(tmp_path / "cache")])
    assert done.exit_code == 2
    assert "no-such-compiler, /no/such/header.h" in done.output
    assert "apt-get install --no-install-recommends gcc-none libnone-dev" in done.output
    assert not (tmp_path / "cache").exists()


def test_a_missing_emulator_is_named_with_what_to_type(monkeypatch, tmp_path):
    monkeypatch.setattr(needs, "missing_packages", dict)
    with pytest.raises(needs.Missing, match="rp2040js; in the project's folder: npm ci"):
        needs.check_machine(tmp_path)


def test_makes_list_of_packages_is_the_recipes():
    text = (Path(__file__).resolve().parents[2] / "Makefile").read_text().replace("\\\n", " ")
    (line,) = (line for line in text.splitlines() if line.startswith("HIL_PACKAGES :="))
    wanted = {*needs.PROGRAMS.values(), *needs.FILES.values()} - {"apt", "nodejs", "npm"}
    assert set(line.split(":=")[1].split()) == wanted


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        (
            "sources.list.d/debian.sources",
            "Types: deb\n# a comment\nURIs: mirror://x/debian-security\nSuites: a-security\n\n"
            "Types: deb\nURIs: mirror://x/debian\nSuites: a\nSigned-By: /keys\n",
            ("mirror://x/debian", "/keys"),
        ),
        (
            "sources.list.d/off.sources",
            "Enabled: no\nTypes: deb\nURIs: mirror://off/debian\nSuites: a\n\nTypes: deb\nURIs: mirror://on/debian/\n",
            ("mirror://on/debian/", debian.KEYRING),
        ),
        (
            "sources.list",
            "# deb mirror://off/debian a main\ndeb [x=y] mirror://y/debian a main\n",
            ("mirror://y/debian", debian.KEYRING),
        ),
    ],
)
def test_the_archive_is_the_one_that_the_machine_uses(tmp_path, name, text, expected):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text(text)
    assert debian.archive(tmp_path) == expected


def test_a_machine_without_a_debian_archive_is_told_so(tmp_path):
    with pytest.raises(needs.Missing, match=r"sources\.list\(5\)"):
        debian.archive(tmp_path)


def test_a_build_that_fails_leaves_no_boards_and_says_what_its_log_says(monkeypatch, tmp_path):
    def fail(work):
        building._run(work, "step", ["sh", "-c", "echo the reason; exit 3"])

    monkeypatch.setattr(building, "_build", fail)
    with pytest.raises(needs.Missing, match=r"status 3; .*ends with:\nthe reason"):
        building.boards(tmp_path)
    assert not (tmp_path / building.recipe()).exists()


def test_boards_that_are_there_are_not_built_again(monkeypatch, tmp_path):
    monkeypatch.setattr(building, "_build", lambda work: pytest.fail("it was built again"))
    (tmp_path / building.recipe()).mkdir()
    assert building.boards(tmp_path).mps2.parent == tmp_path / building.recipe()


def test_a_changed_recipe_has_another_name(monkeypatch, tmp_path):
    (tmp_path / "port").mkdir()
    for name in ("building.py", "debian.py", "port/x.c"):
        (tmp_path / name).write_text("one")
    monkeypatch.setattr(building, "HERE", tmp_path)
    monkeypatch.setattr(building, "PORT", tmp_path / "port")
    before = building.recipe()
    (tmp_path / "port/x.c").write_text("two")
    assert building.recipe() != before


def test_a_uf2_file_lies_in_flash_where_it_says():
    block = struct.pack("<8I", 0x0A324655, 0x9E5D5157, 0, 0x10001000, 4, 0, 1, 0) + b"code" + bytes(476)
    image = flash_image(block)
    assert len(image) == FLASH_BYTES
    assert image[0x1000:0x1004] == b"code"
    assert image.count(0xFF) == FLASH_BYTES - 4
    with pytest.raises(ValueError, match="not a UF2"):
        flash_image(bytes(512))
