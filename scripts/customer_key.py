"""The customer's key pair, made on the customer's own machine: the private half never leaves it."""

import secrets
import sys
from pathlib import Path

import click
from Crypto.PublicKey import ECC
from Crypto.PublicKey.ECC import EccKey
from rich.console import Console

from protocol.envelopes import fingerprint

from . import kit_words
from .ceremony import read_passphrase
from .deployment import DeploymentError, write_private
from .kit_sheet import sheet

PROTECTION = "PBKDF2WithHMAC-SHA512AndAES256-CBC"
ROUNDS = 210_000  # OWASP's recommendation for PBKDF2-HMAC-SHA512
A_LINE = 6  # words
ASKED = 3  # of the words, as the portal's page asks


def new_key(words_typed: str | None) -> EccKey:
    """Return a new X25519 key pair, or the one of a kit's words; raises WordsError."""
    if words_typed is None:
        return ECC.generate(curve="Curve25519")
    return ECC.construct(curve="Curve25519", seed=kit_words.from_words(words_typed))


def numbered(words: list[str]) -> str:
    """Return words in lines of six, each with its number, as a kit has them."""
    cells = [f"{number:2}. {word:9}" for number, word in enumerate(words, 1)]
    return "\n".join("".join(cells[at : at + A_LINE]).rstrip() for at in range(0, len(cells), A_LINE))


def open_key(out: Path, passphrase: str) -> EccKey:
    """Return the private key of a file; raises DeploymentError."""
    try:
        key = ECC.import_key(out.read_text(), passphrase)
    except OSError as error:
        raise DeploymentError(f"{out} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise DeploymentError(f"{out} does not open: another passphrase, or no key file") from error
    if key.curve != "Curve25519" or not key.has_private():
        raise DeploymentError(f"{out} is not a customer's private key")
    return key


def check_kept(out: Path, key: EccKey) -> None:
    """Ask for some of the words of a key's kit; raises DeploymentError where they are others."""
    words = kit_words.to_words(key.seed)
    asked = sorted(secrets.SystemRandom().sample(range(1, len(words) + 1), ASKED))
    typed = {number: click.prompt(f"Word {number}").strip().lower() for number in asked}
    wrong = [f"word {number}" for number in asked if typed[number] != words[number - 1]]
    if wrong:
        raise DeploymentError(f"{' and '.join(wrong)}: not what the kit of {out} says. Look again, or make a new sheet")


def write_pair(out: Path, public: Path, key: EccKey, passphrase: str) -> None:
    """Write both halves of a key, the private one sealed; raises DeploymentError."""
    pem = key.export_key(
        format="PEM", passphrase=passphrase, protection=PROTECTION, prot_params={"iteration_count": ROUNDS}
    )
    write_private(out, pem.encode())
    write_private(public, key.public_key().export_key(format="PEM").encode())


def write_sheet(path: Path, out: Path, key: EccKey, address: str | None) -> None:
    """Write the recovery kit; raises DeploymentError, which says that the key is there all the same."""
    try:
        write_private(path, sheet(kit_words.to_words(key.seed), fingerprint(key), address).encode())
    except DeploymentError as error:
        raise DeploymentError(f"{error}; {out} is whole: --again writes its sheet elsewhere") from None


def refuse_to_overwrite(*paths: Path | None) -> None:
    """Raise DeploymentError for a file that is there already."""
    for path in paths:
        if path is not None and path.exists():
            raise DeploymentError(f"{path} exists already and is not overwritten")


def refuse_together(shows: bool, useless: str | None, from_words: bool, again: bool, check: bool) -> None:
    """Raise click.UsageError for options that make no sense together; ``useless``: an address without a sheet."""
    if from_words + again + check > 1:
        raise click.UsageError("one of --from-words, --again and --check")
    if check and shows:
        raise click.UsageError("--check shows nothing of the key: --again makes another sheet")
    if again and not shows:
        raise click.UsageError("--again is for --sheet or --words")
    if useless:
        raise click.UsageError("--address is for --sheet")


def tell(console: Console, key: EccKey, out: Path, words: bool, sheet_file: Path | None) -> None:
    """Show the kit's words where they are asked for, and say what to do with all of it."""
    if words:
        click.echo(numbered(kit_words.to_words(key.seed)))
        console.print("Write them down with their numbers, then clear this terminal: whoever has them has the key.")
    if sheet_file:
        console.print(
            f"{sheet_file} is the key itself, not sealed, and only you may read it: print it on a printer that keeps "
            f"no copy, then delete it (shred -u {sheet_file}).",
            markup=False,
        )
    if words or sheet_file:
        console.print(f"Then see whether it was kept: --out {out} --check", markup=False)
    console.print(f"fingerprint, to be compared at enrolment: {fingerprint(key)}")
    console.print("Lose this file or its passphrase, and no one can open your detail again: keep a copy.")


@click.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, help="New file for the private key.")
@click.option("--passphrase-file", type=click.Path(path_type=Path), help="Otherwise it is asked for.")
@click.option("--words", is_flag=True, help="Show the recovery kit's 24 words, on a terminal only.")
@click.option("--sheet", "sheet_file", type=click.Path(path_type=Path), help="New .svg: the recovery kit, to print.")
@click.option("--address", help="The portal's, for the sheet to name: https://HOST/portal/.")
@click.option("--from-words", is_flag=True, help="Ask for a kit's 24 words, and write the key that they are.")
@click.option("--again", is_flag=True, help="Make no key: open OUT, for another sheet or the words of its kit.")
@click.option("--check", is_flag=True, help="Make nothing: open OUT, and ask for some words of its kit.")
def main(
    out: Path,
    passphrase_file: Path | None,
    words: bool,
    sheet_file: Path | None,
    address: str | None,
    from_words: bool,
    again: bool,
    check: bool,
) -> None:
    """Make a customer's X25519 key pair: OUT (private, sealed with a passphrase) and OUT.pub (for enrolment)."""
    shows = words or sheet_file is not None
    refuse_together(shows, address if not sheet_file else None, from_words, again, check)
    # No highlights: their colours would fall into the middle of a fingerprint.
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    public = out.with_name(out.name + ".pub")
    try:
        if check:
            key = open_key(out, read_passphrase(passphrase_file, again=False))
            check_kept(out, key)
            console.print(
                f"kept: {out} opens, and your kit has its words. Fingerprint: {fingerprint(key)}", markup=False
            )
            return
        if words and not sys.stdout.isatty():
            raise DeploymentError("--words shows the key itself, and only on a terminal: this is a file or a pipe")
        if sheet_file and sheet_file.suffix != ".svg":
            raise DeploymentError(f"{sheet_file}: a sheet is an .svg")
        if again:
            refuse_to_overwrite(sheet_file)
            key = open_key(out, read_passphrase(passphrase_file, again=False))
        else:
            refuse_to_overwrite(out, public, sheet_file)
            key = new_key(click.prompt("The 24 words, in one line") if from_words else None)
            write_pair(out, public, key, read_passphrase(passphrase_file))
        if sheet_file:
            write_sheet(sheet_file, out, key, address)
    except (DeploymentError, kit_words.WordsError) as error:
        console.print(f"customer-key: {error}", markup=False)
        sys.exit(2)
    tell(console, key, out, words, sheet_file)


if __name__ == "__main__":
    main()
