"""From a TOML file and the environment to one configuration: every value with its origin, every problem at once.

Order: flags, then environment, then file, then defaults. Asks the file system for the file itself and for the files
that `HNODE_…_FILE` variables name, and nothing else; `file_problems` looks at the files that the configuration names.
"""

import difflib
import stat
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from protocol.limits import NAMESPACE_SIZE_MAX
from resolver.config import SECTIONS, Config
from resolver.config_checks import DEFAULT, cross_problems
from resolver.config_keys import Section
from resolver.config_lines import key_lines
from resolver.config_problems import ConfigError, Problem

VARIABLES: Final = "HNODE_"
"""What the environment variables of a configuration begin with; two underscores part section and key."""

_FILE: Final = "_FILE"
_SIZE_MAX: Final = 1 << 20  # Octets of a configuration or of a secret's file: real ones have a few thousand.
_OTHERS_MASK: Final = 0o077  # Any right of group and others.
TLS_KEY_SHUT: Final = 0o027
"""Rights that nobody has on a certificate's key: the tools that renew it share it with us by a group that reads."""


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A valid configuration, where it was read, and where each value (`udp.listen`) came from."""

    config: Config
    path: Path
    origins: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Given:
    """A value that file, environment or flag gave, before it was read."""

    value: object
    origin: str


def load_config(
    path: Path, environment: Mapping[str, str], flags: Mapping[str, str] = MappingProxyType({})
) -> LoadedConfig:
    """The configuration of a file, overlaid by the environment and by flags (`{"node.lang": "zh"}`).

    `ConfigError` lists all that is wrong, each with its key, its origin and a hint.
    """
    problems: list[Problem] = []
    lines: dict[str, int] = {}
    given = dict(_from_file(path, lines, problems))
    given.update(_from_environment(environment, problems))
    given.update({key: _Given(value, f"option --{key.rpartition('.')[2]}") for key, value in flags.items()})
    sections = _read_sections(given, path.parent, lines, path.name, problems)
    origins = {f"{name}.{key}": DEFAULT for name, model in SECTIONS.items() for key in model.model_fields}
    origins.update({key: value.origin for key, value in given.items()})
    problems.extend(cross_problems(sections, origins))
    if problems:
        raise ConfigError(path, sorted(problems, key=_place))
    return LoadedConfig(Config.model_validate(sections), path, MappingProxyType(origins))


def _place(problem: Problem) -> tuple[bool, int]:
    """For sorting: the file's problems by their lines, then those of the environment, which have none."""
    line = problem.origin.rpartition(":")[2]
    return (not line.isdecimal(), int(line) if line.isdecimal() else 0)


def _from_file(path: Path, lines: dict[str, int], problems: list[Problem]) -> Iterator[tuple[str, _Given]]:
    text = _text_of(path, problems)
    try:
        tables = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # Numbers and nesting beyond Python's own bounds among them.
        said, _, place = str(error).partition(" (at ")
        line = place.removeprefix("line ").partition(",")[0]
        origin = f"{path.name}:{line if line.isdecimal() else len(text.splitlines())}"
        problems.append(Problem("", f"no TOML: {said}", 'a value is a "text", a number, true or a [list]', origin))
        return
    lines.update(key_lines(text))
    for name, table in tables.items():
        origin = _origin(path.name, lines, name)
        if name not in SECTIONS:
            what = f"there is no section [{name}]" if isinstance(table, dict) else "a key outside of any section"
            problems.append(Problem(name, what, _near(name, SECTIONS), origin))
        elif not isinstance(table, dict):
            problems.append(Problem(name, "a section is wanted, not a value", f"write [{name}]", origin))
        else:
            for key, value in table.items():
                path_key = f"{name}.{key}"
                yield path_key, _Given(value, _origin(path.name, lines, path_key, name))


def _origin(file_name: str, lines: Mapping[str, int], *keys: str) -> str:
    """The file's name, with the line of the first of the keys whose line is known."""
    line = next((lines[key] for key in keys if key in lines), None)
    return file_name if line is None else f"{file_name}:{line}"


