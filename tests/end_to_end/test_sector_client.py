"""Our client as software of the sector at a real node: an SM2 key proves who asks, opens sessions, and SM4 encrypts."""

import asyncio
from pathlib import Path

import pytest

from admin.identities import private_key_in
from protocol.administrator import ALL_PERMISSIONS, Administrator
from protocol.codes import PUBLIC_READ
from protocol.trust import gm
from protocol.trust.key_values import public_key_octets
from protocol.trust.session import SessionCipher
from protocol.value import HandleValue, Reference
from protocol.version import NEWEST, Version
from resolver.client import Server
from resolver.client_admin import Client
from resolver.client_calls import Calls
from resolver.client_exchange import Asking
from resolver.client_opening import Opening
from resolver.client_proof import Identity
from resolver.client_session import Mode
from tests.support.running import RunningNode
from tests.support.sm2 import OPENSSL

pytestmark = pytest.mark.skipif(not gm.is_installed(), reason="the optional extra gm is not installed")

PREFIX, NAME = b"0.NA/88.100", b"88.100/SM2"
HIDDEN = HandleValue(index=2, type=b"PRICE", data=b"17", permissions=0x0E & ~PUBLIC_READ)
ADMIN = Administrator(ALL_PERMISSIONS, PREFIX, 310).to_bytes()
SM2 = Identity(Reference(310, PREFIX), private_key=OPENSSL)


def client(port: int, identity: Identity, mode: Mode | None, *, is_sectors: bool) -> Client:
    version, suggested = (Version(2, 10), Version(2, 11)) if is_sectors else (NEWEST, NEWEST)
    opening = None if mode is None else Opening.by(mode, identity)
    asking = Asking(Server("127.0.0.1", port), version=version, suggested=suggested)
    calls = Calls(asking, identity=identity, opening=opening)
    return Client(calls, is_encrypted=mode is not None)


async def every_way(port: int, key: Path) -> list[tuple[Mode | None, int | None]]:
    owner = Identity(Reference(300, PREFIX), private_key=private_key_in(key))
    async with client(port, owner, None, is_sectors=False) as admin:
        public = HandleValue(index=310, type=b"HS_PUBKEY", data=public_key_octets(OPENSSL.public_key))
        await admin.add(PREFIX, [public, HandleValue(index=110, type=b"HS_ADMIN", data=ADMIN)])
    used: list[tuple[Mode | None, int | None]] = []
    for mode in (None, Mode.HANDLE_KEY, Mode.CLIENT_KEY):
        async with client(port, SM2, mode, is_sectors=True) as ours:
            await ours.create(NAME, [HIDDEN, HandleValue(index=100, type=b"HS_ADMIN", data=ADMIN)])
            found = await ours.resolve(NAME, restricted=True)
            assert [value.data for value in found.values][:1] == [b"17"]
            await ours.delete(NAME)
            session = ours.calls.session
            used.append((None, None) if session is None else (session.mode, session.key.algorithm))
    async with client(port, SM2, Mode.HANDLE_KEY, is_sectors=False) as plain:  # Offered no SM2: by Diffie-Hellman.
        session = await plain.calls.opened_session()
        used.append((session.mode, session.key.algorithm))
    return used


def test_an_sm2_key_administers_with_and_without_sessions_of_sm4(tmp_path: Path) -> None:
    node = RunningNode(tmp_path / "n")
    with node:
        used = asyncio.run(every_way(node.port, tmp_path / "n" / "keys" / "88.100.admin.pem"))
    assert used == [
        (None, None),
        (Mode.HANDLE_KEY, SessionCipher.SM4),
        (Mode.CLIENT_KEY, SessionCipher.SM4),
        (Mode.DH, SessionCipher.AES),
    ]
