"""Our client administers a real node: every operation over UDP, TCP and TLS, with keys and secrets, in sessions too."""

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from admin.identities import private_key_in, public_keys_in
from protocol.administrator import ALL_PERMISSIONS, Administrator
from protocol.codes import PUBLIC_READ
from protocol.value import HandleValue, Reference
from protocol.version import NEWEST, Version
from resolver.client import Server, Transport
from resolver.client_admin import Client
from resolver.client_calls import Calls
from resolver.client_errors import Conflict, Denied, Missing, NotProven, Refused
from resolver.client_exchange import Asking
from resolver.client_opening import Opening
from resolver.client_proof import Identity
from resolver.client_session import Mode
from resolver.client_tls import Tls
from tests.support.running import RunningNode

ADMIN = "300:0.NA/88.100"
SECRET = "301:0.NA/88.100"
WORD = "correct horse battery staple"
URL = HandleValue(index=1, type=b"URL", data=b"https://example.org/1")
HIDDEN = HandleValue(index=2, type=b"PRICE", data=b"17", permissions=URL.permissions & ~PUBLIC_READ)
OWNER = HandleValue(index=100, type=b"HS_ADMIN", data=Administrator(ALL_PERMISSIONS, b"0.NA/88.100", 300).to_bytes())
SECOND = HandleValue(index=101, type=b"HS_ADMIN", data=Administrator(ALL_PERMISSIONS, b"0.NA/88.100", 301).to_bytes())
RECORD = (URL, HIDDEN, OWNER, SECOND)
WAYS = ("udp", "tcp", "tls")
Work = Callable[[Client], Awaitable[Any]]


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


class Served:
    """A node that serves over all ways, and clients of it."""

    def __init__(self, folder: Path) -> None:
        self.tls_port = free_port()
        env = {
            "HNODE_AUTH__SERVER_ADMINS": ADMIN,
            "HNODE_UDP__ADMIN": "true",
            "HNODE_TLS__LISTEN": f"127.0.0.1:{self.tls_port}",
        }
        self.node = RunningNode(folder / "n", env=env, workers=2)
        self.key = folder / "n" / "keys" / "88.100.admin.pem"
        self.server_key = folder / "n" / "keys" / "server.pem"
        self.secret = folder / "secret.txt"
        self.secret.write_text(WORD + "\n")
        second = json.dumps({"handle": "0.NA/88.100", "index": 301, "permissions": "1" * 12})
        for arguments in (
            ("301", "HS_SECKEY", WORD, "--permissions", "1100"),
            ("101", "HS_ADMIN", second, "--format", "admin"),
        ):
            made = self.node.cli("handle", "set-value", "0.NA/88.100", *arguments)
            assert made.returncode == 0, made.stderr
        self.rsa = Identity(Reference(300, b"0.NA/88.100"), private_key=private_key_in(self.key))
        self.by_secret = Identity(Reference(301, b"0.NA/88.100"), secret=WORD.encode())
        self.keys = public_keys_in(self.server_key)

    def server(self, way: str) -> Server:
        if way == "tls":
            return Server("127.0.0.1", self.tls_port, tls=Tls.by_key(*self.keys))
        return Server("127.0.0.1", self.node.port, Transport.UDP if way == "udp" else Transport.TCP)

    def does(
        self,
        work: Work,
        way: str = "tcp",
        *,
        identity: Identity | None = None,
        mode: Mode | None = None,
        version: Version = NEWEST,
        is_encrypted: bool = False,
    ) -> Any:
        """What the work gives with a client of this node."""

        async def run() -> Any:
            opening = None if mode is None else Opening.by(mode, identity)
            calls = Calls(Asking(self.server(way), keys=self.keys, version=version), identity=identity, opening=opening)
            async with Client(calls, is_encrypted=is_encrypted) as client:
                return await work(client)

        return asyncio.run(run())

    def cli(self, *arguments: str | Path, auth: bool = True) -> Any:
        """A command at this node, and what it printed as JSON."""
        who = ("--auth", ADMIN, "--key", self.key) if auth else ()
        return self.node.cli("-o", "json", *arguments, "--at", f"127.0.0.1:{self.node.port}", *who)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    made = Served(tmp_path_factory.mktemp("served"))
    with made.node:
        yield made


