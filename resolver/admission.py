"""May this answer go out? A token bucket for each source network, so that the node is never a reflector.

Only answers larger than their question cost tokens: what does not amplify harms nobody. Over UDP an answer that is not
admitted is silence: a client asks again, and over TCP, where a source cannot be forged, there is no such limit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final

Network = IPv4Network | IPv6Network

IPV4_PREFIX: Final = 24  # The smallest network that is routed on its own, and so can be forged as one.
IPV6_PREFIX: Final = 56  # What one customer of a provider gets.
SWEEP_EVERY_S: Final = 1.0  # A full table is searched for idle sources at most this often.


@dataclass(slots=True)
class Bucket:
    """What one source network may still take, as of `filled_at` (seconds)."""

    tokens: float
    filled_at: float


class Admission:
    """Buckets of `burst` tokens that fill at `rate_per_s`; bounded: beyond `sources_max` networks share one bucket."""

    def __init__(
        self, *, rate_per_s: float, burst: float, exempt: Sequence[Network] = (), sources_max: int = 65_536
    ) -> None:
        self._rate = rate_per_s
        self._burst = burst
        self._exempt = tuple(exempt)
        self._sources_max = sources_max
        self._hosts: dict[str, Bucket | None] = {}
        self._networks: dict[Network, Bucket] = {}
        self._overflow = Bucket(burst, 0.0)
        self._swept_at = float("-inf")

    def admits(self, host: str, tokens: float, *, now: float) -> bool:
        """Whether a source may get an amplifying answer that costs `tokens`; they are taken if so."""
        bucket = self.bucket(host, now=now)
        if bucket is None:
            return True
        if bucket.tokens < tokens:
            return False
        bucket.tokens -= tokens
        return True

    def bucket(self, host: str, *, now: float) -> Bucket | None:
        """The bucket that a source takes its tokens from, filled up to `now`; None where it may take any number."""
        try:
            bucket = self._hosts[host]
        except KeyError:
            bucket = self._found(host, now)
        if bucket is not None:
            filled = bucket.tokens + (now - bucket.filled_at) * self._rate
            bucket.tokens = filled if filled < self._burst else self._burst
            bucket.filled_at = now
        return bucket

    @property
    def source_count(self) -> int:
        """Networks that have a bucket of their own."""
        return len(self._networks)

    def _found(self, host: str, now: float) -> Bucket | None:
        address = ip_address(host.partition("%")[0])
        if any(address in network for network in self._exempt if network.version == address.version):
            bucket = None
        else:
            bucket = self._of_network(
                ip_network((address, IPV4_PREFIX if address.version == 4 else IPV6_PREFIX), strict=False), now
            )
        if len(self._hosts) >= self._sources_max:
            self._hosts.clear()  # Only short-cuts to the buckets below: losing them loses no tokens.
        if bucket is not self._overflow:
            self._hosts[host] = bucket
        return bucket

    def _of_network(self, network: Network, now: float) -> Bucket:
        bucket = self._networks.get(network)
        if bucket is not None:
            return bucket
        if len(self._networks) >= self._sources_max:
            self._sweep(now)
        if len(self._networks) >= self._sources_max:
            return self._overflow
        bucket = self._networks[network] = Bucket(self._burst, now)
        return bucket

    def _sweep(self, now: float) -> None:
        """Forget networks whose buckets are full again: a fresh bucket says the same."""
        if now - self._swept_at < SWEEP_EVERY_S:
            return
        self._swept_at = now
        full_after_s = self._burst / self._rate
        self._networks = {n: b for n, b in self._networks.items() if now - b.filled_at < full_after_s}
        self._hosts.clear()
