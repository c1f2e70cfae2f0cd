"""What the commands of a batch file say, each with the line that it begins on. Reads no file and asks no server.

Source: spec, software-in-service: section 5.3.
"""

from dataclasses import dataclass, field
from pathlib import Path

from protocol.value import HandleValue, Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command of a batch file; `line` counts from 1."""

    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Authenticate(Command):
    """Who asks from here on: a private key's file, with the passphrase that opens it, or a secret."""

    key: Reference
    key_file: Path | None = None
    passphrase: bytes | None = field(default=None, repr=False)
    secret: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup(Command):
    """Sessions from here on, or none. Without a key they are opened by Diffie-Hellman."""

    use: bool
    public_file: Path | None = None
    reference: Reference | None = None
    private_file: Path | None = None
    passphrase: bytes | None = field(default=None, repr=False)
    is_encrypted: bool = False
    timeout_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation(Command):
    """A change of one handle; `word` names it in the log: `create`, `add`, `modify`, `remove`, `delete`."""

    word: str
    handle: bytes
    values: tuple[HandleValue, ...] = ()
    indexes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Homing(Command):
    """A prefix for the servers of a site, which `host` and `port` belong to; `word` is `home` or `unhome`."""

    word: str
    host: str
    port: int
    is_udp: bool
    handle: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Invalid(Command):
    """Lines that are no command; `ends_identity` where it was to say who asks: nobody does until the next that can."""

    reason: str
    ends_identity: bool = False
