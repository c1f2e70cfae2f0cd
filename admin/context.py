"""What stood before the noun on the command line, as every command receives it (`@click.pass_obj`). Holds no node."""

import os
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from admin.errors import ExitCode, Failure
from admin.texts import language, text

if TYPE_CHECKING:  # The configuration brings its validator along: only commands that read one pay for it.
    from resolver.config import Config
    from resolver.config_loading import LoadedConfig

DEFAULT_CONFIG: Final = Path("hnode.toml")
"""Read where neither `--config` nor HNODE_CONFIG names a file."""

# What is to be typed elsewhere stands behind "on the root: " or "on that node: ", and names no configuration of ours.
_READS_CONFIG: Final = re.compile(
    r"(?<!on the root: )(?<!on that node: )"
    r"\bhnode (?=(?:serve|handle|prefix|upstream|import|export|doctor|status|store)\b)"
)

TABLE: Final = "table"
JSON: Final = "json"
JSONL: Final = "jsonl"
OUTPUTS: Final = (TABLE, JSON, JSONL)


@dataclass
class CommandContext:
    """Options of the whole program. `verbosity` is below 0 for `-q`, above 0 for `-v`."""

    config_path: Path | None = None
    output: str = TABLE
    lang: str = "en"
    lang_chosen: bool = False
    verbosity: int = 0
    color: bool = True
    environment: dict[str, str] = field(default_factory=lambda: dict(os.environ))
    flags: dict[str, str] = field(default_factory=dict)  # Keys of the configuration that options set.

    @property
    def is_quiet(self) -> bool:
        """Whether only results and errors are wanted."""
        return self.verbosity < 0

    @property
    def is_table(self) -> bool:
        """Whether a person reads the answer; otherwise it is JSON for a program."""
        return self.output == TABLE

    def to_type(self, line: str) -> str:
        """A line for a person, in which the commands of this program name the configuration that this run was given."""
        if self.config_path is None:
            return line
        named = f"hnode --config {shlex.quote(str(self.config_path))} "
        return _READS_CONFIG.sub(lambda _: named, line)

    def choose_language(self, wanted: str | None) -> None:
        """Take the language of an option, else of the locale, else English until a configuration says otherwise."""
        found = language(wanted, self.environment)
        self.lang, self.lang_chosen = found or "en", found is not None
        if wanted:
            self.flags["node.lang"] = wanted

    def found_config(self) -> Path:
        """The configuration file's path; a `Failure` that names the next command where there is none."""
        if self.config_path is not None:
            return self.config_path
        if DEFAULT_CONFIG.is_file():
            return DEFAULT_CONFIG
        lang = self.lang
        then = "hnode init ./node --prefix 88.100"
        raise Failure(text("config.none", lang), text("config.none.why", lang), then, code=ExitCode.CONFIG)

    def loaded(self) -> "LoadedConfig":
        """The configuration with the origin of each value; `ConfigError` lists all that is wrong with it."""
        from resolver.config_loading import load_config

        found = load_config(self.found_config(), self.environment, self.flags)
        if not self.lang_chosen:
            self.lang = found.config.node.lang
        return found

    def load(self) -> "Config":
        """The configuration; `ConfigError` lists all that is wrong with it."""
        return self.loaded().config
