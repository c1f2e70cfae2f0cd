"""Batch files of the software in service: what their commands say, and what is wrong with those that say nothing."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from admin.batch.commands import Authenticate, Command, Homing, Invalid, Operation, Setup
from admin.batch.reader import LINE_SIZE_MAX, BatchReader
from admin.importing.lines import Line, bounded_lines, encoding_of
from protocol.administrator import Administrator, Permission, read_vlist
from protocol.value import HandleValue, Reference

NOW = 1_700_000_000

SAMPLE = """\
AUTHENTICATE PUBKEY:300:0.NA/20.1000
/path/admpriv.bin|passphrase
AUTHENTICATE SECKEY:301:0.NA/20.1000
secret

CREATE 20.1000/1
100 HS_ADMIN 86400 1110 ADMIN 300:111111111111:0.NA/20.1000
1 URL 86400 1110 UTF8 https://example.org/
200 HS_VLIST 86400 1110 LIST 300:0.NA/20.1000;301:0.NA/20.1000;

DELETE 20.1000/2
ADD 20.1000/3
5 DESC 86400 1110 UTF8 text with  two blanks

MODIFY 20.1000/3
5 DESC 86400 1100 UTF8 other text

REMOVE 5,6:20.1000/3
HOME 192.0.2.1:2641:TCP
0.NA/20.1000
0.NA/20.1001

UNHOME [2001:db8::1]:2641:UDP
0.NA/20.1000

