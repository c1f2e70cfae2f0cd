"""What a configuration's keys demand of one another, across sections. Looks at values alone, never at the machine."""

import ipaddress
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from resolver.config_problems import Problem
from resolver.config_units import Endpoint, size_text

DEFAULT: Final = "default"
"""The origin of a value that nobody set."""

Sections = Mapping[str, Any]
"""Sections by name; those that are not valid by themselves are left out."""


def cross_problems(sections: Sections, origins: Mapping[str, str]) -> list[Problem]:
    """All contradictions between keys whose sections are valid."""
    found = []
    for needed, check in _CHECKS:
        if all(name in sections for name in needed):
            for key, text, hint, *others in check(sections):
                place = next((k for k in (key, *others) if _origin(k, origins) != DEFAULT), key)
                found.append(Problem(place, text, hint, _origin(place, origins)))
    return found


def _origin(key: str, origins: Mapping[str, str]) -> str:
    return origins.get(key.partition("[")[0], DEFAULT)


_Found = Iterator[tuple[str, ...]]
"""Key, text and hint, then the other keys that take part: what was set is told, not what stands by default."""


def _twice(sections: Sections, name: str) -> _Found:
    """An endpoint that stands twice in one list."""
    listen: tuple[Endpoint, ...] = sections[name].listen
    for position, endpoint in enumerate(listen):
        if endpoint in listen[:position]:
            yield f"{name}.listen[{position}]", f"{endpoint} stands there twice", "leave one out"


def _one_tcp_port_each(sections: Sections) -> _Found:
    """Two services of TCP at one port."""
    taken: list[tuple[str, Endpoint]] = []
    for name in ("tcp", "tls", "http", "admin"):
        for position, endpoint in enumerate(sections[name].listen):
            for other, stands in taken:
                if other != name and endpoint.overlaps(stands):
                    yield f"{name}.listen[{position}]", f"{endpoint} is taken by [{other}] listen", "use another port"
            taken.append((name, endpoint))


def _some_listener(sections: Sections) -> _Found:
    if not sections["udp"].listen and not sections["tcp"].listen:
        yield "udp.listen", "neither UDP nor TCP has a listener", 'listen = ["0.0.0.0:2641"]'


def _certificate_has_its_key(sections: Sections) -> _Found:
    tls = sections["tls"]
    if tls.cert and not tls.key:
        yield "tls.cert", "a certificate without its private key", 'name it: key = "keys/tls.key"', "tls.key"
    if tls.key and not tls.cert:
        yield "tls.key", "a private key without its certificate", 'name it: cert = "keys/tls.pem"', "tls.cert"


def _admin_is_private(sections: Sections) -> _Found:
    for position, endpoint in enumerate(sections["admin"].listen):
        address = ipaddress.ip_address(endpoint.host)
        if address.is_unspecified or not (address.is_private or address.is_loopback or address.is_link_local):
            said = f"{endpoint} would offer administration to everybody"
            yield f"admin.listen[{position}]", said, f"use a loopback or private address: 127.0.0.1:{endpoint.port}"


def _sizes_fit(sections: Sections) -> _Found:
    store = sections["store"]
    if store.map_size > store.map_size_max:
        said = f"map_size, {size_text(store.map_size)}, is more than map_size_max, {size_text(store.map_size_max)}"
        yield "store.map_size", said, "raise map_size_max or lower map_size", "store.map_size_max"


def _connections_fit(sections: Sections) -> _Found:
    tcp = sections["tcp"]
    if tcp.max_connections_per_source > tcp.max_connections:
        said = f"one source may have {tcp.max_connections_per_source} connections, all together {tcp.max_connections}"
        yield "tcp.max_connections_per_source", said, "lower max_connections_per_source", "tcp.max_connections"


def _values_fit(sections: Sections) -> _Found:
    limit, message = sections["limits"].value_bytes, sections["tcp"].max_message
    if limit > message:
        said = f"no answer of {size_text(message)}, [tcp] max_message, could carry a value of {size_text(limit)}"
        yield "limits.value_bytes", said, "lower [limits] value_bytes", "tcp.max_message"


def _mirror_is_whole(sections: Sections) -> _Found:
    """A mirror needs to know whom it copies, how to know it, and who itself is; a primary none of it."""
    found = sections["replication"]
    if found.role != "mirror":
        if found.source:
            yield "replication.source", "only a mirror copies another node", 'role = "mirror"', "replication.role"
        return
    needed = {"source": "192.0.2.1:2641", "key": "keys/replication.pem", "identity": "300:0.NA/88.100"}
    for name, example in needed.items():
        if not getattr(found, name):
            yield f"replication.{name}", f"a mirror needs {name}", f'{name} = "{example}"', "replication.role"
    if len(found.identity) > 1:
        said = f"a mirror is known as one key, not as {len(found.identity)}"
        yield "replication.identity", said, "leave one"
    if not found.source_site and not found.source_key:
        said = "a mirror that does not know its source's key would believe anybody"
        yield "replication.source_site", said, 'source_site = "source-siteinfo.bin"', "replication.role"
    if found.source_site and found.source_key:
        said = "the site record tells the source's key already"
        yield "replication.source_key", said, "leave source_key out", "replication.source_site"


def _upstream_is_whole(sections: Sections) -> _Found:
    """What is said of the parent and of who we are there must be enough to speak to it."""
    found = sections["upstream"]
    if found.parent_site and not found.parent:
        yield "upstream.parent_site", "a site record, and no server to hold it against", 'parent = "192.0.2.1:2641"'
    if bool(found.key) != bool(found.identity):
        missing, given = ("identity", "key") if found.key else ("key", "identity")
        example = {"identity": 'identity = "300:0.NA/88.100"', "key": 'key = "keys/88.100.admin.pem"'}[missing]
        yield f"upstream.{missing}", f"{given} alone does not prove who this node is", example, f"upstream.{given}"
    if len(found.identity) > 1:
        said = f"a node is known to its parent as one key, not as {len(found.identity)}"
        yield "upstream.identity", said, "leave one"


_CHECKS: Final[Sequence[tuple[tuple[str, ...], Callable[[Sections], _Found]]]] = (
    *(((name,), partial(_twice, name=name)) for name in ("udp", "tcp", "tls", "http", "admin")),
    (("udp", "tcp"), _some_listener),
    (("tcp", "tls", "http", "admin"), _one_tcp_port_each),
    (("tls",), _certificate_has_its_key),
    (("admin",), _admin_is_private),
    (("store",), _sizes_fit),
    (("tcp",), _connections_fit),
    (("limits", "tcp"), _values_fit),
    (("replication",), _mirror_is_whole),
    (("upstream",), _upstream_is_whole),
)
