"""The commands of `hnode handle` about trust: sign, certify, verify. What is signed stands in one change."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import click

from admin.context import CommandContext
from admin.errors import ExitCode
from admin.output import note, output_option, printable, say, styled
from admin.remote import Remote, remote_options, signer_remote_options

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from admin.importing.rows import RowLimits
    from admin.signing_values import Certifying, Issuer, Signing
    from protocol.trust.chains import TrustRoot
    from protocol.trust.record_signatures import JudgedRecord
    from protocol.value import HandleValue
    from storage.base import StoreView

_Command = TypeVar("_Command", bound="Callable[..., object]")
_PATH: Final = click.Path(path_type=Path)
_INDEX: Final = click.IntRange(1, 0x7FFFFFFF)
_DAYS_MAX: Final = 36_500  # A hundred years; whoever means for ever says 0.
_SHOWN_MAX: Final = 8  # Values that one line names.
_PERMISSIONS: Final = "everything, thisHandle, derivedPrefixes or handlesUnderThisPrefix"


def _issuer_options(command: _Command) -> _Command:
    options = (
        click.option("--key", "key_file", type=_PATH, required=True, metavar="FILE", help="The signer's private key."),
        click.option("--signer", required=True, metavar="INDEX:HANDLE", help="Whose key it is: 300:0.NA/88.100."),
        click.option("--passphrase-file", type=_PATH, metavar="F", help="What opens the key: F's first line."),
        click.option(
            "--at-index", type=_INDEX, help="Where the value goes.  [default: over an older one, or from 400]"
        ),
        click.option("--days", type=click.IntRange(0, _DAYS_MAX), default=365, show_default=True, help="0: no end."),
        click.option(
            "--chain",
            multiple=True,
            metavar="[INDEX:]HANDLE",
            help="Where the signer's certificate stands, then on up.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command(
    name="sign", epilog="Example:  hnode handle sign 88.100/A1 --key keys/88.100.admin.pem --signer 300:0.NA/88.100"
)
@click.argument("handle")
@click.option("--index", "indexes", type=_INDEX, multiple=True, help="Sign only the values at these indexes.")
@_issuer_options
@signer_remote_options
@output_option
@click.pass_obj
def sign(
    context: CommandContext,
    handle: str,
    indexes: tuple[int, ...],
    key_file: Path,
    signer: str,
    passphrase_file: Path | None,
    at_index: int | None,
    days: int,
    chain: tuple[str, ...],
    remote: Remote,
) -> int:
    """Sign the values of HANDLE that the public may read, and put the HS_SIGNATURE value beside them.

    At another server (--at) the signer writes it, unless --auth names who does.
    """
    from admin.importing.rows import RowLimits
    from admin.signing_values import Signing

    is_there = remote.is_given
    issuer = _issuer(key_file, signer, passphrase_file, days, chain)
    limits = RowLimits() if is_there else _limits(context)  # What a server bears it says itself.
    signing = Signing(issuer=issuer, limits=limits, indexes=indexes, at_index=at_index)
    if is_there:
        from admin import signatures_remote
        from admin.local_store import named_handle

        there = signatures_remote.proving(remote, signer, key_file, passphrase_file)
        is_own = signatures_remote.sign(context, there, named_handle(handle), signing)
        if is_own is False:
            _doubt_key(context, issuer, there.at or "")
        is_done = is_own is not None
    else:
        is_done = _changed(context, handle, signing)
    if not is_done:
        return ExitCode.NOT_FOUND
    if signing.left_out:
        note(context, f"not signed, since the public may not read it: {_told(signing.left_out)}")
    _print(context, handle, "signed", signing, values=_told(signing.signed))
    return ExitCode.OK


@click.command(
    name="certify",
    epilog="Example:  hnode handle certify 300:0.NA/88.100 --perm thisHandle --key root.pem --signer 301:0.0/0.0",
)
@click.argument("subject", metavar="INDEX:HANDLE")
@click.option("--perm", "permissions", multiple=True, required=True, metavar="P[=HANDLE]", help=_PERMISSIONS + ".")
@click.option("--subject-key", type=_PATH, metavar="FILE", help="The key to certify.  [default: the HS_PUBKEY value]")
@click.option("--into", metavar="HANDLE", help="Which record keeps the certificate.  [default: the subject's]")
@_issuer_options
@output_option
@click.pass_obj
def certify(
    context: CommandContext,
    subject: str,
    permissions: tuple[str, ...],
    subject_key: Path | None,
    into: str | None,
    key_file: Path,
    signer: str,
    passphrase_file: Path | None,
    at_index: int | None,
    days: int,
    chain: tuple[str, ...],
) -> int:
    """Certify the key INDEX:HANDLE and what it may speak for: an HS_CERT value in its handle's record.

    A key that certifies itself (--signer the same) is the end of a chain, and believed where it is trusted.
    """
    from admin.identities import public_keys_in
    from admin.signing_values import Certifying, named_grants, named_key

    named = named_key(subject, "the subject")
    issuer = _issuer(key_file, signer, passphrase_file, days, chain)
    certifying = Certifying(
        issuer=issuer,
        limits=_limits(context),
        subject=named,
        public_key=public_keys_in(subject_key)[0] if subject_key else None,
        grants=named_grants(permissions, named),
        at_index=at_index,
    )
    handle = into or named.handle.decode()
    if not _changed(context, handle, certifying):
        return ExitCode.NOT_FOUND
    _print(context, handle, "certified", certifying, subject=subject, permissions=", ".join(permissions))
    return ExitCode.OK


@click.command(name="verify", epilog="Example:  hnode handle verify 88.100/A1 --trust root.pem")
@click.argument("handle")
@click.option(
    "--trust", type=_PATH, metavar="FILE", help="The trusted key, or a JSON list.  [default: keys of 0.0/0.0]"
)
@click.option("--allow-unsigned", is_flag=True, help="Values that nobody signed do not spoil the record.")
@remote_options
@output_option
@click.pass_obj
def verify(context: CommandContext, handle: str, trust: Path | None, allow_unsigned: bool, remote: Remote) -> int:
    """Check all HS_SIGNATURE values of HANDLE up to the trust root. Exit code 4 where one is bad or a value unsigned.

    Exit code 3 where there is no such handle or no signature. At another server (--at) its chain is asked for there.
    """
    from admin.local_store import named_handle
    from admin.verifying_values import trust_root_in

    name = named_handle(handle)
    given = trust_root_in(trust) if trust else None
    found = _judged_there(context, remote, name, given) if remote.is_given else _judged_here(context, name, given)
    if found is None:
        return ExitCode.NOT_FOUND
    spelled, values, judged = found
    is_good = judged.is_good or (
        allow_unsigned and bool(judged.signatures) and all(found.is_good for found in judged.signatures)
    )
    unsigned = [value for value in values if value.index in judged.unsigned]
    _print_verdict(context, spelled, judged, unsigned, is_good)
    if not judged.signatures:
        return ExitCode.NOT_FOUND
    return ExitCode.OK if is_good else ExitCode.DENIED


def _judged_here(
    context: CommandContext, name: bytes, given: "TrustRoot | None"
) -> "tuple[bytes, Sequence[HandleValue], JudgedRecord] | None":
    from admin.local_store import opened_store
    from admin.record_output import print_missing
    from protocol.codes import ResponseCode
    from protocol.trust.chains import driven
    from protocol.trust.record_signatures import judged_record

    with opened_store(context, read_only=True) as store, store.view() as view:
        record = view.get(name)
        if record is None:
            print_missing(context, name.decode(), ResponseCode.HANDLE_NOT_FOUND)
            return None
        values = _values(view, name) or ()
        root = given or _root(context, view)
        judged = driven(judged_record(record.handle, values, root, now=time.time()), lambda asked: _values(view, asked))
    return record.handle, values, judged


def _judged_there(
    context: CommandContext, remote: Remote, name: bytes, given: "TrustRoot | None"
) -> "tuple[bytes, Sequence[HandleValue], JudgedRecord] | None":
    from admin.signatures_remote import judge

    found = judge(context, remote, name, given)
    return None if found is None else (found.handle, found.values, found.record)


COMMANDS: Final = (sign, certify, verify)


def _issuer(key_file: Path, signer: str, passphrase_file: Path | None, days: int, chain: "Sequence[str]") -> "Issuer":
    from admin.identities import first_line, private_key_in
    from admin.signing_values import Issuer, named_chain, named_key
    from protocol.trust.keys import public_of

    passphrase = first_line(passphrase_file) if passphrase_file else None
    name, links = named_key(signer, "--signer"), named_chain(chain)
    key = private_key_in(key_file, passphrase)
    public_of(key)  # A key that cannot be used is told now, and is ready when the store waits for it.
    return Issuer(name=name, key=key, now_s=int(time.time()), days=days, chain=links)


def _limits(context: CommandContext) -> "RowLimits":
    from admin.importing.rows import RowLimits

    limits = context.load().limits
    return RowLimits(value_size=limits.value_bytes, value_count=limits.values_per_handle)


def _changed(context: CommandContext, handle: str, change: "Signing | Certifying") -> bool:
    """Make the change in one transaction; False, told, where there is no such handle."""
    from admin.local_store import applied, named_handle, opened_store, who
    from admin.record_output import print_missing
    from admin.signing_values import expect_own_key
    from protocol.errors import HandleNotFound
    from storage.base import UpdateRecord

    name, issuer = named_handle(handle), change.issuer
    with opened_store(context) as store:
        with store.view() as view:
            is_own = expect_own_key(issuer, _values(view, issuer.name.handle))
        try:
            applied(store, UpdateRecord(name, change.decide, who()))
        except HandleNotFound as error:
            print_missing(context, handle, error.code)
            return False
    if not is_own:
        _doubt_key(context, issuer, "this store")
    return True


def _doubt_key(context: CommandContext, issuer: "Issuer", place: str) -> None:
    signer = f"{issuer.name.index}:{issuer.name.handle.decode()}"
    note(context, f"whether the key is that of {printable(signer)} is not known here: {place} has no such key")


def _print(context: CommandContext, handle: str, told: str, change: "Signing | Certifying", **facts: object) -> None:
    from admin.local_store import named_handle
    from admin.record_output import print_change
    from admin.verifying_values import time_text

    issuer = change.issuer
    signer = f"{issuer.name.index}:{issuer.name.handle.decode()}"
    until = "without end" if issuer.expires is None else time_text(issuer.expires)
    if context.is_table:
        facts = {name: f"{name}: {value}" for name, value in facts.items()}
        facts |= {"index": f"at {change.index}", "signer": f"by {signer}"}
        facts["until"] = until if issuer.expires is None else f"until {until}"
    else:
        facts |= {"index": change.index, "signer": signer, "expires": None if issuer.expires is None else until}
    print_change(context, told, named_handle(handle), **facts)


def _values(view: "StoreView", handle: bytes) -> "tuple[HandleValue, ...] | None":
    """The values of any handle that a claim may name; None where it is not in this store, or no handle."""
    from protocol.errors import HandleError
    from protocol.value import read_values
    from protocol.wire import Reader
    from resolver.authority import checked

    try:
        record = view.get(checked(handle))
    except HandleError:
        return None
    return None if record is None else read_values(Reader(record.values))


def _root(context: CommandContext, view: "StoreView") -> "TrustRoot":
    from protocol.trust.chains import TRUST_ROOT, TrustRoot

    root = TrustRoot.of_values(_values(view, TRUST_ROOT) or ())
    if not root.keys:
        note(context, f"this store has no public key of {TRUST_ROOT.decode()}: nothing is trusted without --trust FILE")
    return root


def _print_verdict(
    context: CommandContext, handle: bytes, judged: "JudgedRecord", unsigned: "Sequence[HandleValue]", is_good: bool
) -> None:
    from admin.record_output import print_told
    from admin.verifying_values import lines, signature_to_json
    from protocol.codes import ResponseCode

    name = handle.decode(errors="replace")
    verdict = "good" if is_good else "bad" if judged.signatures else "unsigned"
    if not context.is_table:
        told = {"responseCode": int(ResponseCode.SUCCESS), "handle": name, "result": verdict}
        signatures = [signature_to_json(found) for found in judged.signatures]
        bare = [{"index": value.index, "type": value.type.decode(errors="replace")} for value in unsigned]
        print_told(context, told | {"signatures": signatures, "unsigned": bare})
        return
    color = "green" if is_good else "red"
    say(context, styled(context, f"{printable(name)}: {verdict}", fg=color))
    for found in judged.signatures:
        for line in lines(found):
            say(context, f"  {printable(line)}")
    if unsigned:
        say(context, f"  unsigned: {_told(unsigned)}")


def _told(values: "Sequence[HandleValue]") -> str:
    shown = ", ".join(f"{value.index} {value.type.decode(errors='replace')}" for value in values[:_SHOWN_MAX])
    return printable(shown + (", …" if len(values) > _SHOWN_MAX else ""))
