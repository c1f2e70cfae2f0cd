"""Finding who is responsible and getting an answer from them: prefix records, service handles, referrals.

Generators of questions: each `yield` puts one to its sites and comes back with the reply, or with why there is none.
What a referral says is used for the question that was referred, and remembered for nothing else: so it can only speak
for the prefix that it was asked about. Sources: spec, resolution: sections 3.1, 3.3 and 5; records: section 5.
"""

from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import NamedTuple, TypeVar

from protocol import identifier
from protocol.codes import AUTHORITATIVE, OpCode, ResponseCode
from protocol.limits import PREFIX_LABELS_MAX
from protocol.requests import ResolutionRequest
from protocol.responses import ReferralResponse, ResolutionResponse
from protocol.site import Site
from protocol.value import HandleValue
from resolver.walk import records
from resolver.walk.answers import ABSENT, is_referral
from resolver.walk.events import Learnt, Surroundings
from resolver.walk.question import Question, Reply, Stuck, Unanswered, shown
from resolver.walk.records import DELEGATION_TYPES, PREFIX_TYPES, SERVICE_TYPES
from resolver.walk.selection import is_global
from resolver.walk.trail import Trail

_T = TypeVar("_T")
Going = Generator[Question, Reply | Unanswered, _T]
"""A part of a walk: asks its questions, and comes to a result or is `Stuck`."""


class Found(NamedTuple):
    """What is said of a handle. `age_ms`: how long ago it was said, 0 for just now and for what is kept here."""

    code: int
    values: tuple[HandleValue, ...]
    is_authoritative: bool = True
    age_ms: int = 0


class Service(NamedTuple):
    """The sites of a service. `doubtful`: handles remembered for long that said so."""

    sites: tuple[Site, ...]
    is_root: bool = False
    doubtful: frozenset[bytes] = frozenset()


class _Gathered:
    """Sites that come together from a record and the service handles in it, each visited once."""

    __slots__ = ("doubtful", "sites", "trouble", "visited")

    def __init__(self) -> None:
        self.sites: list[Site] = []
        self.visited: set[bytes] = set()
        self.doubtful: set[bytes] = set()
        self.trouble: Stuck | None = None


