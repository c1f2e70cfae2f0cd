"""The playground's parts: its data, its plan, what it builds, and its processes that never outlive it."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from admin.errors import Failure
from admin.local_store import open_store
from admin.playground.building import Built, build
from admin.playground.goods import AUTO, FREIGHT, LIQUOR, MACHINES, PART, PHARMA, STOCK, check_digit, items
from admin.playground.plan import DELEGATIONS, SEATS, children_of, keeper_of, parent_of
from admin.playground.processes import RunningNode
from admin.playground.running import Playground, playing
from admin.playground.session import tour
from admin.playground.texts import TEXTS
from admin.playground.tour import STEPS, Missed, Tour
from admin.setup.initialise import initialise
from admin.setup.sample import sample_folder
from protocol.value import HandleValue, read_values
from protocol.wire import Reader
from resolver.config_loading import load_config
from resolver.identity import read_identity

SETS = (AUTO, MACHINES, PHARMA, FREIGHT)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(tmp_path_factory.mktemp("playground") / "here")


def record(built: Built, name: str, handle: str) -> tuple[HandleValue, ...]:
    with open_store(load_config(built.nodes[name].config, {}).config, read_only=True) as store, store.view() as view:
        found = view.get(handle.encode())
    assert found is not None, handle
    return read_values(Reader(found.values))


def site(built: Built, name: str) -> bytes:
    with open_store(load_config(built.nodes[name].config, {}).config, read_only=True) as store, store.view() as view:
        identity = read_identity(view)
    assert identity is not None
    return identity.site


def test_the_data_are_the_same_every_time() -> None:
    assert items() == items()
    assert len({item.handle for item in items()}) == len(items())
    assert {item.prefix for item in items()} == set(SETS)


def test_every_reference_leads_to_a_record() -> None:
    liquor = {
        line.partition(",")[0] for path in sample_folder().glob("*.csv") for line in path.read_text().splitlines()
    }
    known = liquor | {item.handle for item in items()}
    named = [text for item in items() for kind, text in item.rows if text.startswith("88.") and "/" in text]
    assert len(named) > 100
    assert [text for text in named if text not in known] == []
    assert {text.partition("/")[0] for text in named} == {*SETS, LIQUOR}


@pytest.mark.parametrize(("body", "digit"), [("629104150021", "3"), ("400638133393", "1"), ("978020137962", "4")])
def test_the_last_digit_of_a_gtin(body: str, digit: str) -> None:
    assert check_digit(body) == digit


def test_the_texts_name_every_node_and_step() -> None:
    assert {f"seat.{seat.name}" for seat in SEATS} == {key for key in TEXTS if key.startswith("seat.")}
    assert {f"step.{key}" for key, _ in STEPS} == {key for key in TEXTS if key.startswith("step.")}


def test_the_map_hangs_every_node_once_under_who_delegates_to_it() -> None:
    assert [parent_of(name) for name in ("national", "secondary-a", "mirror-a", "auto-parts", "pharma")] == [
        "root",
        "national",
        "secondary-a",
        "secondary-a",
        "secondary-b",
    ]
    below = [name for seat in SEATS for name in children_of(seat.name)]
    assert sorted(below + children_of("")) == sorted(seat.name for seat in SEATS)


def test_each_node_has_its_own_port_store_and_key(built: Built) -> None:
    assert built.records == len(items()) + 98
    configs = [load_config(node.config, {}).config for node in built.nodes.values()]
    assert len({config.udp.listen[0].port for config in configs}) == len(SEATS)
    assert len({config.node.server_key.read_bytes() for config in configs}) == len(SEATS)
    assert {config.udp.listen[0].host for config in configs} == {"127.0.0.1"}
    assert [config.node.role for config in configs] == [seat.role for seat in SEATS]


def test_delegations_tell_the_sites_as_the_nodes_have_them(built: Built) -> None:
    for delegation in DELEGATIONS:
        values = record(built, delegation.at, f"0.NA/{delegation.prefix}")
        sites = [site(built, name) for name in delegation.to]
        assert [value.data for value in values if value.type == b"HS_SITE"] == sites
        assert [value.data for value in values if value.type == b"HS_SITE.PREFIX"] == sites
        keeper = record(built, keeper_of(delegation.prefix), f"0.NA/{delegation.prefix}")
        assert [v.data for v in values if v.index == 300] == [v.data for v in keeper if v.index == 300]


def test_only_the_root_is_in_the_bootstrap_file(built: Built) -> None:
    found = json.loads((built.bootstrap / "bootstrap_handles").read_text())
    assert set(found["handles"]) == {"0.0/0.0", "0.NA/0.NA"}
    assert str(built.nodes["root"].port) in json.dumps(found)
    others = [node.port for name, node in built.nodes.items() if name != "root"]
    assert not [port for port in others if f'"port": {port}' in json.dumps(found)]


def test_made_again_by_hand_a_node_stays_what_it_is(built: Built) -> None:
    from admin.setup.initialise import Wish

    node = built.nodes["auto-parts"]
    before = record(built, "auto-parts", PART)
    made = initialise(Wish(folder=node.config.parent, prefixes=node.seat.homes), {}, now_s=1)
    assert not (made.config_is_new or made.key_is_new or made.store_is_new)
    assert record(built, "auto-parts", PART) == before


def test_records_that_change_often_are_remembered_for_a_second(built: Built) -> None:
    assert [value.ttl for value in record(built, "auto-parts", STOCK)] == [1, 1]
    assert {value.ttl for value in record(built, "auto-parts", PART)} == {3600}


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    with pytest.raises(Failure, match="is not empty"):
        build(tmp_path)
    assert list(tmp_path.iterdir()) == [precious]


@contextmanager
def one_node(tmp_path: Path) -> Iterator[RunningNode]:
    node = RunningNode(build(tmp_path / "p").nodes["auto-parts"])
    try:
        yield node
    finally:
        node.stop()


def answers(node: RunningNode) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.settimeout(0.3)
        try:
            sock.connect(("127.0.0.1", node.port))
            sock.sendall(b"\0" * 20)
            sock.recv(1)
        except OSError:
            return False
        return True


def group_lives(group: int) -> list[str]:
    """What still runs of a group of processes: one that nobody has waited for yet does not."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, of_group = status.read_text().rpartition(") ")[2].split()[:3]
        except OSError:
            continue
        if int(of_group) == group and state not in "ZX":
            found.append(status.parent.name)
    return found


