"""`hnode doctor`: what is wrong with the node and its machine, and what mends it."""

from typing import TYPE_CHECKING

import click

from admin.context import CommandContext
from admin.errors import ExitCode
from admin.output import output_option, padded, print_json, print_line, printable, styled
from admin.texts import text

if TYPE_CHECKING:
    from admin.doctor.findings import Finding, Level

_COLORS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command(name="doctor", epilog="Example:  hnode --config node/hnode.toml doctor --strict")
@click.option("--strict", is_flag=True, help="End with code 8 where something is doubtful.")
@output_option
@click.pass_obj
def command(context: CommandContext, strict: bool) -> int:
    """Check configuration, keys, store, disk, limits, ports, prefixes and clock. Exit code 1 where a check fails."""
    from admin.doctor.examination import examine
    from admin.doctor.findings import Level

    findings = examine(context.found_config(), context.environment)
    levels = [finding.level for finding in findings]
    if context.is_table:
        _tell(context, findings, levels)
    else:
        told = {"ok": Level.FAIL not in levels, "checks": [_as_json(n, f) for n, f in enumerate(findings, 1)]}
        print_line(told) if context.output == "jsonl" else print_json(told)
    if Level.FAIL in levels:
        return ExitCode.FAILED
    return ExitCode.THRESHOLD if strict and Level.WARN in levels else ExitCode.OK


def _tell(context: CommandContext, findings: "list[Finding]", levels: "list[Level]") -> None:
    from admin.doctor.findings import Level

    lang = context.lang
    for number, finding in enumerate(findings, 1):
        level = finding.level.value
        mark = styled(context, padded(text(f"doctor.{level}", lang), 5), fg=_COLORS[level])
        name = padded(text(f"doctor.{finding.check}", lang), 18)
        if finding.level is not Level.OK or not context.is_quiet:
            click.echo(f"{number:2}  {mark} {name}  {printable(finding.said)}")
            if finding.mend:
                click.echo(f"{'':10}{text('doctor.mend', lang)} {context.to_type(printable(finding.mend))}")
    fail, warn = levels.count(Level.FAIL), levels.count(Level.WARN)
    key = "doctor.bad" if fail or warn else "doctor.good"
    click.echo(text(key, lang, count=len(findings), fail=fail, warn=warn))


def _as_json(number: int, finding: "Finding") -> dict[str, object]:
    return {
        "number": number,
        "check": finding.check,
        "level": finding.level.value,
        "text": finding.said,
        "mend": finding.mend,
    }
