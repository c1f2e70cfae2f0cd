"""A node whose store has the records of a trust root and of a prefix, with key files: for commands about trust."""

from pathlib import Path
from typing import Any

from admin.errors import ExitCode
from protocol.trust.claims import Claims, SignedClaims
from protocol.trust.keys import PrivateKey, private_pem, public_key_octets, public_of, public_pem
from protocol.value import HandleValue, value_list
from storage.base import PutRecord
from storage.lmdb_store import LmdbStore
from tests.admin.local_nodes import LocalNode
from tests.support.command import Ended
from tests.support.signing import ADMIN_KEY, OTHER_KEY, ROOT_KEY

A1 = "88.100/A1"
ADMIN = "300:0.NA/88.100"
ROOT = "301:0.0/0.0"


def key_value(index: int, key: PrivateKey) -> HandleValue:
    """An HS_PUBKEY value of the public half."""
    return HandleValue(index=index, type=b"HS_PUBKEY", data=public_key_octets(public_of(key)))


class Signers:
    """A node with the records of a trust root and of a prefix, key files, and the commands with the usual options."""

    def __init__(self, folder: Path) -> None:
        self.node = LocalNode(folder)
        self.files = {}
        for name, key in {"root": ROOT_KEY, "admin": ADMIN_KEY, "other": OTHER_KEY}.items():
            self.files[name] = folder / f"{name}.pem"
            self.files[name].write_bytes(private_pem(key))
            (folder / f"{name}.pub.pem").write_bytes(public_pem(public_of(key)))
        self.folder = folder
        self.put(b"0.0/0.0", key_value(301, ROOT_KEY))
        self.put(b"0.NA/88.100", key_value(300, ADMIN_KEY))
        self.node.run("handle", "create", A1, "URL=https://example.com/", "DESC=wrench", "--no-admin")

    # Writes as no command does: whole records, whatever they hold.
    def put(self, handle: bytes, *values: HandleValue) -> None:
        store = LmdbStore.open(self.folder / "store")
        try:
            store.apply([PutRecord(handle, value_list(values))], now_ms=1)
        finally:
            store.close()

    def sign(self, *more: object, handle: str = A1, key: str = "admin", signer: str = ADMIN) -> Ended:
        return self.node.run("handle", "sign", handle, "--key", self.files[key], "--signer", signer, *more)

    def certify(self, subject: str = ADMIN, *more: object, key: str = "root", signer: str = ROOT) -> Ended:
        options = more if "--perm" in more else ("--perm", "everything", *more)
        return self.node.run("handle", "certify", subject, "--key", self.files[key], "--signer", signer, *options)

    def trusted(self) -> "Signers":
        """With the certificates of root and prefix in place."""
        assert self.certify(ROOT).code == ExitCode.OK
        assert self.certify(ADMIN, "--perm", "thisHandle").code == ExitCode.OK
        return self

    def verify(self, *more: object, handle: str = A1) -> tuple[int, Any]:
        ended = self.node.run("handle", "verify", handle, *more, "-o", "json")
        return ended.code, ended.json

    def claims(self, index: int, handle: str = A1) -> Claims:
        values = self.node.values(handle.encode())
        assert values is not None
        return SignedClaims.read(next(value.data for value in values if value.index == index)).claims