def _text_of(path: Path, problems: list[Problem]) -> str:
    try:
        with path.open("rb") as file:
            octets = file.read(_SIZE_MAX + 1)
        if len(octets) > _SIZE_MAX:
            problems.append(Problem("", f"longer than {_SIZE_MAX} octets", "is it a configuration?", path.name))
            return ""
        return octets.decode("utf-8-sig").replace("\r\n", "\n")
    except OSError as error:
        hint = "hnode init DIR --prefix PREFIX" if isinstance(error, FileNotFoundError) else ""
        problems.append(Problem("", f"cannot be read: {error.strerror}", hint, path.name))
    except UnicodeDecodeError as error:
        problems.append(Problem("", f"no UTF-8 at octet {error.start}", "save it as UTF-8", path.name))
    return ""


def _from_environment(environment: Mapping[str, str], problems: list[Problem]) -> Iterator[tuple[str, _Given]]:
    known = {variable(name, key): f"{name}.{key}" for name, model in SECTIONS.items() for key in model.model_fields}
    for name, value in sorted(environment.items()):
        if not name.startswith(VARIABLES):
            continue
        origin = f"env {name}"
        plain = name.removesuffix(_FILE)
        if name in known:
            yield known[name], _Given(value, origin)
        elif plain in known:
            if plain in environment:
                problems.append(Problem(known[plain], f"{plain} is set as well", "set one of the two", origin))
            elif (secret := _secret(known[plain], Path(value), origin, problems)) is not None:
                yield known[plain], _Given(secret, origin)
        elif "__" in name or name.replace("_", "__", 2).replace("__", "_", 1) in known:
            # One underscore alone may be anybody's variable (a cluster names a service's address so), unless it
            # would be one of ours with two.
            problems.append(Problem("", "no such key", _near(name, known), origin))


def variable(section: str, key: str) -> str:
    """The environment variable of a key: `HNODE_UDP__LISTEN`."""
    return f"{VARIABLES}{section}__{key}".upper()


def _secret(key: str, path: Path, origin: str, problems: list[Problem]) -> str | None:
    try:
        with path.open("rb") as file:
            return file.read(_SIZE_MAX).decode().rstrip("\r\n")
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) else "no UTF-8 text"
        problems.append(Problem(key, f"{path} cannot be read: {said}", "", origin))
        return None


def _read_sections(
    given: Mapping[str, _Given], folder: Path, lines: Mapping[str, int], file_name: str, problems: list[Problem]
) -> dict[str, Section]:
    """The sections that are valid; what is wrong with the others joins the problems."""
    sections: dict[str, Section] = {}
    for name, model in SECTIONS.items():
        values = {key.partition(".")[2]: value.value for key, value in given.items() if key.startswith(name + ".")}
        try:
            sections[name] = model.model_validate(values, context={"folder": folder})
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                problems.append(_problem(name, model, detail, given, lines, file_name))
    return sections


def _problem(
    name: str,
    model: type[Section],
    detail: ErrorDetails,
    given: Mapping[str, _Given],
    lines: Mapping[str, int],
    file_name: str,
) -> Problem:
    key, *rest = detail["loc"]
    top = f"{name}.{key}"
    full = top + "".join(f"[{part}]" for part in rest if isinstance(part, int))
    origin = given[top].origin if top in given else DEFAULT
    if origin.partition(":")[0] == file_name and full in lines:
        origin = f"{file_name}:{lines[full]}"
    if detail["type"] == "extra_forbidden":
        return Problem(full, "there is no such key", _near(str(key), model.model_fields), origin)
    fault = detail.get("ctx", {}).get("error")
    hint = "" if fault or detail["type"] == "literal_error" else model.model_fields[str(key)].description or ""
    return Problem(full, str(fault) if fault else _plain(detail), hint, origin)


_PLAIN: Final[Mapping[str, Callable[[dict[str, Any]], str]]] = MappingProxyType(
    {
        "bool_parsing": lambda _: "is neither true nor false",
        "bool_type": lambda _: "is neither true nor false",
        "int_parsing": lambda _: "is no whole number",
        "int_type": lambda _: "is no whole number",
        "int_from_float": lambda _: "is no whole number",
        "tuple_type": lambda _: "is no list",
        "literal_error": lambda context: f"is not one of {context['expected']}",
        "greater_than_equal": lambda context: f"is less than {context['ge']}",
        "less_than_equal": lambda context: f"is more than {context['le']}",
    }
)


