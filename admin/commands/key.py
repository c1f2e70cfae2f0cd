"""`hnode key`: make, show and convert keys. Private ones are written for their owner alone and never printed."""

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from admin.context import CommandContext
from admin.errors import ExitCode, Failure
from admin.output import output_option, print_object

if TYPE_CHECKING:
    from collections.abc import Callable

    from admin.key_formats import KeyRead

_Command = TypeVar("_Command", bound="Callable[..., object]")
_FORMATS = ("pem", "bin", "jwk", "pub-pem", "pub-bin", "pub-jwk")
_SIZE_MAX = 1 << 20  # Octets of a key file: the longest key has about 15,000.
_PATH = click.Path(path_type=Path)


@click.group(name="key")
def command() -> None:
    """Make, show and convert keys: PEM, the .bin files of Handle servers, and JSON (JWK)."""


def _passphrase_option(command: _Command) -> _Command:
    return click.option(
        "--passphrase-file", type=_PATH, metavar="F", help="The passphrase that opens the key: F's first line."
    )(command)


@command.command(epilog="Example:  hnode key generate --out keys/replication.pem")
@click.option("--bits", type=click.IntRange(2048, 8192), default=2048, show_default=True, help="Size of the RSA key.")
@click.option("--out", type=_PATH, required=True, metavar="FILE", help="Where the private key goes, PEM, mode 0600.")
@click.option("--passphrase-file", type=_PATH, metavar="F", help="Encrypt the key with F's first line.")
@click.option("--force", is_flag=True, help="Replace a file that stands there.")
@output_option
@click.pass_obj
def generate(context: CommandContext, bits: int, out: Path, passphrase_file: Path | None, force: bool) -> None:
    """Make an RSA key pair. The public half: hnode key convert FILE PUBLIC --to pub-bin."""
    from admin.key_formats import KeyFormat, KeyRead
    from protocol.trust.keys import generate_rsa, private_pem

    passphrase = _passphrase(passphrase_file)
    _refuse_overwriting(out, force)
    key = generate_rsa(bits)
    _write(out, private_pem(key, passphrase), private=True, force=force)
    print_object(context, {"file": str(out), **_facts(KeyRead(key, KeyFormat.PEM))})


@command.command(epilog="Example:  hnode key show keys/server.pem")
@click.argument("file", type=_PATH)
@_passphrase_option
@output_option
@click.pass_obj
def show(context: CommandContext, file: Path, passphrase_file: Path | None) -> None:
    """Print kind, size and fingerprint of the key in FILE, and its public half as JSON under -o json."""
    from protocol.json_form.keys import key_to_json

    found = _read(file, passphrase_file)
    facts: dict[str, object] = {"file": str(file), "form": found.form.value, **_facts(found)}
    if not context.is_table:
        facts["public"] = key_to_json(found.public)
    print_object(context, facts)


@command.command(epilog="Example:  hnode key convert admpriv.bin admin.pem --passphrase-file secret.txt")
@click.argument("source", metavar="IN", type=_PATH)
@click.argument("target", metavar="OUT", type=_PATH)
@click.option("--to", "form", type=click.Choice(_FORMATS), help="What OUT becomes.  [default: as its name ends]")
@_passphrase_option
@click.option("--new-passphrase-file", type=_PATH, metavar="F", help="Encrypt OUT with F's first line.")
@click.option("--force", is_flag=True, help="Replace a file that stands there.")
@output_option
@click.pass_obj
def convert(
    context: CommandContext,
    source: Path,
    target: Path,
    form: str | None,
    passphrase_file: Path | None,
    new_passphrase_file: Path | None,
    force: bool,
) -> None:
    """Write the key of IN to OUT in another form. A private key without --new-passphrase-file is not encrypted."""
    from admin.key_formats import BY_SUFFIX, KeyFormat, written

    wanted = KeyFormat(form) if form else BY_SUFFIX.get(target.suffix.lower())
    if wanted is None:
        why = "its name ends in none of .pem, .bin, .jwk"
        raise Failure(f"what {target} shall be is not clear", why, "say --to pem", code=ExitCode.USAGE)
    passphrase = _passphrase(new_passphrase_file)
    _refuse_overwriting(target, force)
    found = _read(source, passphrase_file)
    private = found.is_private and not wanted.is_public
    _write(target, written(found.key, wanted, passphrase), private=private, force=force)
    print_object(context, {"file": str(target), "form": wanted.value, **_facts(found), "private": private})


def _facts(found: "KeyRead") -> dict[str, object]:
    from protocol.trust.keys import DsaPublicKey, RsaPublicKey, fingerprint

    public = found.public
    kind = {RsaPublicKey: "RSA", DsaPublicKey: "DSA"}.get(type(public), "unknown")
    return {"kind": kind, "bits": found.bits, "private": found.is_private, "fingerprint": fingerprint(public)}


def _octets(path: Path) -> bytes:
    with path.open("rb") as file:
        octets = file.read(_SIZE_MAX + 1)
    if len(octets) > _SIZE_MAX:
        raise Failure(f"{path} is no key file", f"it is longer than {_SIZE_MAX} octets")
    return octets


def _passphrase(path: Path | None) -> bytes | None:
    if path is None:
        return None
    passphrase = (_octets(path).splitlines() or [b""])[0]
    if not passphrase:
        raise Failure(f"{path} holds no passphrase", "its first line is empty")
    return passphrase


def _read(path: Path, passphrase_file: Path | None) -> "KeyRead":
    from admin.key_formats import read_key
    from protocol.errors import HandleError
    from protocol.trust.keys import WrongPassphrase

    try:
        return read_key(_octets(path), _passphrase(passphrase_file))
    except WrongPassphrase as error:
        raise Failure(
            f"{path} stays closed", str(error), "give it with --passphrase-file FILE", code=ExitCode.DENIED
        ) from error
    except HandleError as error:
        raise Failure(f"{path} is no key file", str(error)) from error


def _refuse_overwriting(path: Path, force: bool) -> None:
    if path.exists() and not force:
        raise Failure(f"{path} stands already", "a key is not overwritten", "add --force", code=ExitCode.CONFLICT)


def _write(path: Path, octets: bytes, *, private: bool, force: bool) -> None:
    from admin.files import PRIVATE, PUBLIC, write_whole

    write_whole(path, octets, mode=PRIVATE if private else PUBLIC, replace=force)
