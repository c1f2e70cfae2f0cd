"""A root of one's own: its records signed with its key, and the file that tells others of it. Prints nothing.

Source: spec, resolution: section 2.1; spec, records: section 8.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from admin.errors import ExitCode, Failure
from admin.importing.rows import RowLimits
from admin.signing_values import Certifying, Issuer, Signing, key_at
from protocol.administrator import ALL_PERMISSIONS, Administrator
from protocol.errors import Malformed
from protocol.identifier import ROOT_PREFIX_HANDLE, full, is_utf8, prefix_folded
from protocol.trust.chains import TRUST_ROOT, TrustRoot, Values, driven, is_of_type
from protocol.trust.claims import EVERYTHING, HS_CERT, Grant, SignedClaims, identity_text
from protocol.trust.keys import PrivateKey, public_key_octets, public_of
from protocol.trust.record_signatures import judged_record
from protocol.value import HandleValue, Reference, read_values, value_list
from protocol.wire import Reader
from resolver.authority import is_served
from resolver.bootstrap.root_data import RootData
from resolver.bootstrap.sites import services_of
from storage.base import HandleStore, Record, StoreView, UpdateRecord

TRUST_KEY: Final = Reference(301, TRUST_ROOT)
"""The key that ends every chain: its index is the one of the public root."""

KEY_FILE: Final = Path("keys") / "root.pem"
"""Where `hnode init --role root` puts its private half, in the configuration's folder."""

SERVICES_MAX: Final = 256  # Service handles of one root: the public one has about a dozen.
_ADMIN_INDEX: Final = 100
_ADMIN: Final = Reference(300, b"0.NA/0.0")


@dataclass(frozen=True, slots=True)
class RootState:
    """The root's handles in this store: those whose signatures hold, those that have none that holds, those missing."""

    good: tuple[bytes, ...]
    bad: tuple[bytes, ...]
    missing: tuple[bytes, ...]


def expect_root(view: StoreView) -> None:
    """A `Failure` where this node keeps no root."""
    if not is_served(b"0.NA/0", view.homed()) or not is_served(TRUST_ROOT, view.homed()):
        why = "neither 0.NA/0.NA nor 0.0/0.0 is homed here: the root is another node"
        raise Failure("this node is no root", why, "hnode init DIR --role root", code=ExitCode.NOT_FOUND)


def root_state(view: StoreView, *, now_s: float) -> RootState:
    """How it stands with the records that others must know: the root's own and the services that it names."""
    root = TrustRoot.of_values(values_of(view, TRUST_ROOT) or ())
    good: list[bytes] = []
    bad: list[bytes] = []
    missing: list[bytes] = []
    for handle in root_handles(view):
        values = values_of(view, handle)
        if values is None:
            missing.append(handle)
            continue
        public = tuple([value for value in values if value.is_public])
        judged = driven(judged_record(handle, public, root, now=now_s), lambda asked: values_of(view, asked))
        (good if judged.is_good else bad).append(handle)
    return RootState(tuple(good), tuple(bad), tuple(missing))


def root_handles(view: StoreView) -> list[bytes]:
    """`0.0/0.0`, `0.NA/0.NA`, and the services that lead on from there, each once."""
    found = [TRUST_ROOT, ROOT_PREFIX_HANDLE]
    seen = {prefix_folded(handle) for handle in found}
    for handle in found:  # It grows while it is walked.
        for service in services_of(values_of(view, handle) or ()):
            name = full(service)
            if prefix_folded(name) not in seen and is_utf8(name) and len(found) < SERVICES_MAX:
                seen.add(prefix_folded(name))
                found.append(name)
    return found


def values_of(view: StoreView, handle: bytes) -> Values | None:
    """The stored values of a handle that anybody may have named."""
    if not handle or not is_utf8(handle):
        return None
    record = view.get(full(handle))
    return None if record is None else read_values(Reader(record.values))


def sign_root(store: HandleStore, key: PrivateKey, *, now_s: int, limits: RowLimits, who: str) -> tuple[bytes, ...]:
    """Sign what has no signature that holds; the handles that were signed now. Missing services stay missing.

    `0.0/0.0` is made where there is none. A `Failure` where it tells another key, a `HandleError` where a record
    cannot take a signature.
    """
    with store.view() as view:
        state = root_state(view, now_s=now_s)
    wanted = [*state.bad, *(handle for handle in state.missing if handle == TRUST_ROOT)]
    # The trust root first: what is signed by its key holds only with its certificate.
    wanted.sort(key=lambda handle: handle != TRUST_ROOT)
    issuer = Issuer(name=TRUST_KEY, key=key, now_s=now_s, days=0)
    changes = [UpdateRecord(handle, _decision(handle, issuer, limits), who) for handle in wanted]
    for outcome in store.apply(changes, now_ms=time.time_ns() // 1_000_000) if changes else ():
        if outcome.error is not None:
            raise outcome.error
    return tuple(wanted)


def _decision(handle: bytes, issuer: Issuer, limits: RowLimits) -> Callable[[Record | None], Record | None]:
    def decide(record: Record | None) -> Record | None:
        if handle == TRUST_ROOT:
            record = _certified(record, issuer, limits)
        return Signing(issuer=issuer, limits=limits).decide(record)

    return decide


def _certified(record: Record | None, issuer: Issuer, limits: RowLimits) -> Record:
    """The trust root's record with its key and the certificate that this key gives itself."""
    record = record or Record(TRUST_ROOT, _fresh(issuer))
    values = read_values(Reader(record.values))
    told = key_at(values, TRUST_KEY.index)
    if told != public_of(issuer.key):
        why = "it is not the key that 0.0/0.0 tells at 301: nobody would believe what it signs"
        raise Failure("that is not the root's key", why, "--key keys/root.pem", code=ExitCode.DENIED)
    if any(is_of_type(value, HS_CERT) and _is_about_itself(value) for value in values):
        return record
    grants = (Grant(EVERYTHING),)
    return Certifying(issuer=issuer, limits=limits, subject=TRUST_KEY, public_key=None, grants=grants).decide(record)


def _is_about_itself(value: HandleValue) -> bool:
    try:
        claims = SignedClaims.read(value.data).claims
    except Malformed:
        return False
    return claims.issuer == claims.subject == identity_text(TRUST_KEY)


def _fresh(issuer: Issuer) -> bytes:
    admin = Administrator(ALL_PERMISSIONS, _ADMIN.handle, _ADMIN.index).to_bytes()
    rows = (
        (_ADMIN_INDEX, b"HS_ADMIN", admin),
        (TRUST_KEY.index, b"HS_PUBKEY", public_key_octets(public_of(issuer.key))),
    )
    return value_list([HandleValue(index=i, type=kind, data=data, timestamp=issuer.now_s) for i, kind, data in rows])


def root_data(view: StoreView, *, now_ms: int) -> RootData:
    """What others are told of this root: the public values of its handles that are here."""
    found = {}
    for handle in root_handles(view):
        values = values_of(view, handle)
        if values is not None:
            found[handle] = tuple([value for value in values if value.is_public])
    return RootData.of(now_ms, found)
