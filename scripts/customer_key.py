"""The customer's key pair, made on the customer's own machine: the private half never leaves it."""

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

PROTECTION = "PBKDF2WithHMAC-SHA512AndAES256-CBC"
ROUNDS = 210_000  # OWASP's recommendation for PBKDF2-HMAC-SHA512
A_LINE = 6  # words


def new_key(words_typed: str | None) -> EccKey:
    """Return a new X25519 key pair, or the one of a kit's words; raises WordsError."""
    if words_typed is None:
        return ECC.generate(curve="Curve25519")
    return ECC.construct(curve="Curve25519", seed=kit_words.from_words(words_typed))


def numbered(words: list[str]) -> str:
    """Return words in lines of six, each with its number, as a kit has them."""
    cells = [f"{number:2}. {word:9}" for number, word in enumerate(words, 1)]
    return "\n".join("".join(cells[at : at + A_LINE]).rstrip() for at in range(0, len(cells), A_LINE))


@click.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, help="New file for the private key.")
@click.option("--passphrase-file", type=click.Path(path_type=Path), help="Otherwise it is asked for.")
@click.option("--words", is_flag=True, help="Show the recovery kit's 24 words, on a terminal only.")
@click.option("--from-words", is_flag=True, help="Ask for a kit's 24 words, and write the key that they are.")
def main(out: Path, passphrase_file: Path | None, words: bool, from_words: bool) -> None:
    """Make a customer's X25519 key pair: OUT (private, sealed with a passphrase) and OUT.pub (for enrolment)."""
    # No highlights: their colours would fall into the middle of a fingerprint.
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    public = out.with_name(out.name + ".pub")
    try:
        if words and not sys.stdout.isatty():
            raise DeploymentError("--words shows the key itself, and only on a terminal: this is a file or a pipe")
        for path in (out, public):
            if path.exists():
                raise DeploymentError(f"{path} exists already and is not overwritten")
        key = new_key(click.prompt("The 24 words, in one line") if from_words else None)
        passphrase = read_passphrase(passphrase_file)
        pem = key.export_key(
            format="PEM", passphrase=passphrase, protection=PROTECTION, prot_params={"iteration_count": ROUNDS}
        )
        write_private(out, pem.encode())
        write_private(public, key.public_key().export_key(format="PEM").encode())
    except (DeploymentError, kit_words.WordsError) as error:
        console.print(f"customer-key: {error}", markup=False)
        sys.exit(2)
    if words:
        click.echo(numbered(kit_words.to_words(key.seed)))
        console.print("Write them down with their numbers, then clear this terminal: whoever has them has the key.")
    console.print(f"fingerprint, to be compared at enrolment: {fingerprint(key)}")
    console.print("Lose this file or its passphrase, and no one can open your detail again: keep a copy.")


if __name__ == "__main__":
    main()
