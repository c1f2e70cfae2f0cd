"""Whether a record's signatures can be believed, for people and for programs. Opens no store.

Source: spec, records: section 8.
"""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from admin.errors import ExitCode, Failure
from admin.key_formats import read_key
from protocol.errors import HandleError
from protocol.json_form.keys import key_from_json
from protocol.trust.chains import JudgedLink, TrustRoot
from protocol.trust.claims import SignedClaims
from protocol.trust.record_signatures import JudgedSignature

_FILE_SIZE_MAX: Final = 1 << 20  # Octets of a file with trusted keys: the longest key has about 15,000.
_KEYS_MAX: Final = 64  # Trusted keys of one file: a root has one, two while it changes it.
_SHOWN_MAX: Final = 8  # Indexes that one sentence names.
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECONDS_MAX: Final = 253_402_300_799  # The last second of the year 9999.


def trust_root_in(path: Path) -> TrustRoot:
    """The keys of a key file (PEM, `.bin`, JWK) or of a JSON list of JWKs, trusted whoever is named as their owner."""
    with path.open("rb") as file:
        octets = file.read(_FILE_SIZE_MAX + 1)
    try:
        if len(octets) > _FILE_SIZE_MAX:
            raise ValueError(f"it is longer than {_FILE_SIZE_MAX:,} octets")
        if not octets.lstrip().startswith(b"["):
            return TrustRoot(frozenset([read_key(octets).public]), None)
        members = json.loads(octets)
        if not 0 < len(members) <= _KEYS_MAX:
            raise ValueError(f"a list of {len(members)} keys, 1 to {_KEYS_MAX} are expected")
        return TrustRoot(frozenset([key_from_json(found, "key") for found in members]), None)
    except (HandleError, ValueError, RecursionError) as error:
        then = f"hnode key show {path}"
        raise Failure(f"{path} holds no key to trust", str(error), then, code=ExitCode.USAGE) from error


def faults(found: JudgedSignature) -> list[str]:
    """What is wrong with a signature, one sentence each; none where it is good."""
    told = [found.fault] if found.fault else []
    if found.signed is None:
        return told
    if not found.is_about:
        told.append(f"it is about {_text(found.signed.claims.subject)}, another handle")
    if found.values is None:
        told.append("it signs no values")
    else:
        told += [f"{word}: {_numbers(at)}" for word, at in _differences(found) if at]
    if found.chain is not None:
        for link in found.chain.links:
            told += _link_faults(link)
        if not found.chain.is_rooted:
            end = found.chain.links[-1].link.signed.claims.subject
            told.append(f"the chain ends at {_text(end)}, whose key is not trusted")
    return told


def signature_to_json(found: JudgedSignature) -> dict[str, Any]:
    """One signature for a program: whether it is good, and all that was found."""
    told: dict[str, Any] = {"index": found.index, "good": found.is_good, "faults": faults(found)}
    if found.signed is not None:
        told |= _claims_to_json(found.signed)
    if found.values is not None:
        values = found.values
        told |= {"signed": list(values.same), "changed": list(values.changed), "missing": list(values.missing)}
    if found.chain is not None:
        told["trusted"] = found.is_trusted
        told["chain"] = [_link_to_json(link) for link in found.chain.links]
    return told


def lines(found: JudgedSignature) -> Iterator[str]:
    """One signature for a person: what it is in a line, and what is wrong in lines below."""
    claims = None if found.signed is None else found.signed.claims
    issuer = "" if claims is None else f" by {_text(claims.issuer)}"
    facts = []
    if found.values is not None and found.values.same:
        facts.append(f"signs {_numbers(found.values.same)}")
    if claims is not None:
        facts.append("without end" if claims.expires is None else f"until {time_text(claims.expires)}")
    if found.chain is not None:
        facts.append("chain " + " ← ".join(_text(link.link.signed.claims.issuer) for link in found.chain.links))
    yield f"{'good' if found.is_good else 'BAD'}  {found.index}{issuer}" + (f"  ({'; '.join(facts)})" if facts else "")
    for fault in faults(found):
        yield f"     {fault}"


def time_text(seconds: int) -> str:
    """ISO 8601; beyond what a calendar names, the number of seconds."""
    if not 0 <= seconds <= _SECONDS_MAX:
        return f"second {seconds}"
    return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _differences(found: JudgedSignature) -> list[tuple[str, Sequence[int]]]:
    assert found.values is not None
    assert found.signed is not None
    digests = found.signed.claims.digests
    changed = "changed" if digests is None or digests.is_known else f"digests by {digests.algorithm!r} prove nothing"
    return [(changed, found.values.changed), ("missing", found.values.missing)]


def _link_faults(judged: JudgedLink) -> list[str]:
    claims = judged.link.signed.claims
    issuer = _text(claims.issuer)
    told = []
    if not judged.is_signed:
        told.append(f"the signature is not by the certified key of {issuer}")
    if not judged.is_in_time:
        begin = "any time" if claims.not_before is None else time_text(claims.not_before)
        end = "any time" if claims.expires is None else time_text(claims.expires)
        told.append(f"what {issuer} signed about {_text(claims.subject)} holds from {begin} to {end}, not now")
    if not judged.is_authorised:
        told.append(f"{issuer} has no permission over this handle")
    return told


def _claims_to_json(signed: SignedClaims) -> dict[str, Any]:
    claims = signed.claims
    told: dict[str, Any] = {"algorithm": signed.token.algorithm, "issuer": _text(claims.issuer)}
    told["subject"] = _text(claims.subject)
    times = {"issuedAt": claims.issued_at, "notBefore": claims.not_before, "expires": claims.expires}
    return told | {name: time_text(at) for name, at in times.items() if at is not None}


def _link_to_json(judged: JudgedLink) -> dict[str, Any]:
    told = _claims_to_json(judged.link.signed)
    return told | {"signed": judged.is_signed, "inTime": judged.is_in_time, "permitted": judged.is_authorised}


def _numbers(indexes: Sequence[int]) -> str:
    shown = ", ".join(map(str, indexes[:_SHOWN_MAX]))
    return shown + (f" and {len(indexes) - _SHOWN_MAX} more" if len(indexes) > _SHOWN_MAX else "")


def _text(name: bytes | None) -> str:
    return "nobody" if name is None else name.decode(errors="replace")
