"""Reads a batch file, command by command: never more of it in memory than one command. Runs nothing.

A command is one line, some with further lines behind it up to an empty one. What cannot be read costs its own command
alone: reading goes on behind its last line, or where the next command begins. Source: spec, software-in-service: 5.3.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from admin.batch.commands import Authenticate, Command, Homing, Invalid, Operation, Setup
from admin.batch.values import LineFault, number_of, reference_of, value_of
from admin.importing.lines import Line
from protocol.limits import HANDLE_SIZE_MAX, MESSAGE_SIZE_MAX, VALUE_COUNT_MAX
from protocol.value import HandleValue

LINE_SIZE_MAX: Final = 2 * MESSAGE_SIZE_MAX
"""Octets of a line: a value that no message can carry is still told by its line."""

_SETTING_LINES_MAX: Final = 32  # Lines of a session's set-up: six are known.
_SECONDS_AN_HOUR: Final = 3_600
_HOURS_MAX: Final = 24_000
_WORDS: Final = frozenset(
    {"AUTHENTICATE", "SESSIONSETUP", "CREATE", "DELETE", "ADD", "MODIFY", "REMOVE", "HOME", "UNHOME"}
)


class BatchReader:
    """The commands of a file's lines; `encoding` is the file's, `now_s` the time that values get."""

    def __init__(self, lines: Iterator[Line], *, encoding: str, now_s: Callable[[], int]) -> None:
        self._lines = lines
        self._encoding = encoding
        self._now_s = now_s
        self._again: Line | None = None
        self._by_word: dict[str, Callable[[int, str], Iterator[Command]]] = {
            "AUTHENTICATE": self._authenticate,
            "SESSIONSETUP": self._setup,
            "CREATE": self._with_values,
            "ADD": self._with_values,
            "MODIFY": self._with_values,
            "DELETE": self._delete,
            "REMOVE": self._remove,
            "HOME": self._homing,
            "UNHOME": self._homing,
        }
        assert set(self._by_word) == _WORDS

    def commands(self) -> Iterator[Command]:
        """Each command in order. `Invalid` ones stand in their places."""
        while (line := self._next()) is not None:
            try:
                text = self._text(line)
                word = _word(text)
                if word is None:
                    if text.strip():
                        yield Invalid(line=line.number, reason=f"{text[:60]!r} begins no command")
                    continue
                yield from self._by_word[word](line.number, text)
            except LineFault as fault:
                yield Invalid(line=line.number, reason=str(fault))

    # Lines

    def _next(self) -> Line | None:
        line, self._again = self._again, None
        return line if line is not None else next(self._lines, None)

    def _text(self, line: Line) -> str:
        if line.octets is None:
            raise LineFault(f"line {line.number} has more than {LINE_SIZE_MAX:,} octets")
        try:
            return line.octets.decode(self._encoding)
        except UnicodeDecodeError:
            raise LineFault(f"line {line.number} is no {self._encoding.upper()}") from None

    def _block(self) -> Iterator[Line]:
        """The lines up to an empty one, which is taken too, or to the next command, which is not."""
        while (line := self._next()) is not None:
            if line.octets is not None:
                if not line.octets.strip():
                    return
                if _word(line.octets.decode("latin-1")) is not None:
                    self._again = line
                    return
            yield line

    def _pass_over(self) -> None:
        """The rest of a command that cannot be read."""
        for _ in self._block():
            pass

    # Commands

    def _authenticate(self, number: int, text: str) -> Iterator[Command]:
        proof = self._next()  # Whatever comes of it: a secret is never read as a command, nor told.
        try:
            kind, _, key = _rest(text).partition(":")
            named = reference_of(key)
            if kind.upper() not in ("PUBKEY", "SECKEY"):
                raise LineFault("AUTHENTICATE is followed by PUBKEY:INDEX:HANDLE or SECKEY:INDEX:HANDLE")
            found = self._text(proof) if proof is not None else ""
            if not found.strip():
                raise LineFault("the line with the key's file, or the secret, is missing")
        except LineFault as fault:
            yield Invalid(line=number, reason=str(fault), ends_identity=True)
            return
        if kind.upper() == "SECKEY":
            yield Authenticate(line=number, key=named, secret=found.encode())
            return
        path, _, passphrase = found.partition("|")
        yield Authenticate(line=number, key=named, key_file=Path(path.strip()), passphrase=passphrase.encode() or None)

    def _with_values(self, number: int, text: str) -> Iterator[Command]:
        word, handle, fault = _word(text), b"", ""
        try:
            handle = _handle(_rest(text))
        except LineFault as found:
            fault = str(found)
        values: list[HandleValue] = []
        size = 0
        for line in self._block():  # To its end, whatever is found wrong, so that no value is taken for a command.
            if fault:
                continue
            try:
                values.append(value_of(self._text(line), self._now_s()))
                size += len(values[-1].data)
                if len(values) > VALUE_COUNT_MAX or size > MESSAGE_SIZE_MAX:
                    raise LineFault("more values than a message carries")
            except LineFault as found:
                fault = f"line {line.number}: {found}"
                values.clear()
        if fault or not values:
            raise LineFault(fault or "it has no values")
        assert word is not None
        yield Operation(line=number, word=word.lower(), handle=handle, values=tuple(values))

    def _delete(self, number: int, text: str) -> Iterator[Command]:
        yield Operation(line=number, word="delete", handle=_handle(_rest(text)))

    def _remove(self, number: int, text: str) -> Iterator[Command]:
        listed, colon, handle = _rest(text).partition(":")
        if not colon:
            raise LineFault("REMOVE is followed by INDEXES:HANDLE, such as 5,6:88.100/A1")
        indexes = tuple([number_of(index.strip(), "index", least=1) for index in listed.split(",")])
        yield Operation(line=number, word="remove", handle=_handle(handle), indexes=indexes)

    def _homing(self, number: int, text: str) -> Iterator[Command]:
        word = (_word(text) or "").lower()
        try:
            (host, port), transport = _place(_rest(text))
        except LineFault:
            self._pass_over()
            raise
        for line in self._block():
            try:
                handle = _handle(self._text(line))
            except LineFault as fault:
                yield Invalid(line=line.number, reason=str(fault))
                continue
            yield Homing(line=line.number, word=word, host=host, port=port, is_udp=transport == "UDP", handle=handle)

    def _setup(self, number: int, text: str) -> Iterator[Command]:
        said: dict[str, str] = {}
        try:
            for line in self._block():
                name, _, setting = self._text(line).partition(":")
                said[name.strip().upper()] = setting.strip()
                if len(said) > _SETTING_LINES_MAX:
                    raise LineFault("a session's set-up has fewer lines")
        except LineFault:
            self._pass_over()
            raise
        unknown = sorted(set(said) - _SETTINGS)
        if unknown:
            raise LineFault(f"{unknown[0][:40]!r} is no setting of a session")
        yield _setup_of(number, said)


_SETTINGS: Final = frozenset(
    {"USESESSION", "PUBEXNGKEYFILE", "PUBEXNGKEYREF", "PRIVEXNGKEYFILE", "PASSPHRASE", "OPTIONS", "TIMEOUT"}
)


def _setup_of(number: int, said: dict[str, str]) -> Setup:
    public, private = said.get("PUBEXNGKEYFILE"), said.get("PRIVEXNGKEYFILE")
    reference = reference_of(said["PUBEXNGKEYREF"]) if said.get("PUBEXNGKEYREF") else None
    if (public or reference) and not private:
        raise LineFault("PRIVEXNGKEYFILE is missing: the private half of the key")
    hours = number_of(said["TIMEOUT"], "time-out in hours", least=1) if said.get("TIMEOUT") else None
    if hours is not None and hours > _HOURS_MAX:
        raise LineFault(f"a time-out of {hours:,} hours")
    return Setup(
        line=number,
        use=said.get("USESESSION", "1") == "1",
        public_file=Path(public) if public else None,
        reference=reference,
        private_file=Path(private) if private else None,
        passphrase=said.get("PASSPHRASE", "").encode() or None,
        is_encrypted=said.get("OPTIONS", "").startswith("1"),
        timeout_s=None if hours is None else hours * _SECONDS_AN_HOUR,
    )


def _word(text: str) -> str | None:
    """The command that a line begins, or None."""
    word = text.strip().partition(" ")[0].upper()
    return word if word in _WORDS else None


def _rest(text: str) -> str:
    return text.strip().partition(" ")[2].strip()


def _handle(text: str) -> bytes:
    handle = text.strip().encode()
    if not handle or len(handle) > HANDLE_SIZE_MAX:
        raise LineFault("the handle is missing" if not handle else f"a handle of {len(handle):,} octets")
    return handle


def _place(text: str) -> tuple[tuple[str, int], str]:
    """Host and port, and the transport, of `192.0.2.1:2641:TCP`; the last part may be missing."""
    head, _, transport = text.rpartition(":")
    if transport.isdecimal():
        head, transport = text, "TCP"
    host, _, port = head.rpartition(":")
    host = host.strip("[]")
    if not host or transport.upper() not in ("TCP", "UDP"):
        raise LineFault(f"{text[:60]!r} names no server: it has the form HOST:PORT:TCP")
    return (host, number_of(port, "port", least=1)), transport.upper()
