"""A root, an enterprise and a recursive node as processes: found, remembered, shared, forgotten, given in the dark."""

import json
import re
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from protocol.codec import Message, read_response
from protocol.codes import DEFAULT_REQUEST_FLAGS, OpCode, ResponseCode
from protocol.identifier import PLACEHOLDER
from protocol.requests import HandleRequest, ResolutionRequest
from protocol.responses import ResolutionResponse, SiteResponse
from protocol.site import Site
from protocol.value import HandleValue, value_list
from resolver.bootstrap.files import write_root_file
from resolver.bootstrap.root_data import RootData
from resolver.client import question
from storage.base import HomePrefix, PutRecord
from storage.lmdb_store import LmdbStore
from tests.support.running import RunningNode, tcp, udp

URL = HandleValue(index=1, type=b"URL", data=b"https://example.org/1", ttl=600)
POPULAR = HandleValue(index=1, type=b"URL", data=b"https://example.org/popular", ttl=5)
SHORT = HandleValue(index=1, type=b"URL", data=b"https://example.org/short", ttl=1)
RECURSIVE = {"HNODE_NODE__ROLE": "recursive", "HNODE_RECURSION__TIMEOUT": "3s"}


def site_of(node: RunningNode) -> Site:
    """What a running node says it is."""
    asked = question(HandleRequest(handle=PLACEHOLDER), opcode=OpCode.GET_SITE_INFO, now_s=int(time.time()))
    _, body = read_response(Message.read(tcp(node.port, asked.to_bytes())))
    assert isinstance(body, SiteResponse)
    return body.site


