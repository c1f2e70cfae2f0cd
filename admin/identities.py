"""Who a command is, for a server that asks: `300:0.NA/88.100` with a private key or a secret, read from files."""

import json
import re
from pathlib import Path
from typing import Final

from admin.errors import ExitCode, Failure
from admin.key_formats import read_key
from protocol.errors import HandleError, InvalidValue, Malformed
from protocol.json_form.sites import site_from_json
from protocol.site import Site
from protocol.trust.keys import PrivateKey, PublicKey, WrongPassphrase
from protocol.value import Reference
from resolver.client_proof import Identity, keys_of

_SIZE_MAX: Final = 1 << 20  # Octets of a key file: the longest key has about 15,000.
_REFERENCE: Final = re.compile(r"([0-9]{1,10}):(.+)", re.DOTALL)
_INDEX_MAX: Final = 0x7FFFFFFF


def reference_of(text: str) -> Reference:
    """The key that `INDEX:HANDLE` names; a usage `Failure` where it names none."""
    found = _REFERENCE.fullmatch(text)
    if found is None or int(found[1]) > _INDEX_MAX:
        why = "it has the form INDEX:HANDLE"
        raise Failure(f"{text!r} names no key", why, "--auth 300:0.NA/88.100", code=ExitCode.USAGE)
    return Reference(int(found[1]), found[2].encode(errors="surrogateescape"))


def first_line(path: Path) -> bytes:
    """The secret or passphrase in a file: its first line, without its end; `Failure` where it is empty."""
    found = (_octets(path).splitlines() or [b""])[0]
    if not found:
        raise Failure(f"{path} holds no secret", "its first line is empty")
    return found


def private_key_in(path: Path, passphrase: bytes | None = None) -> PrivateKey:
    """The private key of a PEM, `.bin` or JWK file; a `Failure` says why there is none."""
    try:
        key = read_key(_octets(path), passphrase).key
    except WrongPassphrase as error:
        then = "give it with --passphrase-file FILE"
        raise Failure(f"{path} stays closed", str(error), then, code=ExitCode.DENIED) from error
    except HandleError as error:
        raise Failure(f"{path} is no key file", str(error)) from error
    if not isinstance(key, PrivateKey):
        raise Failure(f"{path} holds a public key", "only the private one proves who you are", code=ExitCode.USAGE)
    return key


def public_keys_in(path: Path) -> tuple[PublicKey, ...]:
    """The public keys of a server: of a key file, or of a site record (`siteinfo.bin`, `siteinfo.json`)."""
    octets = _octets(path)
    try:
        return (read_key(octets).public,)
    except HandleError as error:
        try:
            is_json = octets.lstrip()[:1] == b"{"
            found = keys_of(site_from_json(json.loads(octets)) if is_json else Site.from_bytes(octets))
        except (Malformed, InvalidValue, ValueError, RecursionError):
            found = ()
        if not found:
            why = "it is neither a public key nor a site record"
            then = "take siteinfo.bin of that node; on that node: hnode upstream enrol --out DIR writes it"
            raise Failure(f"{path} holds no server's key", why, then) from error
        return found


def identity_of(
    key: Reference, *, key_file: Path | None, secret_file: Path | None, passphrase: bytes | None
) -> Identity:
    """The identity, with what proves it; a usage `Failure` where both or neither are given."""
    if (key_file is None) == (secret_file is None):
        why = "one of --key and --secret-file proves who you are"
        raise Failure("the identity cannot be proven", why, "--key FILE", code=ExitCode.USAGE)
    if key_file is not None:
        return Identity(key, private_key=private_key_in(key_file, passphrase))
    assert secret_file is not None
    return Identity(key, secret=first_line(secret_file))


def _octets(path: Path) -> bytes:
    with path.open("rb") as file:
        octets = file.read(_SIZE_MAX + 1)
    if len(octets) > _SIZE_MAX:
        raise Failure(f"{path} is no key file", f"it is longer than {_SIZE_MAX:,} octets")
    return octets