async def every_operation(client: Client, name: bytes) -> None:
    made = await client.create(name, RECORD)
    assert (made.handle.upper(), made.overwrote) == (name.upper(), False)
    with pytest.raises(Conflict):
        await client.create(name, RECORD)
    assert (await client.create(name, RECORD, overwrite=True)).overwrote
    minted = await client.create(b"88.100/", RECORD, mint=True)
    assert len(minted.handle) > len(b"88.100/")
    await client.delete(minted.handle)
    await client.add(name, [HandleValue(index=7, type=b"DESC", data=b"wrench")])
    with pytest.raises(Conflict):
        await client.add(name, [HandleValue(index=7, type=b"DESC", data=b"wrench")])
    await client.add(name, [HandleValue(index=7, type=b"DESC", data=b"spanner")], overwrite=True)
    await client.modify(name, [HandleValue(index=1, type=b"URL", data=b"https://example.org/2")])
    with pytest.raises(Missing):
        await client.modify(name, [HandleValue(index=99, type=b"URL", data=b"x")])
    await client.remove(name, [7])
    with pytest.raises(Missing):
        await client.remove(name, [7])
    seen = await client.resolve(name, restricted=True)
    assert {value.index: value.data for value in seen.values[:2]} == {1: b"https://example.org/2", 2: b"17"}
    assert [value.index for value in (await client.resolve(name)).values] == [1, 100, 101]
    assert name.upper() in [handle.upper() async for handle in client.list_handles(b"0.NA/88.100")]
    await client.delete(name)
    with pytest.raises(Missing):
        await client.resolve(name)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("proof", ["rsa", "secret"])
@pytest.mark.parametrize("mode", [None, *Mode])
def test_every_operation_works(served: Served, way: str, proof: str, mode: Mode | None) -> None:
    identity = served.rsa if proof == "rsa" else served.by_secret
    name = f"88.100/{way}-{proof}-{mode.value if mode else 'none'}".encode()
    if proof == "secret" and mode in (Mode.CLIENT_KEY, Mode.HANDLE_KEY):
        # A secret decrypts nothing: such sessions are opened by Diffie-Hellman instead.
        async def opened(client: Client) -> Mode:
            return (await client.calls.opened_session()).mode

        assert served.does(opened, way, identity=identity, mode=mode) is Mode.DH
    served.does(lambda client: every_operation(client, name), way, identity=identity, mode=mode)


@pytest.mark.parametrize("mode", list(Mode))
def test_a_session_is_what_was_wished_and_is_proven_once(served: Served, mode: Mode) -> None:
    async def work(client: Client) -> tuple[Mode, bool, int]:
        await client.create(b"88.100/SESSION", RECORD)
        await client.delete(b"88.100/SESSION")
        session = client.calls.session
        assert session is not None
        return session.mode, session.is_proven, session.sent

    # Create, the answer to its challenge, delete: no second challenge.
    assert served.does(work, identity=served.rsa, mode=mode) == (mode, True, 3)
    assert served.does(work, identity=served.rsa, mode=mode, is_encrypted=True) == (mode, True, 3)


@pytest.mark.parametrize("minor", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])
def test_every_version_works_with_and_without_a_session(served: Served, minor: int) -> None:
    version = Version(2, minor)

    async def work(client: Client) -> None:
        name = b"88.100/VERSION"
        await client.create(name, RECORD)
        assert len((await client.resolve(name, restricted=True)).values) == len(RECORD)
        assert len((await client.resolve(name, certified=True)).values) == len(RECORD) - 1
        await client.delete(name)

    for identity in (served.rsa, served.by_secret):
        served.does(work, identity=identity, version=version)
        served.does(work, identity=identity, version=version, mode=Mode.DH)
        served.does(work, identity=identity, version=version, mode=Mode.DH, is_encrypted=True)


def test_prefixes_are_homed_listed_and_unhomed(served: Served) -> None:
    async def homed(client: Client) -> list[bytes]:
        return [handle async for handle in client.list_homed()]

    async def work(client: Client) -> None:
        assert await homed(client) == [b"0.NA/88.100"]
        await client.home(b"0.NA/88.300")
        assert sorted(await homed(client)) == [b"0.NA/88.100", b"0.NA/88.300"]
        await client.unhome(b"0.NA/88.300")
        assert await homed(client) == [b"0.NA/88.100"]

    served.does(work, identity=served.rsa)
    served.does(work, identity=served.rsa, mode=Mode.DH)


def test_a_long_list_comes_in_many_messages(served: Served) -> None:
    async def work(client: Client) -> int:
        names = [b"88.100/LONG/%03d" % number for number in range(120)]
        await asyncio.gather(*[client.create(name, [URL, OWNER]) for name in names])
        found = [handle async for handle in client.list_handles(b"0.NA/88.100")]
        await asyncio.gather(*[client.delete(name) for name in names])
        return len([handle for handle in found if handle.startswith(b"88.100/LONG/")])

    assert served.does(work, identity=served.rsa, mode=Mode.DH) == 120


