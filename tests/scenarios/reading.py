"""A scenario file as a world: servers, what is known beforehand, the question. The format is told in `README.md`."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from protocol.codes import (
    DEFAULT_PERMISSIONS,
    DEFAULT_REQUEST_FLAGS,
    PUBLIC_READ,
    TTL_ABSOLUTE,
    TTL_RELATIVE,
    OpCode,
    ResponseCode,
)
from protocol.identifier import full
from protocol.requests import Body, ResolutionRequest, VerifyChallengeRequest
from protocol.responses import ReferralResponse
from protocol.site import MULTI_PRIMARY, PRIMARY, Server, Site
from protocol.trust.challenge import RequestDigest
from protocol.trust.keys import PrivateKey, from_pem
from protocol.value import HandleValue, Reference
from protocol.version import NEWEST, Version
from resolver.walk.events import Query, Way
from resolver.walk.world import World
from tests.scenarios.lies import DISTORTIONS, LIES
from tests.support.keys import captured_keys
from tests.walk.servers import NOW_S, PORT, SimServer, Temper, server_record

HERE = Path(__file__).parent
Table = Mapping[str, Any]


def files() -> list[Path]:
    """All scenario files, in the order of their names."""
    return sorted(HERE.glob("*.toml"))


@dataclass
class Scenario:
    """A file's content; `known` and `own` are what is remembered and kept before anybody asks."""

    table: Table
    servers: list[SimServer]
    world: World
    own: dict[bytes, tuple[HandleValue, ...]]
    sites: dict[str, Site]

    def query(self, table: Table) -> Query:
        handle = full(table["handle"].encode())
        opcode = OpCode[table.get("opcode", "RESOLUTION")]
        return Query(
            handle=handle,
            body=_body(opcode, table),
            opcode=opcode,
            flags=DEFAULT_REQUEST_FLAGS,
            recursion_count=table.get("recursion_count", 0),
            certify=table.get("certify", False),
            follow_aliases=table.get("aliases", False),
            primary_only=table.get("primary", False),
        )

    def values(self, texts: Sequence[Any]) -> tuple[HandleValue, ...]:
        return _values(texts, self.sites)


def _body(opcode: OpCode, table: Table) -> Body:
    handle = table["handle"].encode()
    if opcode == OpCode.VERIFY_CHALLENGE:
        return VerifyChallengeRequest(
            key=Reference(300, handle), nonce=b"n" * 16, digest=RequestDigest(3, bytes(32)), answer=b"a"
        )
    types = tuple([name.encode() for name in table.get("types", [])])
    return ResolutionRequest(handle=handle, indexes=tuple(table.get("indexes", [])), types=types)


def read(path: Path) -> Scenario:
    """The world of one file."""
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    servers: Table = table.get("servers", {})
    sites = {name: _site(name, servers, table.get("sites", {})) for name in _site_names(servers, table)}
    simulated = [_server(name, options, servers, sites) for name, options in servers.items()]
    own = {handle.encode(): _values(texts, sites) for handle, texts in table.get("kept_here", {}).items()}
    return Scenario(table, simulated, _world(table.get("world", {}), sites), own, sites)


def _site_names(servers: Table, table: Table) -> list[str]:
    lonely = [name for name, options in servers.items() if "site" not in options]
    return [*lonely, *table.get("sites", {})]


def _members(name: str, servers: Table) -> list[str]:
    return [one for one, options in servers.items() if options.get("site", one) == name]


def _site(name: str, servers: Table, sites: Table) -> Site:
    members = _members(name, servers)
    options = sites.get(name) or servers[name]
    flags = PRIMARY if options.get("primary", True) else 0
    return Site(
        protocol=_version(options.get("version")),
        serial=options.get("serial", 1),
        flags=flags | (MULTI_PRIMARY if options.get("multi_primary") else 0),
        hash_option=options.get("hash", 2),
        attributes=tuple([(key.encode(), text.encode()) for key, text in options.get("attributes", {}).items()]),
        servers=tuple([_record(servers[one], number) for number, one in enumerate(members, 1)]),
    )


