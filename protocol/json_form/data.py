"""The data of one handle value in JSON: which format shows it, and the octets of each format. Knows no whole value.

Sources: spec, records: sections 3, 4 and 9.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from protocol.administrator import (
    ALL_PERMISSIONS,
    Administrator,
    permission_text,
    permissions_from_text,
    read_vlist,
    vlist_octets,
)
from protocol.errors import InvalidValue, Malformed
from protocol.json_form.fields import (
    U16_MAX,
    base64_octets,
    base64_text,
    bounded,
    hex_octets,
    integer,
    items,
    mapping,
    octets,
    shown,
    truth,
    wrong,
)
from protocol.json_form.keys import key_from_json, key_to_json
from protocol.json_form.sites import site_from_json, site_to_json
from protocol.limits import REFERENCE_COUNT_MAX
from protocol.site import Site
from protocol.trust.keys import public_key_octets, read_public_key
from protocol.value import Reference

# What makes data binary: deployed clients let 0x09 to 0x13 pass as text.
_CONTROLS: Final = re.compile(rb"[\x00-\x08\x14-\x1f]")

_ADMIN_PERMISSION_BITS: Final = 16
_A_REFERENCE: Final = 'an object with "handle" and "index"'
_DATA: Final = 'a string, or an object with "format" and "value"'


def data_to_json(kind: bytes, data: bytes, *, exact: bool = False) -> dict[str, object]:
    """The data of a value of that type as an object with format and value.

    With `exact`, a structured format is used only where `data_from_json` gives back every octet.
    """
    kind = kind.upper()
    structured = _STRUCTURED.get(kind)
    if structured is None and kind.startswith((b"HS_ADMIN.", b"HS_SITE.")):
        structured = _STRUCTURED[kind[: kind.index(b".")]]
    if structured is not None:
        form, read = structured
        try:
            found: dict[str, object] = {"format": form, "value": read(data)}
            if not exact or data_from_json(found) == data:
                return found
        except (Malformed, InvalidValue):
            pass  # What does not decode, or not back, is shown as any other data.
    try:
        if not _CONTROLS.search(data):
            return {"format": "string", "value": data.decode()}
    except UnicodeDecodeError:
        pass
    return {"format": "base64", "value": base64_text(data)}


def data_from_json(found: object) -> bytes:
    """The octets of a string, or of an object with format and value; the format may be spelled in any case."""
    if isinstance(found, str):
        return octets(found, "data")
    fields = mapping(found, "data", _DATA)
    form = fields.get("format")
    read = _FORMATS.get(form.lower()) if isinstance(form, str) else None
    if read is None:
        raise wrong("data.format", form, f"one of {', '.join(_FORMATS)}")
    return bounded(read(fields.get("value"), "data.value"), "data.value")


def references_to_json(references: Sequence[Reference]) -> list[dict[str, object]]:
    """A list of objects, each with handle and index."""
    return [{"handle": shown(reference.handle), "index": reference.index} for reference in references]


def references_from_json(found: object, place: str) -> tuple[Reference, ...]:
    """The references of such a list; an index may be a string of digits."""
    references = []
    for at, one in enumerate(items(found, place, REFERENCE_COUNT_MAX, f"a list, each {_A_REFERENCE}")):
        within = f"{place}[{at}]"
        fields = mapping(one, within, _A_REFERENCE)
        index = integer(fields.get("index"), f"{within}.index")
        references.append(Reference(index, octets(fields.get("handle"), f"{within}.handle")))
    return tuple(references)


def _admin_to_json(data: bytes) -> object:
    administrator = Administrator.from_bytes(data)
    found: dict[str, object] = {
        "handle": shown(administrator.handle),
        "index": administrator.index,
        "permissions": permission_text(administrator.permissions),
    }
    if administrator.legacy:
        found["legacyByteLength"] = True
    return found


def _admin_from_json(found: object, place: str) -> bytes:
    fields = mapping(found, place, 'an object with "handle", "index" and "permissions"')
    return Administrator(
        permissions=_admin_permissions(fields.get("permissions"), f"{place}.permissions"),
        handle=octets(fields.get("handle"), f"{place}.handle"),
        index=integer(fields.get("index"), f"{place}.index"),
        legacy=truth(fields.get("legacyByteLength"), f"{place}.legacyByteLength"),
    ).to_bytes()


def _admin_permissions(found: object, place: str) -> int:
    """`*` or true is all, false or absent none; else binary digits, their number, or a list that begins at bit 0."""
    if found is None or found is False:
        return 0
    if found is True or found == "*":
        return ALL_PERMISSIONS
    if isinstance(found, str):
        try:
            return permissions_from_text(found)
        except InvalidValue:
            pass
    elif isinstance(found, int):
        return integer(found, place, 0, U16_MAX)
    elif isinstance(found, list):
        bits = items(found, place, _ADMIN_PERMISSION_BITS)
        return sum(1 << at for at, bit in enumerate(bits) if _is_set(bit, f"{place}[{at}]"))
    raise wrong(place, found, 'twelve digits 0 or 1 as text, such as "011111110011", or "*"')


def _is_set(found: object, place: str) -> bool:
    return truth(found, place) if found is None or isinstance(found, bool) else integer(found, place, 0, 1) == 1


def _vlist_to_json(data: bytes) -> object:
    return references_to_json(read_vlist(data))


def _vlist_from_json(found: object, place: str) -> bytes:
    return vlist_octets(references_from_json(found, place))


def _site_to_json(data: bytes) -> object:
    return site_to_json(Site.from_bytes(data))


def _site_from_json(found: object, place: str) -> bytes:
    return site_from_json(found, place).to_bytes()


def _key_to_json(data: bytes) -> object:
    found = key_to_json(read_public_key(data))
    if found is None:
        raise Malformed("a key that JSON has no form for")
    return found


def _key_from_json(found: object, place: str) -> bytes:
    return public_key_octets(key_from_json(found, place))


_Shown = tuple[str, Callable[[bytes], object]]
_SITE: Final[_Shown] = ("site", _site_to_json)
_STRUCTURED: Final[Mapping[bytes, _Shown]] = MappingProxyType(
    {
        b"HS_ADMIN": ("admin", _admin_to_json),
        b"HS_VLIST": ("vlist", _vlist_to_json),
        b"HS_SITE": _SITE,
        b"HS_NA_DELEGATE": _SITE,
        b"HS_PUBKEY": ("key", _key_to_json),
    }
)
_FORMATS: Final[Mapping[str, Callable[[object, str], bytes]]] = MappingProxyType(
    {
        "string": octets,
        "base64": base64_octets,
        "hex": hex_octets,
        "admin": _admin_from_json,
        "vlist": _vlist_from_json,
        "site": _site_from_json,
        "key": _key_from_json,
    }
)