def test_a_signed_answer_is_believed_with_the_nodes_key_alone(served: Served) -> None:
    async def work(client: Client) -> None:
        assert (await client.resolve(b"0.NA/88.100", certified=True)).values
        with pytest.raises(Missing):
            await client.resolve(b"88.100/NOTHING", certified=True)
        assert (await client.site_info(certified=True)).servers
        client.calls.asking.keys = public_keys_in(served.key)
        with pytest.raises(NotProven):
            await client.resolve(b"0.NA/88.100", certified=True)

    served.does(work)


def test_who_proves_nothing_or_the_wrong_thing_is_refused(served: Served) -> None:
    async def create(client: Client) -> None:
        await client.create(b"88.100/REFUSED", RECORD)

    async def read(client: Client) -> None:
        await client.resolve(b"0.NA/88.100", restricted=True)

    wrong = Identity(Reference(301, b"0.NA/88.100"), secret=b"wrong")
    stranger = Identity(Reference(300, b"0.NA/88.999"), private_key=served.rsa.private_key)
    for work in (create, read):
        for identity, code in ((None, 402), (wrong, 403), (stranger, 400)):
            for mode in (None, Mode.DH):
                with pytest.raises(Denied) as refused:
                    served.does(work, identity=identity, mode=mode)
                assert refused.value.code == code


def test_a_session_that_the_node_forgot_is_opened_again(served: Served) -> None:
    async def work(client: Client) -> tuple[int, int]:
        await client.resolve(b"0.NA/88.100", restricted=True)
        first = client.calls.session
        assert first is not None
        await client.calls.end_session()
        client.calls.session = first  # As if only the node had ended it.
        await client.resolve(b"0.NA/88.100", restricted=True)
        second = client.calls.session
        assert second is not None
        return first.id, second.id

    first, second = served.does(work, identity=served.rsa, mode=Mode.DH)
    assert first != second


# The command line


def test_the_command_line_does_the_same(served: Served) -> None:
    name = "88.100/CLI"
    made = served.cli("handle", "create", name, "URL=https://example.org/", "9:PRICE=17")
    assert json.loads(made.stdout)["result"] == "created", made.stderr
    assert served.cli("handle", "create", name, "URL=x").returncode == 7
    kept = served.cli("handle", "create", name, "URL=x", "--if-exists", "keep")
    assert json.loads(kept.stdout)["result"] == "kept"
    assert served.cli("handle", "add", name, "5:DESC=wrench").returncode == 0
    assert served.cli("handle", "add", name, "5:DESC=wrench").returncode == 7
    assert served.cli("handle", "modify", name, "5:DESC=spanner").returncode == 0
    assert served.cli("handle", "modify", name, "6:DESC=spanner").returncode == 3
    assert served.cli("handle", "set-value", name, "9", "PRICE", "18", "--permissions", "1100").returncode == 0
    assert served.cli("handle", "set-value", name, "9", "PRICE", "19").returncode == 0  # Permissions are kept.
    assert served.cli("handle", "set-value", name, "10", "NOTE", "new").returncode == 0
    public = json.loads(served.cli("handle", "get", name, auth=False).stdout)
    assert [value["index"] for value in public["values"]] == [1, 5, 10, 100]
    every = json.loads(served.cli("handle", "get", name).stdout)
    assert {value["index"]: value["data"]["value"] for value in every["values"]}[9] == "19"
    assert served.cli("handle", "remove", name, "10").returncode == 0
    assert name in json.loads(served.cli("handle", "list", "88.100").stdout)["handles"]
    assert json.loads(served.cli("handle", "list", "88.100/C").stdout)["handles"] == [name]
    read = served.cli("resolve", name, "--index", "9", "--session")
    assert json.loads(read.stdout)["values"][0]["data"]["value"] == "19"
    signed = served.cli("resolve", name, "--certified", "--server-key", served.server_key, auth=False)
    assert json.loads(signed.stdout)["handle"] == name
    wrong = served.cli("resolve", name, "--certified", "--server-key", served.key, auth=False)
    assert (wrong.returncode, "not to be believed" in wrong.stderr) == (4, True)
    assert served.cli("handle", "delete", name).returncode == 0
    assert served.cli("handle", "delete", name).returncode == 3
    assert served.cli("resolve", name, "--certified", "--server-key", served.server_key, auth=False).returncode == 3


def test_the_command_line_homes_prefixes(served: Served) -> None:
    assert served.cli("prefix", "home", "88.400").returncode == 0
    homed = json.loads(served.cli("prefix", "list").stdout)
    assert [row["prefix"] for row in homed] == ["88.100", "88.400"]
    assert served.cli("prefix", "unhome", "88.400").returncode == 0
    assert served.cli("prefix", "home", "88.400", auth=False).returncode == 4


