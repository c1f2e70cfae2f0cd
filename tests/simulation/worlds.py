"""One seed is one world: delegations, sites and servers, each with a temper drawn from the seed's own mood."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from zlib import crc32

from protocol.codec import Message
from protocol.codes import ResponseCode
from protocol.responses import ReferralResponse
from protocol.site import MULTI_PRIMARY, PRIMARY, Server, Site
from protocol.value import HandleValue
from protocol.version import NEWEST, Version
from resolver.walk.events import Way
from resolver.walk.world import World
from storage.memory import MemoryStore
from tests.scenarios.lies import LIES
from tests.walk.servers import PORT, SimServer, Temper, fill, server_record

TAG = b"value of "

QUICK_FAILURES = ("error", "busy", "lame", "refused")
SLOW_FAILURES = ("silent", "silent by UDP", "slow")
MILD_JITTER_MS = 20
LIARS = (
    "an answer about another handle", "the handle in another spelling", "values of other types",
    "success without values", "only values that nobody asked for", "a private value",
    "refers to anybody", "refers by a handle", "refers as a service", "garbage", "not found", "out of date",
)  # fmt: skip


@dataclass(kw_only=True)
class Mood:
    """How bad a world is: shares of servers of each kind, and of lost messages."""

    quick: float
    slow: float
    lying: float
    lost: float
    jitter_ms: int

    @property
    def is_mild(self) -> bool:
        """Whether an honest and quick server is at hand for everything."""
        return not (self.slow or self.lying or self.lost) and self.jitter_ms < MILD_JITTER_MS


@dataclass
class Zone:
    """The handles of one prefix: where they are kept, and what is true of them."""

    prefix: bytes
    sites: list[Site] = field(default_factory=list)
    records: dict[bytes, tuple[HandleValue, ...]] = field(default_factory=dict)
    homes: list[bytes] = field(default_factory=list)
    store: MemoryStore = field(default_factory=MemoryStore)


def tagged(handle: bytes) -> bytes:
    """Data that says whose it is, and that no garbling turns into somebody else's."""
    return TAG + handle + b" %08x" % crc32(handle)


def owner(data: bytes) -> bytes | None:
    """The handle that tagged data belongs to; None for other data, and for garbled."""
    handle = data[len(TAG) : -9]
    return handle if data == tagged(handle) else None