class Lookups:
    """The look-ups of one walk. `flags` are those of its look-ups; values found are remembered until it ends."""

    def __init__(self, around: Surroundings, trail: Trail, *, flags: int, is_certified: bool) -> None:
        self._around = around
        self._trail = trail
        self._flags = flags
        self._is_certified = is_certified
        self._found: dict[tuple[bytes, tuple[bytes, ...]], Found] = {}
        self._underway: set[bytes] = set()
        self._distrusted: set[bytes] = set()
        self._count = 0

    # An answer, wherever it is given

    def answered(self, question: Question) -> Going[Reply]:
        """The reply of who is responsible for the handle, all referrals followed; `question` comes without sites."""
        reply = yield from self._tried(question, partial(self._service_of, question))
        avoid: list[tuple[str, int, int]] = []
        is_prefix = identifier.is_prefix_handle(question.handle)
        while is_referral(reply, is_prefix=is_prefix):
            if len(avoid) >= self._trail.limits.referrals:
                told = f"{shown(question.handle)}: more than {len(avoid)} referrals, one after the other"
                raise Stuck(told, is_failure=True, is_limit=True)
            assert reply.server is not None, "only a server refers"
            avoid.append(reply.server.where)
            question = question._replace(avoid=tuple(avoid), recursion_count=question.recursion_count + 1)
            reply = yield from self._tried(question, partial(self._referred, question, reply))
        return reply

    def _tried(self, question: Question, find: Callable[[], Going[Service]]) -> Going[Reply]:
        """The first reply of a service. Where it does not answer, what named it long ago is asked for anew, once."""
        service = yield from find()
        reply = yield from self._put(question, service)
        if isinstance(reply, Unanswered) and service.doubtful - self._distrusted:
            self._distrusted |= service.doubtful
            again = yield from find()
            if again.sites != service.sites:
                reply = yield from self._put(question, again)
        if isinstance(reply, Unanswered):
            raise Stuck(reply.told, is_failure=True)
        return reply

    def _put(self, question: Question, service: Service) -> Going[Reply | Unanswered]:
        reply = yield question.put_to(service.sites, is_root=service.is_root)
        if isinstance(reply, Unanswered) and reply.is_ours and identifier.is_prefix_handle(question.handle):
            own = yield from self._delegated_by_us(question)
            if own.sites:
                return (yield question._replace(sites=own.sites, recursion_count=question.recursion_count + 1))
        return reply

    # Who is responsible

    def _service_of(self, question: Question) -> Going[Service]:
        world, handle = self._around.world, question.handle
        own = world.delegated.get(identifier.folded(handle))
        if own:
            return Service(sites=own)
        prefix = identifier.prefix_handle(handle)
        fixed = world.fixed.get(prefix)
        if fixed:
            return Service(sites=fixed)
        if is_global(handle):
            return Service(sites=self._root(), is_root=True)
        found = yield from self.values_of(prefix, PREFIX_TYPES, "prefix", question)
        gathered = yield from self._gathered_at(prefix, found, question)
        if not gathered.sites and gathered.trouble is None and not found.is_authoritative:
            # A mirror may lag behind: the primary has the last word (resolution, 3.1, item 5).
            found = yield from self.values_of(prefix, PREFIX_TYPES, "prefix", question, at_primary=True)
            gathered = yield from self._gathered_at(prefix, found, question)
        if not gathered.sites:
            raise gathered.trouble or _no_service(prefix, found)
        return self._service(gathered)

    def _service(self, gathered: _Gathered) -> Service:
        sites = tuple(gathered.sites[: self._trail.limits.sites])
        return Service(sites=sites, doubtful=frozenset(gathered.doubtful))

    def _root(self) -> tuple[Site, ...]:
        sites = self._around.world.fixed.get(identifier.ROOT_PREFIX_HANDLE) or self._around.world.root_sites
        if not sites:
            raise Stuck("no root is known to this node, so nobody can be asked", is_failure=True)
        return sites

    def _gathered_at(self, prefix: bytes, found: Found, asker: Question) -> Going[_Gathered]:
        gathered = _Gathered()
        gathered.visited.add(prefix)
        if self._is_doubtful(found):
            gathered.doubtful.add(prefix)
        yield from self._gather(found.values, gathered, asker)
        return gathered

    def _gather(self, values: Sequence[HandleValue], gathered: _Gathered, asker: Question) -> Going[None]:
        """The ordinary sites of a record, and of the service handles in it."""
        return (yield from self._gather_by(values, gathered, asker, records.SITES, records.SERVICE, SERVICE_TYPES))

    def _gather_for_prefixes(self, values: Sequence[HandleValue], gathered: _Gathered, asker: Question) -> Going[None]:
        """The sites of a record that keep derived prefixes; of its service handles only such sites count."""
        return (
            yield from self._gather_by(
                values, gathered, asker, records.PREFIX_SITES, records.PREFIX_SERVICE, DELEGATION_TYPES
            )
        )

    def _gather_by(
        self,
        values: Sequence[HandleValue],
        gathered: _Gathered,
        asker: Question,
        site_types: Sequence[bytes],
        service_type: bytes,
        types: tuple[bytes, ...],
    ) -> Going[None]:
        limits = self._trail.limits
        gathered.sites += records.sites_of(values, site_types, count_max=limits.sites)
        for name in records.handles_in(values, service_type, count_max=limits.services):
            key = identifier.prefix_folded(name)
            if key in gathered.visited:
                continue
            gathered.visited.add(key)
            if key == identifier.ROOT_PREFIX_HANDLE:
                gathered.sites += self._root()
                continue
            try:
                found = yield from self.values_of(name, types, "service", asker)
            except Stuck as stuck:
                if stuck.is_limit:
                    raise
                gathered.trouble = stuck  # Another service may do; where none does, this is why.
                continue
            if self._is_doubtful(found):
                gathered.doubtful.add(key)
            deeper = asker._replace(depth=asker.depth + 1, recursion_count=asker.recursion_count + 1)
            yield from self._gather_by(found.values, gathered, deeper, site_types, service_type, types)

    def _is_doubtful(self, found: Found) -> bool:
        return found.age_ms >= self._trail.limits.doubt_age_ms

    # Referrals

    def _referred(self, question: Question, referral: Reply) -> Going[Service]:
        """The sites that a referral of this question names (resolution, 5.1 and 5.2)."""
        body = referral.body
        assert isinstance(body, ReferralResponse), "the codec reads nothing else for these codes"
        values = body.values or ()
        for_prefixes = referral.code == ResponseCode.PREFIX_REFERRAL
        gathered = _Gathered()
        if for_prefixes:
            yield from self._gather_for_prefixes(values, gathered, question)
        if not gathered.sites:
            yield from self._gather(values, gathered, question)
        if not gathered.sites and records.names_a_handle(body.handle) and not (for_prefixes and values):
            name = identifier.full(body.handle)
            types = DELEGATION_TYPES if for_prefixes else PREFIX_TYPES
            found = yield from self.values_of(name, types, "service", question)
            if self._is_doubtful(found):
                gathered.doubtful.add(identifier.prefix_folded(name))
            gather = self._gather_for_prefixes if for_prefixes else self._gather
            yield from gather(found.values, gathered, question)
        if not gathered.sites:
            where = "" if referral.place is None else f" by {referral.place}"
            told = f"{shown(question.handle)} is referred{where} to nobody that can be asked"
            raise gathered.trouble or Stuck(told, is_failure=True)
        return self._service(gathered)

    def _delegated_by_us(self, question: Question) -> Going[Service]:
        """Who keeps a prefix that we are said to answer for: what we ourselves would refer to."""
        name = identifier.folded(question.handle)
        ancestor = identifier.parent_prefix_handle(name) if name.count(b".") <= PREFIX_LABELS_MAX else None
        while ancestor is not None:
            known = self._around.memory.known(
                ancestor, types=DELEGATION_TYPES, certified=self._is_certified, now_ms=self._trail.now_ms
            )
            if known is not None and known.values:
                self._trail.remembered("delegation", ancestor, known.code, question.depth + 1)
                gathered = _Gathered()
                yield from self._gather_for_prefixes(known.values, gathered, question)
                return self._service(gathered)
            ancestor = identifier.parent_prefix_handle(ancestor)
        return Service(sites=())

    # Values

    def namespaces_of(self, handle: bytes) -> tuple[bytes, ...]:
        """HS_NAMESPACE of the handle's prefix, as far as this walk met its record, then what all prefixes inherit."""
        found = self._found.get((identifier.prefix_handle(handle), PREFIX_TYPES))
        own = () if found is None else records.namespaces_in(found.values)
        inherited = self._around.world.namespace
        return own if inherited is None else (*own, inherited)

    def values_of(
        self, name: bytes, types: tuple[bytes, ...], why: str, asker: Question, *, at_primary: bool = False
    ) -> Going[Found]:
        """The public values of these types of a handle: remembered, or asked for on behalf of `asker`'s question."""
        self._expect_room(name, asker)
        key = identifier.prefix_folded(name)
        if not at_primary:
            found = self._known(name, key, types, why, asker)
            if found is not None:
                return found
        if key in self._underway:
            raise Stuck(f"{shown(name)} is needed to find {shown(name)} itself", is_failure=True)
        self._underway.add(key)
        try:
            reply = yield from self.answered(self._look_up(name, types, why, asker, at_primary=at_primary))
        finally:
            self._underway.discard(key)
        found = self._read(name, reply, types)
        self._found[key, types] = found
        return found

    def _look_up(
        self, name: bytes, types: tuple[bytes, ...], why: str, asker: Question, *, at_primary: bool
    ) -> Question:
        return Question(
            why=why,
            handle=name,
            body=ResolutionRequest(handle=name, types=types),
            opcode=OpCode.RESOLUTION,
            flags=self._flags | (AUTHORITATIVE if at_primary else 0),
            sites=(),
            recursion_count=asker.recursion_count + 1,
            depth=asker.depth + 1,
            is_lookup=True,
            is_primary_only=at_primary,
            is_certified=self._is_certified,
        )

    def _expect_room(self, name: bytes, asker: Question) -> None:
        limits = self._trail.limits
        self._count += 1
        if asker.depth >= limits.depth:
            told = f"{shown(name)}: look-ups that wait for look-ups, more than {limits.depth} deep"
            raise Stuck(told, is_failure=True, is_limit=True)
        if self._count > limits.lookups:
            raise Stuck(f"{shown(name)}: more than {limits.lookups} look-ups", is_failure=True, is_limit=True)

    def _known(self, name: bytes, key: bytes, types: tuple[bytes, ...], why: str, asker: Question) -> Found | None:
        """What this walk or the memory has of the handle; what was found to be out of date is asked for once more."""
        found = self._found.get((key, types))
        if found is not None and not (found.age_ms and key in self._distrusted):
            return found
        if key in self._distrusted:
            return None
        known = self._around.memory.known(name, types=types, certified=self._is_certified, now_ms=self._trail.now_ms)
        if known is None:
            return None
        self._trail.remembered(why, name, known.code, asker.depth + 1)
        found = Found(code=known.code, values=known.values, age_ms=known.age_ms)
        self._found[key, types] = found
        return found

    def _read(self, name: bytes, reply: Reply, types: tuple[bytes, ...]) -> Found:
        if reply.code != ResponseCode.SUCCESS and reply.code not in ABSENT:
            told = f"{shown(name)}: {reply.place} refers where no referral is followed"
            raise Stuck(told, is_failure=True)
        body = reply.body
        values = records.wanted(body.values, (), types) if isinstance(body, ResolutionResponse) else ()
        self.learn(name, (), types, reply.code, values)
        return Found(code=reply.code, values=values, is_authoritative=reply.is_authoritative)

    def learn(
        self,
        name: bytes,
        indexes: tuple[int, ...],
        types: tuple[bytes, ...],
        code: int,
        values: Sequence[HandleValue],
        octets: bytes = b"",
    ) -> None:
        """Tell what is worth remembering: the public ones of values that were asked for, under the handle asked for.

        `octets`: the list of all the values, where it is known.
        """
        public = tuple([value for value in values if value.is_public])
        if code == ResponseCode.SUCCESS and not public:
            code = ResponseCode.VALUES_NOT_FOUND
        self._trail.learn(
            Learnt(
                handle=name,
                indexes=indexes,
                types=types,
                code=code,
                values=public,
                is_certified=self._is_certified,
                octets=octets if len(public) == len(values) else b"",
            )
        )


def _no_service(prefix: bytes, found: Found) -> Stuck:
    if found.code == ResponseCode.HANDLE_NOT_FOUND:
        told = f"there is no prefix {shown(prefix)}"
    else:
        told = f"the prefix record {shown(prefix)} names no site that keeps its handles"
    return Stuck(told, code=ResponseCode.HANDLE_NOT_FOUND, is_failure=False)
