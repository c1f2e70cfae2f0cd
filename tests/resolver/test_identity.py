"""Who a node is: the site that a configuration describes, and how identity and records follow it."""

from collections.abc import Sequence

import pytest

from protocol.errors import Malformed
from protocol.identifier import HASH_BY_HANDLE
from protocol.site import Site, Transport
from protocol.value import HandleValue, read_values, value_list
from protocol.version import Version
from protocol.wire import Reader
from resolver.config import Config
from resolver.config_units import Endpoint
from resolver.identity import (
    META_NAME,
    Identity,
    identity_change,
    new_identity,
    own_address,
    published_address,
    read_identity,
    refreshed,
    serial_after,
    site_of,
)
from storage.base import HandleStore, HomePrefix, PutRecord, SetMeta, StoreCorrupt
from storage.memory import MemoryStore

NOW_S = 1_700_000_000
KEY = b"the public key in wire form"


def config(
    udp: Sequence[str] = ("192.0.2.7:2641",), tcp: Sequence[str] = ("192.0.2.7:2641",), **node: object
) -> Config:
    return Config.model_validate({"udp": {"listen": udp}, "tcp": {"listen": tcp}, "node": node})


def test_the_site_is_one_primary_server_with_tcp_for_all_and_udp_for_queries() -> None:
    site = site_of(config(name="节点"), KEY, serial=7)
    assert site.is_primary
    assert not site.is_multi_primary
    assert (site.serial, site.protocol, site.hash_option) == (7, Version(2, 11), HASH_BY_HANDLE)
    assert site.attributes == ((b"desc", "节点".encode()),)
    (server,) = site.servers
    assert (server.id, server.address_text, server.public_key) == (1, "192.0.2.7", KEY)
    tcp, udp = server.interfaces
    assert (tcp.transport, tcp.port, tcp.is_admin, tcp.is_query) == (Transport.TCP, 2641, True, True)
    assert (udp.transport, udp.port, udp.is_admin, udp.is_query) == (Transport.UDP, 2641, False, True)
    assert Site.from_bytes(site.to_bytes()) == site


def test_administration_over_udp_is_told_where_it_is_allowed() -> None:
    allowed = Config.model_validate({"udp": {"listen": ["192.0.2.7:2641"], "admin": True}, "tcp": {"listen": []}})
    (udp,) = site_of(allowed, KEY, serial=1).servers[0].interfaces
    assert (udp.transport, udp.is_admin) == (Transport.UDP, True)


def test_only_listeners_that_exist_are_told_and_each_with_its_first_port() -> None:
    found = site_of(config(udp=(), tcp=("192.0.2.7:5", "192.0.2.8:6")), KEY, serial=1).servers[0]
    assert [(interface.transport, interface.port) for interface in found.interfaces] == [(Transport.TCP, 5)]


@pytest.mark.parametrize(
    ("listen", "address", "published"),
    [
        (["192.0.2.7:5"], "198.51.100.9", "198.51.100.9"),
        (["192.0.2.7:5"], "", "192.0.2.7"),
        (["127.0.0.1:5"], "", "127.0.0.1"),
        (["[2001:db8::7]:5"], "", "2001:db8::7"),
    ],
)
def test_the_published_address_is_the_configured_or_the_listeners(
    listen: list[str], address: str, published: str
) -> None:
    assert published_address(config(tcp=listen, address=address)) == published


def test_a_wildcard_is_published_as_an_address_of_this_machine() -> None:
    for listen in ("0.0.0.0:5", "[::]:5"):
        found = published_address(config(tcp=[listen]))
        assert not Endpoint.of(f"[{found}]:5" if ":" in found else f"{found}:5").is_wildcard
        assert found == own_address(Endpoint.of(listen))


def test_the_serial_rises_by_one_and_never_means_unknown() -> None:
    assert serial_after(1) == 2
    assert serial_after(0xFFFD) == 0xFFFE
    assert serial_after(0xFFFE) == 1


def test_a_kept_identity_is_read_as_it_was_written() -> None:
    store = MemoryStore()
    with store.view() as view:
        assert read_identity(view) is None
    identity = Identity("ab" * 16, b"site", KEY, NOW_S)
    store.apply([identity_change(identity)], now_ms=NOW_S * 1000)
    with store.view() as view:
        assert read_identity(view) == identity


