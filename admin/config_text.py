"""A configuration as TOML text: the commented example, a new node's file, and what is in force with its origins."""

import json
import textwrap
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from resolver.config import SECTIONS, Config, as_texts

_HEAD: Final = """\
# The configuration of an hnode node. A line that begins with "#" and a key shows the default: take the "#" away to
# change it. Check with: hnode --config THIS_FILE config check
# Each key can come from the environment as well, with more weight: HNODE_UDP__LISTEN=127.0.0.1:2641,[::1]:2641
# (HNODE_UDP__LISTEN_FILE=/run/secrets/x reads the value from a file). Relative paths begin at this file's folder.
"""
_ORIGIN_COLUMN: Final = 60


def toml(value: object) -> str:
    """A text, number, truth value or list as TOML writes it."""
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    if isinstance(value, str):
        # The escapes of JSON are those of TOML's basic strings, but for DEL, which TOML wants escaped.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return json.dumps(value)


def example(values: Mapping[str, object] = MappingProxyType({})) -> str:
    """Every key with its explanation: those of `values` (`udp.listen`) in force, the others as commented defaults."""
    lines = [_HEAD]
    for name, model in SECTIONS.items():
        lines.append(f"[{name}]  # {(model.__doc__ or '').splitlines()[0]}")
        defaults = as_texts(model())
        for key, field in model.model_fields.items():
            lines += textwrap.wrap(field.description or "", 110, initial_indent="# ", subsequent_indent="# ")
            path = f"{name}.{key}"
            if path in values:
                lines.append(f"{key} = {toml(values[path])}")
            else:
                lines.append(f"#{key} = {toml(defaults[key])}")
        lines.append("")
    return "\n".join(lines)


def in_force(config: Config, origins: Mapping[str, str] | None = None) -> str:
    """Every key with its value, as a file that can be read again; with `origins`, where each came from."""
    lines = []
    for name in SECTIONS:
        lines.append(f"[{name}]")
        for key, value in as_texts(getattr(config, name)).items():
            line = f"{key} = {toml(value)}"
            lines.append(f"{line:<{_ORIGIN_COLUMN}}  # {origins[f'{name}.{key}']}" if origins else line)
        lines.append("")
    return "\n".join(lines).rstrip()