def test_a_node_is_paused_killed_and_started_again(tmp_path: Path) -> None:
    with one_node(tmp_path) as node:
        node.start()
        node.wait()
        first = node.process_id
        assert answers(node)
        node.pause()
        assert node.is_paused
        assert not answers(node)
        node.resume()
        assert answers(node)
        node.kill()
        assert not group_lives(first)
        assert not answers(node)
        node.start()
        node.wait()
        assert answers(node)
        node.pause()
        assert node.stop() == 0, "a paused node ends tidily, too"
        assert node.process_id == 0


def test_a_playground_that_cannot_start_says_which_node_and_leaves_none_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []
    before = RunningNode.start

    def start(self: RunningNode) -> None:
        before(self)
        started.append(self.process_id)

    monkeypatch.setattr(RunningNode, "start", start)
    playground = build(tmp_path / "p")
    monkeypatch.setattr("admin.playground.running.build", lambda _: playground)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.bind(("127.0.0.1", playground.nodes["secondary-b"].port))
        sock.listen()
        with pytest.raises(Failure, match="the node secondary-b did not start"), playing(tmp_path / "p"):
            raise AssertionError("it started")
    assert len(started) == len(SEATS)
    assert not [process_id for process_id in started if group_lives(process_id)]


def test_a_step_that_sees_something_else_is_told_and_counted(built: Built, capsys: pytest.CaptureFixture[str]) -> None:
    def good(_: Tour) -> str:
        return "as it should be"

    def bad(_: Tour) -> str:
        raise Missed("something else")

    def broken(_: Tour) -> str:
        raise ConnectionRefusedError("nobody there")

    steps = [("miss", good), ("write", bad), ("stop", broken)]
    assert tour(Tour(Playground(built)), steps, "en") == 2
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["ok", "FAIL", "FAIL"]
    assert lines[1].endswith("something else")
    assert lines[2].endswith("nobody there")


def test_waiting_for_a_node_takes_no_processor_time_of_note(tmp_path: Path) -> None:
    with one_node(tmp_path) as node:
        node.start()
        began = time.process_time()
        node.wait()
        assert time.process_time() - began < 0.5
