"""A root of a network for tests: its signed records, the folder that tells them, and a world that answers questions."""

from collections.abc import Callable, Mapping
from pathlib import Path

from protocol.codes import CERTIFY, ResponseCode
from protocol.identifier import prefix_folded
from protocol.responses import ErrorResponse, ResolutionResponse
from protocol.site import PRIMARY, Interface, Server, Site, address_octets
from protocol.trust.keys import PrivateKey, public_key_octets, public_of
from protocol.value import HandleValue
from resolver.bootstrap.files import write_root_file
from resolver.bootstrap.root_data import RootData
from resolver.walk.events import Ended, Query
from tests.support.signing import (
    NOW,
    OTHER_KEY,
    ROOT,
    ROOT_KEY,
    cert_value,
    certificate,
    record_signature,
    signature_value,
)

NOW_MS = NOW * 1000
DAY_MS = 86_400_000
Records = dict[bytes, tuple[HandleValue, ...]]


def site(host: str = "192.0.2.1", port: int = 2641, *, serial: int = 1, key: PrivateKey = OTHER_KEY) -> Site:
    """A primary site of one server with UDP and TCP."""
    server = Server(
        id=1,
        address=address_octets(host),
        public_key=public_key_octets(public_of(key)),
        interfaces=(Interface(3, 1, port), Interface(2, 0, port)),
    )
    return Site(serial=serial, flags=PRIMARY, servers=(server,))


def site_value(index: int, of: Site, kind: bytes = b"HS_SITE") -> HandleValue:
    """A value with a site record."""
    return HandleValue(index=index, type=kind, data=of.to_bytes())


def service_value(index: int, handle: bytes, kind: bytes = b"HS_SERV") -> HandleValue:
    """A value that names a service handle."""
    return HandleValue(index=index, type=kind, data=handle)


def key_value(index: int, key: PrivateKey) -> HandleValue:
    """An HS_PUBKEY value of the public half."""
    return HandleValue(index=index, type=b"HS_PUBKEY", data=public_key_octets(public_of(key)))


def signed(
    handle: bytes,
    *values: HandleValue,
    key: PrivateKey = ROOT_KEY,
    issuer: bytes = ROOT,
    issued_at: int | None = NOW,
) -> Records:
    """A record whose last value signs the others."""
    token = record_signature(tuple(values), issuer, key, handle=handle, issued_at=issued_at)
    return {handle: (*values, signature_value(401, token))}


def trust_record(*more: HandleValue, key: PrivateKey = ROOT_KEY) -> Records:
    """`0.0/0.0`: the root's key, the certificate that it gives itself, and what else is said."""
    itself = cert_value(400, certificate(ROOT, key, issuer=ROOT, issuer_key=key))
    return signed(b"0.0/0.0", key_value(301, key), itself, *more, key=key)


def root_records(*root: HandleValue) -> Records:
    """The trust root, `0.NA/0.NA` with these values (a site where none are given)."""
    return trust_record() | signed(b"0.NA/0.NA", *(root or (site_value(1, site()),)))


def root_data(records: Mapping[bytes, tuple[HandleValue, ...]] | None = None, *, updated_ms: int = NOW_MS) -> RootData:
    """The root's data of these records."""
    return RootData.of(updated_ms, dict(records or root_records()))


def root_folder(folder: Path, data: RootData | None = None) -> Path:
    """A folder with `bootstrap_handles`."""
    folder.mkdir(exist_ok=True)
    write_root_file(folder, data or root_data())
    return folder


class Telling:
    """A world that knows these records and tells them as their servers would; `asked` are the questions it heard.

    `silent` handles give no answer; `uncertified` ones come without a signature of their server.
    """

    def __init__(self, records: Mapping[bytes, tuple[HandleValue, ...]], *, silent: set[bytes] | None = None) -> None:
        self.records = {prefix_folded(handle): values for handle, values in records.items()}
        self.silent = silent or set()
        self.uncertified: set[bytes] = set()
        self.silent_if: Callable[[Query], bool] = lambda query: False
        self.asked: list[Query] = []

    async def ended(self, query: Query) -> Ended:
        """How the question ends."""
        self.asked.append(query)
        handle = prefix_folded(query.handle)
        if handle in self.silent or self.silent_if(query):
            return Ended(code=ResponseCode.ERROR, body=ErrorResponse(message=b"silence"), is_failure=True)
        values = self.records.get(handle)
        if values is None:
            return Ended(code=ResponseCode.HANDLE_NOT_FOUND, body=ErrorResponse())
        proven = bool(query.flags & CERTIFY) and query.certify and handle not in self.uncertified
        body = ResolutionResponse(handle=query.handle, values=values)
        return Ended(code=ResponseCode.SUCCESS, body=body, is_certified=proven)

    def handles(self) -> list[bytes]:
        """The handles that were asked for, in order."""
        return [query.handle for query in self.asked]
