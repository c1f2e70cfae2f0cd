"""One process's engine from its parts: who may administer, what proves it, what changes the store. Decides nothing."""

import asyncio
import secrets
import ssl
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from protocol.identifier import folded, prefix_folded
from protocol.site import Site
from protocol.trust.keys import DsaPrivateKey, PrivateKey
from resolver import elsewhere
from resolver.access import Access
from resolver.administration import Administration
from resolver.authentication import Authenticator
from resolver.authority import Authority, is_served
from resolver.authorization import Authorizer
from resolver.cache.cache import Cache
from resolver.cache.lifetimes import Lifetimes
from resolver.challenges import Challenges
from resolver.clock import Clock
from resolver.config import Config
from resolver.counters import Counters
from resolver.engine import Engine
from resolver.failures import Failures
from resolver.key_exchange import KeyExchanges
from resolver.memory import Memories
from resolver.namespaces import Namespaces
from resolver.operations.rules import RecordLimits
from resolver.operations.table import rules
from resolver.own import OwnStore
from resolver.recursing import Recursing, Wishes
from resolver.recursion import Recursion, RecursionLimits
from resolver.replication.source import Source
from resolver.replies import Replies
from resolver.service import Service
from resolver.sessions import Sessions
from resolver.signing import Pool, Signer
from resolver.sm2_keys import answer_is_valid
from resolver.state_text import StateText
from resolver.tls import self_signed_context
from resolver.trust import Submit, Trust
from resolver.walk.world import World
from storage.answers import Answers
from storage.base import Change, HandleStore, Outcome, StoreView
from storage.volatile import Volatile
from storage.writer import Submits


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a process brings to its engine: the store and who writes it, notes that all processes see, and its key.

    `world`: what is known of the root before anybody is asked. `answers`: what all processes remember of other nodes'.
    """

    store: HandleStore
    writer: Submits
    volatile: Volatile
    site: Site
    private_key: PrivateKey
    case_sensitive: bool
    counters: Counters
    clock: Clock
    world: World = field(default_factory=World)
    answers: Answers | None = None


def service(
    config: Config,
    parts: Parts,
    pool: Pool,
    *,
    authority: Authority | None = None,
    random_octets: Callable[[int], bytes] | None = None,
) -> Service:
    """What answers messages. `authority` and `random_octets` stand for those that the configuration and chance give."""
    if authority is None:
        namespaces = Namespaces(
            delimiter=config.resolution.template_delimiter,
            namespace=config.namespace_xml(),
            case_sensitive=parts.case_sensitive,
        )
        authority = Authority(namespaces=namespaces, site=parts.site)
    replies = Replies(parts.site)
    recursion = _recursion(config, parts, authority)
    trust = _trust(config, parts, pool, authority, replies, recursion)
    administration = Administration(replace(trust, random_octets=random_octets or secrets.token_bytes))
    wanted = config.recursion
    recursing = Recursing(
        recursion,
        Access(config.recursion_networks()),
        replies,
        Wishes(certify=wanted.certify, aliases=wanted.aliases, legacy=wanted.legacy),
        certified=administration.certified,
    )
    return Service(
        engine=Engine(authority=authority, replies=replies, administration=administration, recursing=recursing),
        store=parts.store,
        site=parts.site,
        counters=parts.counters,
        fold=prefix_folded if parts.case_sensitive else folded,
        recursing=recursing,
    )


def _recursion(config: Config, parts: Parts, authority: Authority) -> Recursion:
    wanted = config.cache
    lifetimes = Lifetimes(
        ttl_max_ms=int(wanted.ttl_max * 1000),
        negative_ms=int(wanted.negative_ttl * 1000),
        stale_ms=int(wanted.stale * 1000),
    )
    return Recursion(
        world=parts.world,
        memory=Memories(Cache(wanted.size, lifetimes), OwnStore(parts.store, authority), parts.answers),
        limits=RecursionLimits(
            walks_max=config.recursion.max_walks, timeout_s=config.recursion.timeout, prefetch=wanted.prefetch
        ),
        clock=parts.clock,
        counters=parts.counters,
    )


def _trust(
    config: Config, parts: Parts, pool: Pool, authority: Authority, replies: Replies, recursion: Recursion
) -> Trust:
    finder = elsewhere.finder(parts.store, recursion)
    signer = Signer(parts.private_key, pool)
    clock_ms = _milliseconds(parts.clock.monotonic)  # One for all processes of a machine.
    wall_ms = _milliseconds(parts.clock.wall)

    def keeps(handle: bytes) -> bool:
        with parts.store.view() as view:
            return _is_kept(view, handle)

    async def submit(change: Change) -> Outcome:
        return await asyncio.wrap_future(parts.writer.submit(change))

    return Trust(
        store=parts.store,
        rules=rules(authority, RecordLimits(config.limits.values_per_handle, config.limits.value_bytes)),
        replies=replies,
        authorizer=Authorizer(
            server_admins=config.auth.server_admins,
            full_access=config.auth.server_admin_full_access,
            replication_admins=config.replication.admins,
            finder=finder,
        ),
        authenticator=Authenticator(
            finder=finder, keeps=keeps, pool=pool, verify=elsewhere.verify(recursion), dialect=answer_is_valid
        ),
        failures=Failures(parts.volatile, clock_ms),
        challenges=Challenges(parts.volatile, clock_ms, ttl_ms=int(config.auth.challenge_ttl * 1000)),
        sessions=Sessions(parts.volatile, clock_ms),
        exchanges=KeyExchanges(parts.private_key, finder, pool),
        signer=signer,
        submit=submit,
        source=_source(parts, signer, submit, wall_ms),
        status=StateText(parts.store, parts.counters, parts.clock),
        keeps=keeps,
        may_recurse=Access(config.recursion_networks()).allows,
        minted_suffix=lambda: str(uuid.uuid4()).encode(),
    )


def _source(parts: Parts, signer: Signer, submit: Submit, wall_ms: Callable[[], int]) -> Source:
    key = parts.private_key
    kept: list[ssl.SSLContext] = []

    def context() -> ssl.SSLContext:
        if not kept:
            kept.append(self_signed_context(key))
        return kept[0]

    return Source(
        parts.store,
        sign=signer.signature_of,
        tls_context=None if isinstance(key, DsaPrivateKey) else context,
        site=parts.site,
        now_ms=wall_ms,
        note=submit,
    )


def _is_kept(view: StoreView, handle: bytes) -> bool:
    return is_served(handle, view.homed())


def _milliseconds(read: Callable[[], float]) -> Callable[[], int]:
    return lambda: int(read() * 1000)
