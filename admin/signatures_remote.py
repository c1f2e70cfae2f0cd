"""Signing and checking a record at another server (`--at`): it is read there, signed or judged here, written there.

What is signed is what the server showed: where the record changes before the signature stands beside it, the signature
tells so to whoever checks it.
"""

import time
from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeVar

from admin.context import CommandContext
from admin.handle_remote import outcome
from admin.output import note, printable
from admin.remote import Remote
from admin.signing_values import Issuer, Signing, expect_own_key
from protocol.codes import ResponseCode
from protocol.errors import HandleError
from protocol.identifier import prefix_folded
from protocol.trust.chains import TRUST_ROOT, TrustRoot, Values
from protocol.trust.record_signatures import JudgedRecord, judged_record
from protocol.value import HandleValue, read_values, value_list
from protocol.wire import Reader
from resolver.authority import checked
from resolver.client_admin import Client
from resolver.client_errors import Missing, Refused
from storage.base import Record

_T = TypeVar("_T")
_ELSEWHERE: Final = (ResponseCode.SERVICE_REFERRAL, ResponseCode.PREFIX_REFERRAL, ResponseCode.INVALID_HANDLE)


@dataclass(frozen=True, slots=True)
class Judged:
    """A record as the server showed it, and what holds of its signatures."""

    handle: bytes
    values: tuple[HandleValue, ...]
    record: JudgedRecord


def proving(remote: Remote, signer: str, key_file: Path, passphrase_file: Path | None) -> Remote:
    """The options with who writes: the signer by the signing key, where no other identity or proof is named."""
    remote = replace(remote, auth=remote.auth or signer)
    if remote.key is None and remote.secret_file is None:
        return replace(remote, key=key_file, passphrase_file=passphrase_file)
    return remote


def sign(context: CommandContext, remote: Remote, handle: bytes, signing: Signing) -> bool | None:
    """Sign the record there; whether the key is known to be the signer's, None (told) where there is no such handle.

    A `Failure` where the server's record of the signer shows another key.
    """
    issuer: Issuer = signing.issuer

    async def work(client: Client) -> bool:
        is_own = expect_own_key(issuer, await _values(client, issuer.name.handle))
        found = await client.resolve(handle, restricted=True)
        signed = signing.decide(Record(found.handle, value_list(found.values)))
        value = next(made for made in read_values(Reader(signed.values)) if made.index == signing.index)
        if any(old.index == value.index for old in found.values):
            await client.modify(handle, [value])
        else:
            await client.add(handle, [value])
        return is_own

    return outcome(context, remote, handle.decode(errors="replace"), work)


def judge(context: CommandContext, remote: Remote, handle: bytes, root: TrustRoot | None) -> Judged | None:
    """The record there, judged by a trust root, else by the keys of the root's record there; None (told) without one.

    With `--server-key` each answer must be signed by the server. With `--auth` values are seen that the public may not
    read: signatures may be about them, too.
    """

    async def work(client: Client) -> Judged:
        certified = bool(client.calls.asking.keys)
        found = await client.resolve(handle, restricted=client.calls.identity is not None, certified=certified)
        trusted = root or _root(context, remote, await _values(client, TRUST_ROOT))
        asking = judged_record(found.handle, found.values, trusted, now=time.time())
        return Judged(found.handle, found.values, await _driven(client, asking))

    return outcome(context, remote, handle.decode(errors="replace"), work)


def _root(context: CommandContext, remote: Remote, values: Values | None) -> TrustRoot:
    root, name = TrustRoot.of_values(values or ()), TRUST_ROOT.decode()
    if not root.keys:
        note(context, f"{printable(remote.at)} has no public key of {name}: nothing is trusted without --trust FILE")
    elif remote.server_key is None and not remote.tls:
        note(
            context, f"the keys of {name} are believed as they came: name them with --trust FILE, or --server-key FILE"
        )
    return root


async def _values(client: Client, handle: bytes) -> tuple[HandleValue, ...] | None:
    """The public values of any handle that a claim may name; None where that server does not keep it."""
    try:
        name = checked(handle)
    except HandleError:
        return None
    try:
        return (await client.resolve(name, certified=bool(client.calls.asking.keys))).values
    except Missing:
        return None
    except Refused as error:
        if error.code in _ELSEWHERE:
            return None
        raise


async def _driven(client: Client, asking: Generator[bytes, Values | None, _T]) -> _T:
    """What a generator that asks for handles returns, each asked for once."""
    known: dict[bytes, Values | None] = {}
    try:
        handle = next(asking)
        while True:
            name = prefix_folded(handle)
            if name not in known:
                known[name] = await _values(client, handle)
            handle = asking.send(known[name])
    except StopIteration as end:
        found: _T = end.value
        return found