SESSIONSETUP
USESESSION:1
OPTIONS:111
TIMEOUT:24
"""


def read(octets: bytes, encoding: str = "utf-8") -> list[Command]:
    lines = bounded_lines(io.BufferedReader(io.BytesIO(octets)), size_max=LINE_SIZE_MAX)
    return list(BatchReader(lines, encoding=encoding, now_s=lambda: NOW).commands())


def value(index: int, name: bytes, data: bytes, permissions: int = 14) -> HandleValue:
    return HandleValue(index=index, type=name, data=data, ttl=86_400, timestamp=NOW, permissions=permissions)


def test_the_sample_of_the_specification_is_read() -> None:
    admin = Reference(300, b"0.NA/20.1000")
    found = read(SAMPLE.encode())
    assert found[0] == Authenticate(line=1, key=admin, key_file=Path("/path/admpriv.bin"), passphrase=b"passphrase")
    assert found[1] == Authenticate(line=3, key=Reference(301, b"0.NA/20.1000"), secret=b"secret")
    create = found[2]
    assert isinstance(create, Operation)
    assert (create.line, create.word, create.handle) == (6, "create", b"20.1000/1")
    assert [(v.index, v.type, v.ttl, v.permissions, v.timestamp) for v in create.values] == [
        (100, b"HS_ADMIN", 86_400, 14, NOW),
        (1, b"URL", 86_400, 14, NOW),
        (200, b"HS_VLIST", 86_400, 14, NOW),
    ]
    assert Administrator.from_bytes(create.values[0].data) == Administrator(0xFFF, b"0.NA/20.1000", 300)
    assert read_vlist(create.values[2].data) == (admin, Reference(301, b"0.NA/20.1000"))
    assert found[3] == Operation(line=11, word="delete", handle=b"20.1000/2")
    assert found[4] == Operation(
        line=12, word="add", handle=b"20.1000/3", values=(value(5, b"DESC", b"text with  two blanks"),)
    )
    modified = value(5, b"DESC", b"other text", permissions=12)
    assert found[5] == Operation(line=15, word="modify", handle=b"20.1000/3", values=(modified,))
    assert found[6] == Operation(line=18, word="remove", handle=b"20.1000/3", indexes=(5, 6))
    homes = [(command.line, command.word, command.host, command.is_udp) for command in found[7:10]]  # type: ignore[attr-defined]
    assert homes == [
        (20, "home", "192.0.2.1", False),
        (21, "home", "192.0.2.1", False),
        (24, "unhome", "2001:db8::1", True),
    ]
    assert found[10:] == [Setup(line=26, use=True, is_encrypted=True, timeout_s=86_400)]


def test_each_digit_of_an_administrator_is_the_permission_that_the_specification_names() -> None:
    order = (
        Permission.ADD_HANDLE,
        Permission.DELETE_HANDLE,
        Permission.ADD_DERIVED_PREFIX,
        Permission.DELETE_DERIVED_PREFIX,
        Permission.MODIFY_VALUE,
        Permission.REMOVE_VALUE,
        Permission.ADD_VALUE,
        Permission.READ_VALUE,
        Permission.MODIFY_ADMIN,
        Permission.REMOVE_ADMIN,
        Permission.ADD_ADMIN,
        Permission.LIST_HANDLES,
    )
    # Bit by bit as the specification lists them: reading comes eighth there, though its bit is the eleventh.
    for place, permission in enumerate(order):
        digits = "".join("1" if at == place else "0" for at in range(12))
        (create,) = read(f"CREATE 20.1000/1\n100 HS_ADMIN 86400 1110 ADMIN 300:{digits}:0.NA/20.1000\n".encode())
        assert isinstance(create, Operation)
        assert Administrator.from_bytes(create.values[0].data).permissions == permission


def test_words_come_in_any_case_and_a_file_may_end_within_a_command() -> None:
    found = read(b"\xef\xbb\xbfcreate 20.1000/1\r\n1 URL 86400 1110 utf8 x\r\ndelete 20.1000/2")
    assert [(c.line, c.word, c.handle) for c in found if isinstance(c, Operation)] == [
        (1, "create", b"20.1000/1"),
        (3, "delete", b"20.1000/2"),
    ]


def test_text_in_gb18030_becomes_utf_8(tmp_path: Path) -> None:
    file = tmp_path / "parts.txt"
    file.write_bytes("CREATE 20.1000/扳手\n1 产品名称 86400 1110 UTF8 锂电池冲击扳手\n".encode("gb18030"))
    encoding = encoding_of(file, size_max=LINE_SIZE_MAX)
    assert encoding == "gb18030"
    (create,) = read(file.read_bytes(), encoding)
    assert isinstance(create, Operation)
    assert create.handle == "20.1000/扳手".encode()
    assert (create.values[0].type, create.values[0].data) == ("产品名称".encode(), "锂电池冲击扳手".encode())


def test_the_octets_of_a_file_become_a_value(tmp_path: Path) -> None:
    (tmp_path / "key.bin").write_bytes(b"\0\xff")
    (create,) = read(f"ADD 20.1000/1\n300 HS_PUBKEY 86400 1110 FILE {tmp_path / 'key.bin'}\n".encode())
    assert isinstance(create, Operation)
    assert create.values[0].data == b"\0\xff"


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ("RENAME 20.1000/1", "begins no command"),
        ("CREATE", "the handle is missing"),
        ("CREATE 20.1000/1\n\n", "it has no values"),
        ("CREATE 20.1000/1\n1 URL 86400 1110\n\n", "a value has the form"),
        ("CREATE 20.1000/1\n0 URL 86400 1110 UTF8 x\n\n", "'0' is no index"),
        ("CREATE 20.1000/1\n4294967295 URL 86400 1110 UTF8 x\n\n", "is no index"),
        ("CREATE 20.1000/1\n1 URL soon 1110 UTF8 x\n\n", "is no time to live"),
        ("CREATE 20.1000/1\n1 URL 86400 1112 UTF8 x\n\n", "four digits"),
        ("CREATE 20.1000/1\n1 URL 86400 1110 UTF16 x\n\n", "no kind of data"),
        ("CREATE 20.1000/1\n1 HS_ADMIN 86400 1110 ADMIN 300:1111:0.NA/20.1000\n\n", "twelve digits"),
        ("CREATE 20.1000/1\n1 HS_VLIST 86400 1110 LIST 300\n\n", "names no value"),
        ("CREATE 20.1000/1\n1 BIN 86400 1110 FILE /nowhere/at-all\n\n", "cannot be read"),
        ("CREATE " + "x" * 3000 + "\n1 URL 86400 1110 UTF8 x\n\n", "a handle of 3,000 octets"),
        ("REMOVE 20.1000/1", "REMOVE is followed by"),
        ("REMOVE a,b:20.1000/1", "is no index"),
        ("HOME somewhere\n0.NA/20.1000\n\n", "names no server"),
        ("SESSIONSETUP\nCOLOUR:red\n\n", "no setting of a session"),
        ("SESSIONSETUP\nUSESESSION:1\nPUBEXNGKEYFILE:a.bin\n\n", "PRIVEXNGKEYFILE is missing"),
        ("SESSIONSETUP\nTIMEOUT:0\n\n", "time-out"),
    ],
)
def test_a_broken_command_is_told_by_its_line_and_costs_nothing_else(lines: str, reason: str) -> None:
    before, after = "DELETE 20.1000/before\n", "\nDELETE 20.1000/after\n"
    found = read((before + lines + after).encode())
    assert [c.handle for c in found if isinstance(c, Operation)] == [b"20.1000/before", b"20.1000/after"]
    (invalid,) = [c for c in found if isinstance(c, Invalid)]
    assert invalid.line == 2
    assert reason in invalid.reason


def test_an_identity_that_cannot_be_read_says_so_and_its_secret_is_told_nowhere() -> None:
    found = read(b"AUTHENTICATE SECKEY:0.NA/20.1000\nhunter2\nDELETE 20.1000/1\n")
    assert isinstance(found[0], Invalid)
    assert found[0].ends_identity
    assert len(found) == 2
    assert "hunter2" not in repr(found)
    assert isinstance(read(b"AUTHENTICATE PUBKEY:300:0.NA/20.1000")[0], Invalid)


def test_octets_of_no_encoding_and_lines_without_end_are_faults_of_their_command() -> None:
    long_line = b"1 URL 86400 1110 UTF8 " + b"x" * (LINE_SIZE_MAX + 1)
    found = read(
        b"CREATE 20.1000/1\n1 URL 86400 1110 UTF8 \xff\xfe\n\nCREATE 20.1000/2\n" + long_line + b"\n\nDELETE a/b"
    )
    assert [type(command) for command in found] == [Invalid, Invalid, Operation]
    assert "is no UTF-8" in found[0].reason  # type: ignore[attr-defined]
    assert "line 5" in found[1].reason  # type: ignore[attr-defined]


def test_more_values_than_a_message_carries_are_refused_and_not_kept() -> None:
    many = "".join(f"{index} URL 86400 1110 UTF8 x\n" for index in range(1, 2100))
    (found,) = read(f"CREATE 20.1000/1\n{many}".encode())
    assert isinstance(found, Invalid)
    assert "more values than" in found.reason


def test_commands_come_as_the_file_is_read() -> None:
    taken = 0

    def endless() -> Iterator[Line]:
        nonlocal taken
        while True:
            taken += 1
            yield Line(taken, b"DELETE 20.1000/%d" % taken)

    reader = BatchReader(endless(), encoding="utf-8", now_s=lambda: NOW)
    commands = reader.commands()
    first = [next(commands) for _ in range(3)]
    assert [c.line for c in first] == [1, 2, 3]
    assert taken == 3


def test_a_homed_prefix_that_cannot_be_one_is_told_and_the_next_is_read() -> None:
    found = read(b"HOME 192.0.2.1:2641\n" + b"x" * 3000 + b"\n0.NA/1\n")
    assert isinstance(found[0], Invalid)
    assert isinstance(found[1], Homing)
    assert found[1].handle == b"0.NA/1"


@settings(deadline=None)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=60),
            st.sampled_from([line.encode() for line in SAMPLE.splitlines()]),
            st.sampled_from([b"", b"CREATE", b"HOME", b"SESSIONSETUP", b"AUTHENTICATE PUBKEY:1:a/b"]),
        ),
        max_size=30,
    ),
    st.sampled_from(["utf-8", "gb18030"]),
)
def test_any_lines_are_commands_or_faults_with_rising_numbers(lines: list[bytes], encoding: str) -> None:
    found = read(b"\n".join(lines), encoding)
    numbers = [command.line for command in found]
    assert numbers == sorted(numbers)
    assert all(1 <= number <= b"\n".join(lines).count(b"\n") + 1 for number in numbers)