@pytest.mark.parametrize("mode", [mode.value for mode in Mode])
def test_a_session_is_checked_and_its_facts_are_told(served: Served, mode: str) -> None:
    told = served.cli("session", "check", "--mode", mode, "--server-key", served.server_key, "--encrypted")
    assert told.returncode == 0, told.stderr
    facts = json.loads(told.stdout)
    assert (facts["mode"], facts["cipher"], facts["version"]) == (mode, "AES", "2.11")
    assert facts["authenticated"]
    assert facts["signed_setup"]
    assert facts["id"] > 0
    nobody = served.cli("session", "check", auth=False)
    assert json.loads(nobody.stdout)["authenticated"] is False


def test_tls_is_checked_as_it_is_told(served: Served) -> None:
    place = f"127.0.0.1:{served.tls_port}"
    ask = ("resolve", "0.NA/88.100", "--at", place, "--tls")
    assert served.node.cli(*ask, "--server-key", served.server_key).returncode == 0
    assert served.node.cli(*ask, "--insecure").returncode == 0
    refused = served.node.cli(*ask, "--server-key", served.key)
    assert (refused.returncode, "another key" in refused.stderr) == (5, True)
    unknown = served.node.cli(*ask)
    assert (unknown.returncode, "certificate" in unknown.stderr) == (5, True)


BATCH = """\
AUTHENTICATE SECKEY:301:0.NA/88.100
{word}
CREATE 88.100/BATCH-1
1 URL 86400 1110 UTF8 https://example.org/
100 HS_ADMIN 86400 1110 ADMIN 300:111111111111:0.NA/88.100
101 HS_ADMIN 86400 1110 ADMIN 301:111111111111:0.NA/88.100

CREATE 88.100/BATCH-1
1 URL 86400 1110 UTF8 https://example.org/

ADD 88.100/BATCH-1
5 DESC 86400 1110 UTF8 冲击扳手

MODIFY 88.100/BATCH-1
5 DESC 86400 1110 UTF8 锂电池冲击扳手

REMOVE 1:88.100/BATCH-1
AUTHENTICATE PUBKEY:300:0.NA/88.100
{key}
SESSIONSETUP
USESESSION:1
OPTIONS:111
TIMEOUT:24

HOME 127.0.0.1:{port}:TCP
0.NA/88.500

UNHOME 127.0.0.1:{port}:TCP
0.NA/88.500

{deletes}
"""


@pytest.mark.parametrize("parallel", ["1", "16"])
@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
def test_a_batch_file_is_run(served: Served, tmp_path: Path, parallel: str, encoding: str) -> None:
    names = [f"88.100/MANY-{number}" for number in range(40)]
    value = f"1 URL 86400 1110 UTF8 x\n100 HS_ADMIN 86400 1110 ADMIN 300:{'1' * 12}:0.NA/88.100\n\n"
    many = "".join(f"CREATE {name}\n{value}" for name in names) + "".join(f"DELETE {name}\n" for name in names)
    text = BATCH.format(word=WORD, key=served.key, port=served.node.port, deletes=many + "DELETE 88.100/BATCH-1")
    file, log = tmp_path / "batch.txt", tmp_path / "batch.log"
    file.write_text(text, encoding=encoding)
    ended = served.cli("batch", file, "--log", log, "--parallel", parallel, auth=False)
    lines = log.read_text().splitlines()
    assert ended.returncode == 6, ended.stderr + log.read_text()
    failed = [line for line in lines if "FAILURE" in line]
    assert failed == ["==>FAILURE[8]: create:88.100/BATCH-1: 101 handle already exists"]
    assert lines.count("==>SUCCESS[11]: add:88.100/BATCH-1") == 1
    assert lines[-1] == "total: 87 succeeded, 1 failed"
    assert served.cli("handle", "get", "88.100/BATCH-1").returncode == 3


def test_errors_of_a_server_are_told_with_their_codes(served: Served) -> None:
    nobody = served.cli("handle", "create", "88.100/X", "URL=x", auth=False)
    assert nobody.returncode == 4
    assert "402 authentication needed" in nobody.stderr
    assert "--auth" in nobody.stderr
    elsewhere = served.cli("handle", "create", "99.1/X", "URL=x")
    assert "301" in elsewhere.stderr
    assert elsewhere.returncode == 3


def test_refused_by_name(served: Served) -> None:
    async def work(client: Client) -> None:
        await client.home(b"88.100/NO-PREFIX")

    with pytest.raises(Refused) as refused:
        served.does(work, identity=served.rsa)
    assert refused.value.code == 102