def _record(options: Table, number: int) -> Server:
    found = server_record(
        options.get("told_at", options["at"]),
        port=options.get("port", PORT),
        udp=options.get("udp", True),
        tcp=options.get("tcp", True),
        public_key=captured_keys()[options["key"]][1] if "key" in options else b"",
        number=number,
    )
    if options.get("query_only"):
        return replace(found, interfaces=tuple([replace(one, services=2) for one in found.interfaces]))
    return found


def _server(name: str, options: Table, servers: Table, sites: Mapping[str, Site]) -> SimServer:
    site_name = options.get("site", name)
    key = options.get("signs_with", options.get("key"))
    return SimServer(
        name=name,
        address=options["at"],
        port=options.get("port", PORT),
        site=sites[site_name],
        number=_members(site_name, servers).index(name),
        homes=[handle.encode() for handle in options.get("homes", [])],
        records={handle.encode(): _values(texts, sites) for handle, texts in options.get("records", {}).items()},
        temper=_temper(options, sites),
        key=None if key is None else _private(key),
    )


def _private(name: str) -> PrivateKey:
    key = from_pem(captured_keys()[name][0])
    assert isinstance(key, PrivateKey)
    return key


def _temper(options: Table, sites: Mapping[str, Site]) -> Temper:
    silent = [Way(name) for name in options.get("silent", [])]
    refer = None
    if "refers" in options or "refers_to" in options:
        texts = options.get("refers")
        values = None if texts is None else _values(texts, sites)
        refer = ReferralResponse(handle=options.get("refers_to", "").encode(), values=values)
    code = options.get("says_only")
    return Temper(
        silent=frozenset(Way) if options.get("down") else frozenset(silent),
        latency_ms=options.get("latency_ms", 5),
        lost=options.get("lost", 0),
        big_lost=options.get("big_lost", False),
        code=None if code is None else ResponseCode[code],
        lie=LIES.get(options.get("lies", "")),
        distort=DISTORTIONS.get(options.get("lies", "")),
        answers_as=_version(options.get("answers_as")),
        serial=options.get("serial_now"),
        unsigned=options.get("unsigned", False),
        refer=refer,
        refer_code=ResponseCode[options.get("refers_by", "PREFIX_REFERRAL")],
    )


def _version(text: str | None) -> Version:
    if text is None:
        return NEWEST
    major, _, minor = text.partition(".")
    return Version(int(major), int(minor))


def _world(table: Table, sites: Mapping[str, Site]) -> World:
    def named(names: Sequence[str]) -> tuple[Site, ...]:
        return tuple([sites[name] for name in names])

    return World(
        root_sites=named(table.get("root", ["root"])),
        fixed={handle.encode(): named(names) for handle, names in table.get("fixed", {}).items()},
        caches=named(table.get("caches", [])),
        cached_prefixes=frozenset([name.encode() for name in table.get("cached_prefixes", [])]),
        namespace=table["namespace"].encode() if "namespace" in table else None,
        inside=table.get("inside", {}),
        keywords=frozenset([word.encode() for word in table.get("keywords", [])]),
        ours=frozenset([(address, PORT) for address in table.get("this_node", [])]),
    )


def _values(texts: Sequence[Any], sites: Mapping[str, Site]) -> tuple[HandleValue, ...]:
    return tuple([_value(number, text, sites) for number, text in enumerate(texts, 1)])


def _value(number: int, given: str | Table, sites: Mapping[str, Site]) -> HandleValue:
    """`"TYPE text"`, `"TYPE @site"`, or a table with `value` and what is unusual about it."""
    options: Table = {"value": given} if isinstance(given, str) else given
    type_, _, text = options["value"].partition(" ")
    data = sites[text[1:]].to_bytes() if text.startswith("@") else text.encode()
    expires = options.get("expires_s")
    return HandleValue(
        index=options.get("index", number),
        type=type_.encode(),
        data=data,
        ttl_type=TTL_RELATIVE if expires is None else TTL_ABSOLUTE,
        ttl=options.get("ttl_s", 86_400) if expires is None else NOW_S + expires,
        permissions=DEFAULT_PERMISSIONS & ~(PUBLIC_READ if options.get("private") else 0),
    )
