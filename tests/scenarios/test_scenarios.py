"""Every scenario file is walked through, and ends as it says."""

from pathlib import Path
from typing import Any

import pytest

from protocol.codes import ResponseCode
from protocol.requests import ResolutionRequest
from protocol.responses import ResolutionResponse
from protocol.value import HandleValue
from resolver.walk.events import Learnt, NoReply, Query, Step, Surroundings, Way
from resolver.walk.limits import Limits
from resolver.walk.round_trips import Measured
from tests.scenarios.reading import Scenario, Table, files, read
from tests.walk.net import STARTED_MS, Middle, Net, Walked
from tests.walk.remembering import Remembering

END_KEYS = {
    "code", "values", "handle", "told", "failure", "certified", "root_moved", "questions", "within_ms", "at_least_ms",
    "path", "learnt", "namespaces", "from", "not_asked", "versions",
}  # fmt: skip


def test_there_are_as_many_as_were_promised() -> None:
    assert len(files()) >= 40


@pytest.mark.parametrize("path", files(), ids=lambda path: path.stem)
def test_it_ends_as_the_file_says(path: Path) -> None:
    scenario = read(path)
    Told(scenario).all_questions()


class Told:
    """One file at work: a cache, round trips, and the questions one after the other."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.memory = Remembering(scenario.own)
        self.net = Net(scenario.servers)
        self.around = Surroundings(world=scenario.world, memory=self.memory, round_trips=Measured(), chance=Middle())
        self.now_ms = STARTED_MS
        for host, ms in scenario.table.get("round_trips_ms", {}).items():
            self.around.round_trips.took(host, ms)
        for known in scenario.table.get("remembered", []):
            self._remember(known)

    def _remember(self, known: Table) -> None:
        """What an earlier walk told, `age_s` ago."""
        values = self.scenario.values(known.get("values", []))
        one = Learnt(
            handle=known["handle"].encode(),
            indexes=(),
            types=tuple([name.encode() for name in known.get("types", [])]),
            code=ResponseCode[known.get("code", "SUCCESS")],
            values=values,
            is_certified=known.get("certified", False),
        )
        self.memory.learn([one], self.now_ms - 1000 * known.get("age_s", 1))

    def all_questions(self) -> None:
        table = self.scenario.table
        assert len(table["says"]) > 20
        self._one(table["ask"], table["end"])
        for later in table.get("then", []):
            self.now_ms += 1000 * later.get("after_s", 0)
            for server in self.net.servers:
                if server.name in later.get("down", []):
                    server.temper = type(server.temper)(silent=frozenset(Way))
            self._one(later.get("ask", table["ask"]), later["end"])

    def _one(self, ask: Table, end: Table) -> None:
        assert set(end) <= END_KEYS, set(end) - END_KEYS
        query = self.scenario.query(ask)
        remembered = self._remembered(query)
        if remembered is not None:
            assert end["from"] == "cache"
            assert self._texts(remembered) == end.get("values", [])
            return
        limits = Limits(**self.scenario.table.get("limits", {}))
        walked = self.net.walk(query, self.around, limits, now_ms=self.now_ms)
        self.now_ms += walked.took_ms
        self.memory.learn(walked.learnt, self.now_ms)
        self._expect_no_stranger(walked)
        stale = self._stale(query) if walked.ended.is_failure else None
        assert end.get("from", "walk") == ("walk" if stale is None else "stale"), walked.ended.told
        if stale is not None:
            assert self._texts(stale) == end["values"]
            return
        self._expect(walked, end)

    def _expect(self, walked: Walked, end: Table) -> None:
        ended = walked.ended
        path = [self._line(step) for step in ended.steps]
        story = "\n".join([ended.told, *path])
        assert ResponseCode(ended.code).name == end["code"], story
        assert path == end["path"], story
        if isinstance(ended.body, ResolutionResponse):
            assert ended.body.handle.decode() == end.get("handle", self.scenario.table["ask"]["handle"])
            assert self._texts(ended.body.values) == end["values"]
        assert end.get("told", "") in ended.told
        assert bool(ended.told) == ("told" in end), story
        assert ended.is_failure == end.get("failure", False)
        assert ended.is_certified == end.get("certified", False)
        assert walked.root_moved == end.get("root_moved", 0)
        assert len(walked.asks) == end.get("questions", len(walked.asks))
        assert end.get("at_least_ms", 0) <= walked.took_ms <= end.get("within_ms", 10_000)
        assert [text.decode() for text in ended.namespaces] == end.get("namespaces", [])
        if "learnt" in end:
            assert [f"{one.handle.decode()} {ResponseCode(one.code).name}" for one in walked.learnt] == end["learnt"]
        if "versions" in end:
            assert [str(ask.version) for ask in walked.asks] == end["versions"]
        assert not {self._name(ask.place.host) for ask in walked.asks} & set(end.get("not_asked", []))

    def _expect_no_stranger(self, walked: Walked) -> None:
        """Nothing is learnt but what was asked for: of those handles, of those types, and public."""
        asked = {(ask.body.handle, ask.body.types) for ask in walked.asks if isinstance(ask.body, ResolutionRequest)}
        for one in walked.learnt:
            assert any(one.types == types and one.handle.endswith(handle) for handle, types in asked)
            assert all(value.is_public for value in one.values)
            assert all(not one.types or value.type in one.types or one.indexes for value in one.values)

    def _remembered(self, query: Query) -> tuple[HandleValue, ...] | None:
        """What a driver answers without a walk."""
        if not isinstance(query.body, ResolutionRequest) or query.body.indexes:
            return None
        known = self.memory.known(query.handle, types=query.body.types, certified=query.certify, now_ms=self.now_ms)
        return None if known is None else known.values

    def _stale(self, query: Query) -> tuple[HandleValue, ...] | None:
        """What a driver answers where a walk failed."""
        if not isinstance(query.body, ResolutionRequest):
            return None
        return self.memory.stale(query.handle, query.body.types, self.now_ms)

    def _texts(self, values: Any) -> list[str]:
        return [f"{value.type.decode()} {self._data(value.data)}" for value in values]

    def _data(self, data: bytes) -> str:
        for name, site in self.scenario.sites.items():
            if data == site.to_bytes():
                return f"@{name}"
        return data.decode()

    def _line(self, step: Step) -> str:
        outcome = step.outcome.value if isinstance(step.outcome, NoReply) else ResponseCode(step.outcome).name
        where = (
            "memory" if step.place is None or step.way is None else f"{self._name(step.place.host)}/{step.way.value}"
        )
        return f"{step.why} {step.handle.decode()} {where} {outcome}"

    def _name(self, host: str) -> str:
        return next((server.name for server in self.net.servers if server.address == host), host)
