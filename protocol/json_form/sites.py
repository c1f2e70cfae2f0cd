"""HS_SITE in its JSON form: the `siteinfo.json` of a server and the format `site` of a value. Asks no name server.

Source: spec, records: section 5.4.
"""

import re
from typing import Final

from protocol.identifier import HASH_BY_HANDLE
from protocol.json_form.fields import U8_MAX, U16_MAX, described, integer, items, mapping, octets, shown, truth, wrong
from protocol.json_form.keys import key_data_from_json, key_data_to_json
from protocol.limits import SITE_ATTRIBUTE_COUNT_MAX, SITE_INTERFACE_COUNT_MAX, SITE_SERVER_COUNT_MAX
from protocol.site import (
    ADMIN_SERVICE,
    FORMAT_VERSION,
    MULTI_PRIMARY,
    PRIMARY,
    QUERY_SERVICE,
    Interface,
    Server,
    Site,
    Transport,
    address_octets,
)
from protocol.version import NEWEST, Version

_VERSION: Final = re.compile(r"([0-9]{1,3})\.([0-9]{1,3})")
_LEGACY_MARKS: Final = ("ServerList", "Address", "Port")  # One of them tells the old spelling: capital first letters.
_TRANSPORT_NAMES: Final = {transport.name: transport.value for transport in Transport}


def site_to_json(site: Site) -> dict[str, object]:
    """The site as an object, its keys in the order that deployed software writes.

    Unknown flag bits and service bits have no place in it, and text that is no UTF-8 shows U+FFFD.
    """
    found: dict[str, object] = {
        "version": site.format_version,
        "protocolVersion": str(site.protocol),
        "serialNumber": site.serial,
        "primarySite": site.is_primary,
        "multiPrimary": site.is_multi_primary,
    }
    if site.hash_option != HASH_BY_HANDLE:
        found["hashOption"] = site.hash_option
    if site.hash_filter:
        found["hashFilter"] = shown(site.hash_filter)
    found["attributes"] = [{"name": shown(name), "value": shown(value)} for name, value in site.attributes]
    found["servers"] = [_server_to_json(server) for server in site.servers]
    return found


def _server_to_json(server: Server) -> dict[str, object]:
    return {
        "serverId": server.id,
        "address": server.address_text,
        "publicKey": key_data_to_json(server.public_key),
        "interfaces": [
            {
                "query": interface.is_query,
                "admin": interface.is_admin,
                "protocol": _transport_name(interface.transport),
                "port": interface.port,
            }
            for interface in server.interfaces
        ],
    }


def _transport_name(number: int) -> str | int:
    return Transport(number).name if number in _TRANSPORT_NAMES.values() else number


def site_from_json(found: object, place: str = "site") -> Site:
    """The site of such an object, also in the old spelling; `InvalidValue` for anything else.

    Absent are: version 1, protocol 2.11, serial 0, not primary, hash by the whole handle, and empty lists.
    """
    fields = _fields(found, place)
    flags = PRIMARY if truth(fields.get("primarySite"), f"{place}.primarySite") else 0
    flags |= MULTI_PRIMARY if truth(fields.get("multiPrimary"), f"{place}.multiPrimary") else 0
    hash_filter = fields.get("hashFilter")
    servers = items(_either(fields, "servers", "serverList"), f"{place}.servers", SITE_SERVER_COUNT_MAX)
    return Site(
        format_version=_number(fields, "version", place, U16_MAX, FORMAT_VERSION),
        protocol=_version(fields.get("protocolVersion"), f"{place}.protocolVersion"),
        serial=_number(fields, "serialNumber", place, U16_MAX, 0),
        flags=flags,
        hash_option=_number(fields, "hashOption", place, U8_MAX, HASH_BY_HANDLE),
        hash_filter=b"" if hash_filter is None else octets(hash_filter, f"{place}.hashFilter"),
        attributes=_attributes(fields.get("attributes"), f"{place}.attributes"),
        servers=tuple([_server(server, f"{place}.servers[{at}]") for at, server in enumerate(servers)]),
    )


