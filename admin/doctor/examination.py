"""All checks in their order, each run whatever the others say. Prints nothing."""

from collections.abc import Mapping
from pathlib import Path

from admin.doctor import machine, own_things
from admin.doctor.certificate import certificate
from admin.doctor.findings import Finding, Level
from admin.doctor.ports import ports
from admin.doctor.recursion import recursion
from resolver.config_loading import load_config
from resolver.config_problems import ConfigError


def examine(path: Path, environment: Mapping[str, str]) -> list[Finding]:
    """The findings for the node of a configuration file; only a configuration that cannot be read ends it early."""
    try:
        loaded = load_config(path, environment)
    except ConfigError as error:
        return [
            Finding("config", Level.FAIL, str(problem), f"hnode --config {path} config check")
            for problem in error.problems
        ]
    config = loaded.config
    read = own_things.store(config, f"hnode init {path.parent} --prefix PREFIX")
    findings = [
        own_things.configuration(loaded),
        own_things.server_key(config, read.identity),
        read.finding,
        machine.disk(config, read.facts),
        machine.open_files(config),
        machine.receive_buffer(config),
        ports(config, read.identity),
        machine.clock(read.last_change_ms),
    ]
    if config.tls.listen:
        findings.append(certificate(config))
    findings.append(recursion(config))
    return findings if read.prefixes is None else [*findings, read.prefixes]