def put(node: RunningNode, *homed: bytes, **records: HandleValue) -> None:
    """Write records into a node's store, beside it; names are handles with `__` for a slash and `_` for a dot."""
    with LmdbStore.open(node.folder / "store") as store:
        homes = [HomePrefix(prefix) for prefix in homed]
        puts = [
            PutRecord(name.replace("__", "/").replace("_", ".").encode(), value_list([value]))
            for name, value in records.items()
        ]
        outcomes = store.apply([*homes, *puts], now_ms=time.time_ns() // 1_000_000)
        assert not any(outcome.error for outcome in outcomes)


def asked(node: RunningNode, handle: bytes, *, timeout_s: float = 5.0) -> tuple[HandleValue, ...] | int:
    """The values that a node answers with over UDP, or the code."""
    body = ResolutionRequest(handle=handle)
    request = question(body, opcode=OpCode.RESOLUTION, flags=DEFAULT_REQUEST_FLAGS, now_s=int(time.time()))
    replies = udp(node.port, request.to_bytes(), timeout_s=timeout_s)
    assert replies, "no answer"
    message = Message.read(replies[0])
    _, found = read_response(message)
    return found.values if isinstance(found, ResolutionResponse) else message.header.code


class Realm:
    """The root and the enterprise, and the folder that tells of the root."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.low = stack.enter_context(RunningNode(folder / "low", prefixes=["88.100"]))
        put(self.low, **{"88_100__x": URL, "88_100__short": SHORT, "88_100__popular": POPULAR})
        self.root = stack.enter_context(RunningNode(folder / "root", prefixes=["0.NA"]))
        delegation = HandleValue(index=1, type=b"HS_SITE", data=site_of(self.low).to_bytes(), ttl=600)
        put(self.root, **{"0_NA__88_100": delegation})
        self.bootstrap = folder / "bootstrap"
        self.bootstrap.mkdir()
        site = HandleValue(index=1, type=b"HS_SITE", data=site_of(self.root).to_bytes())
        write_root_file(self.bootstrap, RootData.of(time.time_ns() // 1_000_000, {b"0.NA/0.NA": (site,)}))

    def recursive(self, folder: Path, *, workers: int = 1, **more: str) -> RunningNode:
        """A node that recurses, not yet running."""
        env = RECURSIVE | {"HNODE_UPSTREAM__BOOTSTRAP_DIR": str(self.bootstrap)} | more
        return RunningNode(folder, prefixes=["88.7"], env=env, workers=workers)


@pytest.fixture(scope="module")
def realm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Realm]:
    with ExitStack() as stack:
        yield Realm(tmp_path_factory.mktemp("realm"), stack)


def stats(node: RunningNode) -> dict[str, int]:
    """What `hnode cache stats` prints."""
    time.sleep(0.45)  # Workers show their counts five times a second.
    found = node.cli("cache", "stats", "-o", "json")
    assert found.returncode in (0, 5), found.stderr
    read: dict[str, int] = json.loads(found.stdout)
    return read


def test_what_is_found_is_remembered_counted_shared_and_forgotten_by_order(realm: Realm, tmp_path: Path) -> None:
    with realm.recursive(tmp_path / "node", workers=2) as node:
        for _ in range(12):  # Each from another port, and so to either worker.
            assert asked(node, b"88.100/x") == (URL,)
            assert asked(node, b"88.100/none") == ResponseCode.HANDLE_NOT_FOUND
            time.sleep(0.02)
        found = stats(node)
        assert found["walks"] <= 4, "two questions, and two workers who may meet one before the other has told of it"
        assert found["cache_hits"] == 24 - found["walks"]
        assert found["shared_handles"] >= 3, "the two, and the prefix"
        flushed = node.cli("cache", "flush", "88.100/x", "-o", "json")
        assert json.loads(flushed.stdout) == {"forgotten": 1}
        assert stats(node)["shared_handles"] == found["shared_handles"] - 1
        assert asked(node, b"88.100/x") == (URL,)
        after = stats(node)
        assert after["walks"] == found["walks"] + 1
        assert node.cli("cache", "flush", "--all").returncode == 0
        empty = stats(node)
        assert (empty["shared_handles"], empty["cache_handles"]) == (0, 0)
        assert asked(node, b"88.100/x") == (URL,)


def test_answers_outlive_a_restart_and_the_world_above(tmp_path: Path) -> None:
    with ExitStack() as stack:
        realm = Realm(tmp_path, stack)
        node = realm.recursive(tmp_path / "node")
        with node:
            assert asked(node, b"88.100/x") == (URL,)
            assert asked(node, b"88.100/short") == (SHORT,)
            time.sleep(0.3)
        for gone in (realm.root, realm.low):
            gone.stop(signal.SIGTERM)
        node.log = b""  # Else its first start's line counts for the second.
        with node:
            assert asked(node, b"88.100/x") == (URL,), "remembered from before the restart"
            time.sleep(1.0)
            assert asked(node, b"88.100/short") == (SHORT,), "expired, and nobody can be asked"
            began = time.monotonic()
            assert asked(node, b"88.100/short") == (SHORT,)
            assert time.monotonic() - began < 0.5
            assert asked(node, b"88.100/never") == ResponseCode.ERROR
            found = stats(node)
            assert found["cache_stale"] >= 1
            assert found["walks_failed"] >= 1


def test_a_popular_answer_is_refreshed_before_it_expires(realm: Realm, tmp_path: Path) -> None:
    with realm.recursive(tmp_path / "node") as node:
        for _ in range(5):
            assert asked(node, b"88.100/popular") == (POPULAR,)
        time.sleep(POPULAR.ttl * 0.93)
        assert asked(node, b"88.100/popular") == (POPULAR,)
        found = stats(node)
        assert (found["cache_prefetches"], found["walks"]) == (1, 2)
        assert asked(node, b"88.100/popular") == (POPULAR,)
        assert stats(node)["walks"] == 2
        assert "fault" not in node.log.decode()


def test_only_networks_that_are_allowed_are_resolved_for(realm: Realm, tmp_path: Path) -> None:
    node = realm.recursive(tmp_path / "node", HNODE_RECURSION__ALLOW="192.0.2.0/24")
    with node:
        assert asked(node, b"88.100/x") == ResponseCode.SERVER_NOT_RESP
        assert stats(node)["walks"] == 0


def test_many_who_ask_the_same_at_once_cost_one_search(realm: Realm, tmp_path: Path) -> None:
    with realm.recursive(tmp_path / "node") as node:
        body = ResolutionRequest(handle=b"88.100/x")
        requests = [
            question(body, opcode=OpCode.RESOLUTION, now_s=int(time.time()), request_id=n).to_bytes()
            for n in range(1, 51)
        ]
        replies = udp(node.port, *requests, replies=50)
        assert len(replies) == 50
        assert len({reply[20:] for reply in replies}) == 1
        found = stats(node)
        assert found["walks"] == 1
        assert found["walks_joined"] + found["cache_hits"] == 49


def test_a_node_without_a_root_says_so_and_serves_what_it_keeps(tmp_path: Path) -> None:
    node = RunningNode(tmp_path / "node", prefixes=["88.7"], env=RECURSIVE)
    with node:
        put(node, **{"88_7__own": URL})
        assert asked(node, b"88.7/own") == (URL,)
        assert asked(node, b"88.100/x") == ResponseCode.SERVER_NOT_RESP
        assert node.stop() == 0
    assert "fault" not in node.log.decode()
    assert "no root is known" in node.log.decode()


def test_the_cache_of_a_node_that_never_ran_is_told_with_what_to_do(tmp_path: Path) -> None:
    node = RunningNode(tmp_path / "node")
    found = node.cli("cache", "stats")
    assert found.returncode == 5
    assert re.search("no node has run", found.stderr)
    assert re.search(r"next: .* serve", found.stderr)
    node.env["HNODE_CACHE__SHARED_SIZE"] = "0B"
    assert node.cli("cache", "flush").returncode == 78
    assert node.cli("cache", "flush", "88.1/x", "--all").returncode == 2


def test_doctor_warns_of_an_open_resolver_and_of_one_without_a_root(tmp_path: Path) -> None:
    node = RunningNode(tmp_path / "node", env=RECURSIVE | {"HNODE_RECURSION__ALLOW": "0.0.0.0/0,10.0.0.0/8"})
    shown = json.loads(node.cli("doctor", "-o", "json").stdout)
    (found,) = [row for row in shown["checks"] if row["check"] == "recursion"]
    assert found["level"] == "warn"
    assert "everybody (0.0.0.0/0)" in found["text"]
    assert "10.0.0.0/8" not in found["text"]
    assert "no root" in found["text"]
