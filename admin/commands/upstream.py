"""`hnode upstream`: what is above this node. Its root made known, its delegation asked for, and held against it."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from admin.context import CommandContext
from admin.errors import ExitCode, Failure
from admin.output import note, output_option, printable, say, styled
from admin.remote import AUTH_OPTIONS, Remote, collected
from admin.texts import text

if TYPE_CHECKING:
    from admin.upstream_comparing import Compared, Difference
    from admin.upstream_enrolment import Enrolled, Here
    from resolver.config import Config

_PATH = click.Path(path_type=Path)
_AT = click.option("--at", metavar="HOST:PORT", help="The parent.  [default: [upstream] parent]")


@click.group(name="upstream")
def command() -> None:
    """What is above this node: the root that it knows, and the parent that delegates its prefixes."""


@command.command(name="bootstrap", epilog="Example:  hnode upstream bootstrap --out ./bootstrap")
@click.option("--out", type=_PATH, required=True, metavar="DIR", help="The folder to write bootstrap_handles into.")
@click.option("--key", type=_PATH, metavar="FILE", help="The root's private key.  [default: keys/root.pem]")
@output_option
@click.pass_obj
def bootstrap(context: CommandContext, out: Path, key: Path | None) -> None:
    """Write `bootstrap_handles` of the root that this node keeps: what others need to know it by.

    Records that have no signature that holds are signed first, with the root's key.
    """
    from admin.files import make_folder
    from admin.importing.rows import RowLimits
    from admin.local_store import now_ms, opened_store, who
    from admin.record_output import print_told
    from admin.root_signing import KEY_FILE, expect_root, root_data, root_state, sign_root
    from protocol.codes import ResponseCode
    from resolver.bootstrap.files import write_root_file

    config = context.load()
    limits = RowLimits(value_size=config.limits.value_bytes, value_count=config.limits.values_per_handle)
    path = key or context.found_config().parent / KEY_FILE
    signed: tuple[bytes, ...] = ()
    with opened_store(context) as store:
        with store.view() as view:
            expect_root(view)
            state = root_state(view, now_s=time.time())
        if state.bad or b"0.0/0.0" in state.missing:
            signed = sign_root(store, _root_key(path), now_s=int(time.time()), limits=limits, who=who())
        with store.view() as view:
            data = root_data(view, now_ms=now_ms())
            missing = root_state(view, now_s=time.time()).missing
    make_folder(out)
    written = write_root_file(out, data)
    for handle in missing:
        note(context, f"{printable(handle.decode(errors='replace'))} is named by the root and not here: left out")
    names = [record.handle.decode() for record in data.records.values()]
    if not context.is_table:
        told = {"responseCode": int(ResponseCode.SUCCESS), "path": str(written), "handles": names}
        print_told(context, told | {"signed": [handle.decode() for handle in signed]})
        return
    say(context, f"wrote {written}  ({', '.join(names)})")
    if signed:
        say(context, f"signed now: {', '.join(handle.decode() for handle in signed)}")
    say(context, f"Give it to the nodes below: [upstream] bootstrap_dir = {out}")


def _root_key(path: Path) -> Any:
    from admin.identities import private_key_in

    try:
        return private_key_in(path)
    except FileNotFoundError as error:
        why = f"a record of the root has no signature that holds, and {path} is not there"
        raise Failure("the root cannot be signed", why, "--key FILE", code=ExitCode.DENIED) from error


@command.command(name="enrol", epilog="Example:  hnode upstream enrol --out ./for-the-parent")
@click.option(
    "--prefix", "prefixes", metavar="P", multiple=True, help="Only this prefix.  [default: all that are here]"
)
@click.option("--out", type=_PATH, metavar="DIR", help="Write the files for the parent's administrator there.")
@_AT
@collected(*AUTH_OPTIONS)
@output_option
@click.pass_obj
def enrol(context: CommandContext, prefixes: tuple[str, ...], out: Path | None, at: str | None, remote: Remote) -> None:
    """Let the parent delegate this node's prefixes: write it there, or make what its administrator needs.

    With --out the files are made. Else the delegation is written at the parent, as [upstream] identity and key, or
    --auth and --key, say who this node is there. What the parent tells of other sites, such as mirrors, stays.
    """
    from admin.upstream_enrolment import files_for, written_at

    config = context.load()
    here = _here(context, prefixes)
    if out is not None:
        _tell_files(context, files_for(here, out), out)
        if here.is_outdated:
            _warn_of_restart(context)
        return
    parent = _parent(config, at, remote, needs_identity=True)
    for one in written_at(parent, here):
        _print_enrolled(context, one, parent)
    if here.is_outdated:
        _warn_of_restart(context)


@command.command(name="status", epilog="Example:  hnode upstream status")
@click.option(
    "--prefix", "prefixes", metavar="P", multiple=True, help="Only this prefix.  [default: all that are here]"
)
@_AT
@click.option("--server-key", type=_PATH, metavar="FILE", help="The parent's public key, or its siteinfo.bin.")
@output_option
@click.pass_obj
def status(context: CommandContext, prefixes: tuple[str, ...], at: str | None, server_key: Path | None) -> int:
    """Ask the parent for this node's prefixes, and say whether clients that follow it find this node.

    Exit code 3 where a prefix is not delegated, 7 where it is delegated otherwise, or where the configuration
    describes another site than this node tells, 5 where the parent is silent.
    """
    from admin.delegation_remote import read_delegation
    from admin.upstream_comparing import Compared, Difference, compared

    here = _here(context, prefixes)
    parent = _parent(context.load(), at, Remote(server_key=server_key), needs_identity=False)
    found: list[Compared] = []
    for handle in here.handles:
        values = read_delegation(parent, handle, certified=bool(parent.server_key))
        if values is None:
            missing = Difference("record", f"none of {handle.decode()}", "its node")
            found.append(Compared(handle, 0, (missing,)))
        else:
            found.append(compared(handle, values, here.site))
    if not parent.server_key:
        note(context, text("upstream.unheld", context.lang))
    _print_status(context, parent, found, here)
    if all(one.is_good for one in found):
        return ExitCode.CONFLICT if here.is_outdated else ExitCode.OK
    return ExitCode.CONFLICT if all(one.index for one in found) else ExitCode.NOT_FOUND


def _here(context: CommandContext, prefixes: tuple[str, ...]) -> Any:
    from admin.upstream_enrolment import here

    return here(context, prefixes)


def _parent(config: "Config", at: str | None, remote: Remote, *, needs_identity: bool) -> Remote:
    from admin.upstream_enrolment import parent_of

    return parent_of(config, at, remote, needs_identity=needs_identity)


def _tell_files(context: CommandContext, made: Any, out: Path) -> None:
    from admin.record_output import print_told
    from protocol.codes import ResponseCode

    if not context.is_table:
        told = {"responseCode": int(ResponseCode.SUCCESS), "folder": str(out), "files": [str(p) for p in made.files]}
        print_told(context, told | {"fingerprint": made.fingerprint, "commands": made.commands})
        return
    for path in made.files:
        say(context, f"wrote {path}")
    say(context, "Send them to the administrator of the parent, and tell the fingerprint by another way:")
    say(context, f"  {made.fingerprint}")
    say(context, "There the delegation is written by:")
    for line in made.commands:
        say(context, f"  {line}")


def _print_enrolled(context: CommandContext, one: "Enrolled", parent: Remote) -> None:
    from admin.delegation_remote import Written
    from admin.record_output import print_change

    key = {Written.NEW: "enrolled", Written.CHANGED: "updated", Written.ALREADY: "already"}[one.became]
    if not context.is_table:
        told = text(f"upstream.{key}", "en")
        print_change(context, told, one.handle, at=parent.at, others=list(one.kept), gone=list(one.gone))
        return
    print_change(context, text(f"upstream.{key}", context.lang), one.handle, at=parent.at)
    for place in one.kept:
        say(context, "    " + text("upstream.told", context.lang, place=printable(place)))
    for place in one.gone:
        say(context, "    " + text("upstream.gone", context.lang, place=printable(place)))
    if one.became is Written.ALREADY:
        note(context, text("upstream.untried", context.lang))


def _warn_of_restart(context: CommandContext) -> None:
    """That what was told to the parent is not what the node will be once it is started anew."""
    note(context, text("upstream.outdated", context.lang))
    note(context, text("upstream.restart", context.lang))


def _print_status(context: CommandContext, parent: Remote, found: "list[Compared]", here: "Here") -> None:
    from admin.output import print_json, print_line
    from admin.upstream_comparing import differences

    lang = context.lang
    later = () if here.configured is None else differences(here.site, here.configured)
    if not context.is_table:
        told = {"parent": parent.at, "prefixes": [_as_json(one) for one in found]}
        stale = [{"what": d.what, "node": d.there, "configuration": d.here} for d in later]
        (print_line if context.output == "jsonl" else print_json)(told | {"configuration": stale})
        return
    for one in found:
        is_good = one.is_good and not later
        mark = styled(context, "✓", fg="green") if is_good else styled(context, "✗", fg="red")
        say(context, f"{mark} {one.handle.decode()} at {parent.at}")
        for difference in one.differences:
            say(context, "    " + _told(lang, "upstream.differs", difference))
        for other in one.others:
            say(context, "    " + text("upstream.told", lang, place=printable(other)))
    good = sum(one.is_good for one in found)
    say(context, text("upstream.count", lang, count=good, bad=len(found) - good))
    if later:
        say(context, text("upstream.outdated", lang))
    for difference in later:
        say(context, "    " + _told(lang, "upstream.later", difference))
    if later:
        note(context, text("upstream.restart", lang))
    elif good < len(found):
        note(context, text("upstream.mend", lang))


def _told(lang: str, key: str, one: "Difference") -> str:
    return printable(text(key, lang, what=one.name, there=one.there, here=one.here))


def _as_json(one: "Compared") -> dict[str, object]:
    return {
        "prefix": one.handle.decode().partition("/")[2],
        "good": one.is_good,
        "index": one.index,
        "differences": [_difference_as_json(d) for d in one.differences],
        "others": list(one.others),
    }


def _difference_as_json(one: "Difference") -> dict[str, str]:
    told = {"what": one.what, "parent": one.there, "node": one.here}
    return told | {"type": one.of} if one.of else told