def _plain(detail: ErrorDetails) -> str:
    """A sentence for what the validator found by itself."""
    say = _PLAIN.get(detail["type"])
    return f"{detail['input']!r} {say(detail.get('ctx', {}))}" if say else detail["msg"]


def _near(name: str, known: Mapping[str, object]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else ""


def file_problems(loaded: LoadedConfig) -> list[Problem]:
    """What is wrong with the files that a configuration names: missing, or a private key that others may read."""
    problems = [*_certificate_problems(loaded), *_problems_of(loaded, "node.server_key", loaded.config.node.server_key)]
    problems += _replication_problems(loaded) + _upstream_problems(loaded)
    namespace, origin = loaded.config.resolution.namespace, loaded.origins["resolution.namespace"]
    if namespace is not None:
        try:
            size = namespace.stat().st_size
        except OSError as error:
            problems.append(Problem("resolution.namespace", f"{namespace}: {error.strerror}", "", origin))
        else:
            if size > NAMESPACE_SIZE_MAX:
                said = f"{namespace} has {size} octets, at most {NAMESPACE_SIZE_MAX} are read"
                problems.append(Problem("resolution.namespace", said, "", origin))
    return problems


def _problems_of(loaded: LoadedConfig, key: str, path: Path, *, is_private: bool = True) -> list[Problem]:
    """What is wrong with the file of a key: missing, or one that others may read though it is private."""
    origin = loaded.origins[key]
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        is_missing = is_private and isinstance(error, FileNotFoundError)
        hint = f"hnode key generate --out {path}" if is_missing else f"ls -l {path}"
        return [Problem(key, f"{path}: {error.strerror}", hint, origin)]
    if is_private and mode & _OTHERS_MASK:
        said = f"{path} has mode {mode:04o}: others may use this private key"
        return [Problem(key, said, f"chmod 600 {path}", origin)]
    return []


def _replication_problems(loaded: LoadedConfig) -> list[Problem]:
    """What is wrong with the files of [replication], whichever role the node has today."""
    section, found = loaded.config.replication, []
    for name in ("source_site", "source_key", "key"):
        path = getattr(section, name)
        if path is not None:
            found += _problems_of(loaded, f"replication.{name}", path, is_private=name == "key")
    return found


def _certificate_problems(loaded: LoadedConfig) -> list[Problem]:
    """What is wrong with the files of [tls], as far as the file system tells; `resolver.certificate` reads them."""
    found: list[Problem] = []
    for name, shut in (("cert", 0), ("key", TLS_KEY_SHUT)):
        path, key = getattr(loaded.config.tls, name), f"tls.{name}"
        if path is None:
            continue
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except OSError as error:
            found.append(Problem(key, f"{path}: {error.strerror}", f"ls -l {path}", loaded.origins[key]))
        else:
            if mode & shut:
                said = f"{path} has mode {mode:04o}: others may use this private key"
                found.append(Problem(key, said, f"chmod 640 {path}", loaded.origins[key]))
    return found


def _upstream_problems(loaded: LoadedConfig) -> list[Problem]:
    """What is wrong with the files of [upstream]: those of the root are read, the others only looked at."""
    from resolver.bootstrap.deriving import faults_of
    from resolver.bootstrap.files import read_files

    found, upstream = [], loaded.config.upstream
    if upstream.bootstrap_dir is not None:
        origin = loaded.origins["upstream.bootstrap_dir"]
        for fault in faults_of(read_files(upstream.bootstrap_dir)):
            found.append(Problem("upstream.bootstrap_dir", f"{fault.path}: {fault.why}", fault.then, origin))
    for name in ("parent_site", "key"):
        path = getattr(upstream, name)
        if path is not None:
            found += _problems_of(loaded, f"upstream.{name}", path, is_private=name == "key")
    return found