def _fields(found: object, place: str) -> dict[object, object]:
    """An object's fields, the old spelling turned into the new."""
    fields = mapping(found, place)
    if not any(mark in fields for mark in _LEGACY_MARKS):
        return fields
    return {name[:1].lower() + name[1:]: value for name, value in fields.items() if isinstance(name, str)}


def _either(fields: dict[object, object], name: str, old_name: str) -> object:
    found = fields.get(name)
    if found is None:
        found = fields.get(old_name)
    return [] if found is None else found


def _number(fields: dict[object, object], name: str, place: str, high: int, default: int) -> int:
    found = fields.get(name)
    return default if found is None else integer(found, f"{place}.{name}", 0, high)


def _version(found: object, place: str) -> Version:
    if found is None:
        return NEWEST
    parts = _VERSION.fullmatch(found) if isinstance(found, str) else None
    if parts is None:
        raise wrong(place, found, 'a version such as "2.11"')
    return Version(integer(parts[1], place, 0, U8_MAX), integer(parts[2], place, 0, U8_MAX))


def _attributes(found: object, place: str) -> tuple[tuple[bytes, bytes], ...]:
    """A list of objects with name and value, or one object: name to value, or to a list of values."""
    if found is None:
        return ()
    pairs: list[tuple[bytes, bytes]] = []
    if isinstance(found, dict):
        for name, value in found.items():
            key, within = octets(name, place), f"{place}[{described(name)}]"
            values = value if isinstance(value, list) else [value]
            pairs += [(key, octets(one, within, "a string or a list of strings")) for one in values]
        if len(pairs) > SITE_ATTRIBUTE_COUNT_MAX:
            raise wrong(place, pairs, f"at most {SITE_ATTRIBUTE_COUNT_MAX} attributes")
        return tuple(pairs)
    for at, one in enumerate(items(found, place, SITE_ATTRIBUTE_COUNT_MAX, "a list or an object")):
        within = f"{place}[{at}]"
        fields = mapping(one, within)
        name, value = (_either_case(fields, name) for name in ("name", "value"))
        pairs.append((octets(name, f"{within}.name"), octets(value, f"{within}.value")))
    return tuple(pairs)


def _either_case(fields: dict[object, object], name: str) -> object:
    return fields.get(name, fields.get(name.capitalize()))


def _server(found: object, place: str) -> Server:
    fields = _fields(found, place)
    address, key = fields.get("address"), fields.get("publicKey")
    try:
        packed = address_octets(octets(address, f"{place}.address", "an IP address").decode())
    except ValueError:
        raise wrong(f"{place}.address", address, "an IPv4 or IPv6 address (names are not looked up)") from None
    interfaces = items(_either(fields, "interfaces", "interfaceList"), f"{place}.interfaces", SITE_INTERFACE_COUNT_MAX)
    return Server(
        id=integer(fields.get("serverId"), f"{place}.serverId"),
        address=packed,
        public_key=b"" if key is None else key_data_from_json(key, f"{place}.publicKey"),
        interfaces=tuple([_interface(one, f"{place}.interfaces[{at}]") for at, one in enumerate(interfaces)]),
    )


def _interface(found: object, place: str) -> Interface:
    fields = _fields(found, place)
    services = ADMIN_SERVICE if truth(fields.get("admin"), f"{place}.admin") else 0
    services |= QUERY_SERVICE if truth(fields.get("query"), f"{place}.query") else 0
    transport = fields.get("protocol")
    number = _TRANSPORT_NAMES.get(transport.upper()) if isinstance(transport, str) else None
    if number is None:
        if not isinstance(transport, int):
            raise wrong(f"{place}.protocol", transport, f"one of {', '.join(_TRANSPORT_NAMES)}")
        number = integer(transport, f"{place}.protocol", 0, U8_MAX)
    return Interface(services, number, integer(fields.get("port"), f"{place}.port", 0, U16_MAX))