@pytest.mark.parametrize("octets", [b"", b"\xc1", b"\x80", b"\x01", b"\x81\xa4site\xc4\x00"])
def test_an_identity_that_cannot_be_read_is_told_as_a_corrupt_store(octets: bytes) -> None:
    store = MemoryStore()
    store.apply([SetMeta(META_NAME, octets)], now_ms=0)
    with store.view() as view, pytest.raises(StoreCorrupt, match="identity"):
        read_identity(view)


def made(prefixes: Sequence[bytes] = (b"88.100",)) -> tuple[HandleStore, Identity]:
    """A store with an identity and, for each prefix, a record with its site, a foreign site and a URL."""
    store = MemoryStore()
    identity = new_identity(config(), KEY, now_s=NOW_S)
    changes: list[PutRecord | HomePrefix | SetMeta] = [identity_change(identity)]
    for prefix in prefixes:
        values = [
            HandleValue(index=1, type=b"HS_SITE", data=identity.site, timestamp=NOW_S),
            HandleValue(index=2, type=b"HS_SITE", data=b"another site", timestamp=NOW_S),
            HandleValue(index=3, type=b"URL", data=identity.site, timestamp=NOW_S),
        ]
        changes += [HomePrefix(b"0.NA/" + prefix), PutRecord(b"0.NA/" + prefix, value_list(values))]
    store.apply(changes, now_ms=NOW_S * 1000)
    return store, identity


def values_of(store: HandleStore, handle: bytes) -> tuple[HandleValue, ...]:
    with store.view() as view:
        record = view.get(handle)
    assert record is not None
    return read_values(Reader(record.values))


def last_number(store: HandleStore) -> int:
    with store.view() as view:
        return view.facts().last_number


def test_a_fresh_store_gets_an_identity_once() -> None:
    store = MemoryStore()
    first = refreshed(store, config(), KEY, now_s=NOW_S)
    assert Site.from_bytes(first.site) == site_of(config(), KEY, serial=1)
    assert len(first.node_id) == 32
    assert refreshed(store, config(), KEY, now_s=NOW_S + 9) == first


def test_an_unchanged_configuration_changes_nothing() -> None:
    store, identity = made()
    before = last_number(store)
    assert refreshed(store, config(), KEY, now_s=NOW_S + 9) == identity
    assert last_number(store) == before


@pytest.mark.parametrize("changed", ["port", "name", "key"])
def test_a_change_raises_the_serial_and_renews_just_the_values_that_said_the_old_site(changed: str) -> None:
    store, identity = made((b"88.100", b"88.200"))
    new = {"port": config(tcp=["192.0.2.7:9"]), "name": config(name="other"), "key": config()}[changed]
    key = b"another key" if changed == "key" else KEY
    renewed = refreshed(store, new, key, now_s=NOW_S + 9)
    assert renewed.site == site_of(new, key, serial=2).to_bytes()
    assert (renewed.node_id, renewed.created_s, renewed.public_key) == (identity.node_id, NOW_S, key)
    for handle in (b"0.NA/88.100", b"0.NA/88.200"):
        first, second, third = values_of(store, handle)
        assert (first.data, first.timestamp) == (renewed.site, NOW_S + 9)
        assert (second.data, second.timestamp) == (b"another site", NOW_S)
        assert third.data == identity.site
    with store.view() as view:
        assert read_identity(view) == renewed
    assert refreshed(store, new, key, now_s=NOW_S + 10) == renewed


def test_a_prefix_without_a_record_is_no_hindrance() -> None:
    store, _ = made()
    store.apply([HomePrefix(b"0.NA/88.300"), HomePrefix(b"0.NA/0.NA/88.300")], now_ms=NOW_S * 1000)
    renewed = refreshed(store, config(name="other"), KEY, now_s=NOW_S)
    assert values_of(store, b"0.NA/88.100")[0].data == renewed.site
    with store.view() as view:
        assert view.get(b"0.NA/88.300") is None


def test_a_kept_site_that_is_none_is_refused() -> None:
    store = MemoryStore()
    store.apply([identity_change(Identity("00" * 16, b"no site", KEY, NOW_S))], now_ms=0)
    with pytest.raises((Malformed, StoreCorrupt)):
        refreshed(store, config(), KEY, now_s=NOW_S)