class SimWorld:
    """A world of one seed. `truth`: the values of every handle, as honest servers tell them."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.mood = self._mood()
        self.servers: list[SimServer] = []
        self._address = 0
        self.root = self._zone(b"0.NA")
        self.root.homes += [b"0.NA/0.NA", b"0.NA/0.GHR"]
        self.zones = [self.root]
        self._grow(self.root, b"", depth=0)
        for zone in self.zones:
            fill(zone.store, zone.homes, zone.records)
        self.truth = {handle: values for zone in self.zones for handle, values in zone.records.items()}
        for server in self.servers:
            server.temper = self._temper()
        self._leave_an_honest_site()
        ours = self.random.sample(self.servers, self.random.choice((0, 0, 1))) if not self.mood.is_mild else []
        self.world = World(
            root_sites=tuple(self.root.sites),
            ours=frozenset([(server.address, server.port) for server in ours]),
            fixed=self._fixed(),
        )

    def _mood(self) -> Mood:
        draw = self.random
        if draw.random() < 0.3:
            return Mood(quick=draw.random() * 0.5, slow=0, lying=0, lost=0, jitter_ms=draw.randrange(MILD_JITTER_MS))
        shares = [draw.random() ** 2 * draw.choice((0, 0.3, 1)) for _ in range(4)]
        return Mood(quick=shares[0], slow=shares[1], lying=shares[2], lost=shares[3], jitter_ms=draw.randrange(1500))

    # The tree

    def _zone(self, prefix: bytes) -> Zone:
        zone = Zone(prefix)
        for _ in range(self.random.choice((1, 1, 2, 3))):
            zone.sites.append(self._site(zone, is_primary=not zone.sites))
        return zone

    def _site(self, zone: Zone, *, is_primary: bool) -> Site:
        draw = self.random
        number = draw.choice((1, 1, 1, 2, 3))
        records = [self._server(position) for position in range(1, number + 1)]
        flags = PRIMARY if is_primary else draw.choice((0, 0, PRIMARY | MULTI_PRIMARY))
        site = Site(
            protocol=draw.choice((NEWEST, NEWEST, Version(2, 7), Version(2, 1))),
            serial=draw.randrange(1, 9),
            flags=flags,
            hash_option=draw.choice((2, 2, 1, 0)),
            servers=tuple(records),
        )
        for position, record in enumerate(records):
            self.servers.append(
                SimServer(
                    name=f"{zone.prefix.decode()} {len(self.servers)}",
                    address=record.address_text,
                    port=PORT,
                    site=site,
                    number=position,
                    store=zone.store,
                )
            )
        return site

    def _server(self, number: int) -> Server:
        self._address += 1
        draw, last = self.random, self._address
        address = f"2001:db8::{last:x}" if draw.random() < 0.2 else f"198.51.{last // 250}.{last % 250 + 1}"
        ways = draw.choice(((True, True), (True, True), (True, False), (False, True)))
        return server_record(address, udp=ways[0], tcp=ways[1], number=number)

    def _grow(self, parent: Zone, above: bytes, *, depth: int) -> None:
        """Zones below a zone; their prefix records stand in the parent, which refers for what is below them."""
        draw = self.random
        for number in range(draw.choice((1, 2)) if depth else draw.choice((1, 2, 3))):
            prefix = (above + b"." if above else b"") + b"%d" % (88 + number)
            zone = self._zone(prefix)
            self.zones.append(zone)
            handle = b"0.NA/" + prefix
            zone.homes.append(handle)
            parent.records[handle] = tuple(self._delegation(zone))
            self._fill(zone)
            if depth < 2 and draw.random() < 0.6:
                self._grow(zone, prefix, depth=depth + 1)

    def _delegation(self, zone: Zone) -> list[HandleValue]:
        draw, values = self.random, []
        by_site, derived_by_site = draw.choice(((True, True), (False, False), (True, False)))
        if by_site:
            values += [(b"HS_SITE", site.to_bytes()) for site in zone.sites]
        else:
            values.append((b"HS_SERV", self._service(b"HS_SITE", zone)))
        if derived_by_site:
            type_ = draw.choice((b"HS_SITE.PREFIX", b"HS_NA_DELEGATE"))
            values += [(type_, site.to_bytes()) for site in zone.sites]
        else:
            values.append((b"HS_SERV.PREFIX", self._service(b"HS_SITE.PREFIX", zone)))
        return [HandleValue(index=index, type=type_, data=data) for index, (type_, data) in enumerate(values, 1)]

    def _service(self, type_: bytes, zone: Zone) -> bytes:
        """A service handle of the zone, kept at the root or, in worlds with trouble, in any zone."""
        homes = [self.root] if self.mood.is_mild else [*[self.root] * len(self.zones), *self.zones[1:]]
        keeper = self.random.choice(homes)
        prefix = b"0.GHR" if keeper is self.root else keeper.prefix
        handle = b"%s/SERVICE%d" % (prefix, len(keeper.records))
        values = [HandleValue(index=i, type=type_, data=site.to_bytes()) for i, site in enumerate(zone.sites, 1)]
        keeper.records[handle] = tuple(values)
        return handle

    def _fill(self, zone: Zone) -> None:
        names = [b"%s/%s" % (zone.prefix, name) for name in (b"A", b"B", b"C")]
        for name in names:
            zone.records[name] = (
                HandleValue(index=1, type=b"URL", data=tagged(name)),
                HandleValue(index=2, type=b"DESC", data=b"a thing"),
            )
        known = [handle for one in (*self.zones, zone) for handle in one.records if handle[:2] != b"0."]
        alias = b"%s/ALIAS" % zone.prefix
        zone.records[alias] = (HandleValue(index=1, type=b"HS_ALIAS", data=self.random.choice([*known, alias])),)

    def _fixed(self) -> dict[bytes, tuple[Site, ...]]:
        if self.random.random() > 0.1:
            return {}
        zone = self.random.choice(self.zones[1:])
        return {b"0.NA/" + zone.prefix: tuple(zone.sites)}

    # Tempers

    def _temper(self) -> Temper:
        draw, mood = self.random, self.mood
        latency = draw.choice((1, 5, 30)) if mood.is_mild else draw.choice((1, 5, 30, 250))
        if draw.random() < mood.lying:
            return replace(self._lying(draw.choice(LIARS)), latency_ms=latency)
        if draw.random() < mood.slow:
            kind = draw.choice(SLOW_FAILURES)
            silent = {"silent": frozenset(Way), "silent by UDP": frozenset((Way.UDP,))}.get(kind, frozenset())
            return Temper(silent=silent, latency_ms=draw.randrange(1_000, 5_000) if kind == "slow" else latency)
        if draw.random() < mood.quick:
            codes = (ResponseCode.ERROR, ResponseCode.SERVER_TOO_BUSY, ResponseCode.SERVER_NOT_RESP)
            return Temper(code=draw.choice(codes), latency_ms=latency)
        return Temper(latency_ms=latency, answers_as=draw.choice((NEWEST, NEWEST, Version(2, 6))))

    def _lying(self, kind: str) -> Temper:
        draw = self.random
        if kind in LIES:
            return Temper(lie=LIES[kind])
        match kind:
            case "refers to anybody":
                values = tuple(self._any_sites(draw.choice((b"HS_SITE.PREFIX", b"HS_SITE"))))
                return Temper(refer=ReferralResponse(values=values))
            case "refers by a handle":
                return Temper(refer=ReferralResponse(handle=self._any_handle()))
            case "refers as a service":
                values = tuple(self._any_sites(b"HS_SITE"))
                service = HandleValue(index=99, type=b"HS_SERV", data=self._any_handle())
                refer = ReferralResponse(values=(*values, service)[draw.randrange(2) :])
                return Temper(refer=refer, refer_code=ResponseCode.SERVICE_REFERRAL)
            case "garbage":
                return Temper(distort=garbled(draw))
            case "not found":
                return Temper(code=ResponseCode.HANDLE_NOT_FOUND)
        return Temper(code=ResponseCode.OUT_OF_DATE_SITE_INFO)

    def _any_sites(self, type_: bytes) -> Sequence[HandleValue]:
        chosen = self.random.choices([server.site for server in self.servers], k=self.random.choice((0, 1, 2, 5)))
        return [HandleValue(index=i, type=type_, data=site.to_bytes()) for i, site in enumerate(chosen, 1)]

    def _any_handle(self) -> bytes:
        return self.random.choice([handle for zone in self.zones for handle in zone.records])

    def _leave_an_honest_site(self) -> None:
        """In mild worlds one site of each zone is well: where there is another, that may not be."""
        if not self.mood.is_mild:
            return
        for zone in self.zones:
            for server in self.servers:
                if server.site is zone.sites[0]:
                    server.temper = replace(server.temper, code=None)

    def drift(self) -> Callable[[], int | None]:
        """What the net adds to each latency; None for a lost message."""
        lost, jitter = self.mood.lost * 0.5, self.mood.jitter_ms

        def drawn() -> int | None:
            return None if self.random.random() < lost else self.random.randrange(jitter + 1)

        return drawn


def garbled(draw: Random) -> Callable[[Message], Message]:
    """Some octets of the body changed, or cut off."""

    def distort(message: Message) -> Message:
        body = bytearray(message.body)
        for _ in range(min(len(body), draw.choice((1, 2, 20)))):
            body[draw.randrange(len(body))] = draw.randrange(256)
        body = body[: draw.randrange(len(body) + 1)] if draw.random() < 0.3 else body
        return replace(message, header=replace(message.header, body_size=len(body)), body=bytes(body))

    return distort
