"""The amplification guard: token buckets a source network, bounded in number, exempting what cannot be forged."""

from ipaddress import ip_network

from hypothesis import given
from hypothesis import strategies as st

from resolver.admission import Admission


def test_a_source_gets_its_burst_and_then_its_rate() -> None:
    guard = Admission(rate_per_s=10, burst=3)
    assert [guard.admits("192.0.2.1", 1, now=100.0) for _ in range(5)] == [True, True, True, False, False]
    assert not guard.admits("192.0.2.1", 1, now=100.05)
    assert guard.admits("192.0.2.1", 1, now=100.15)
    assert not guard.admits("192.0.2.1", 1, now=100.15)


def test_a_quiet_time_fills_no_more_than_the_burst() -> None:
    guard = Admission(rate_per_s=10, burst=3)
    assert guard.admits("192.0.2.1", 1, now=0.0)
    assert [guard.admits("192.0.2.1", 1, now=9_999.0) for _ in range(4)] == [True, True, True, False]


def test_neighbours_share_a_bucket_and_other_networks_do_not() -> None:
    guard = Admission(rate_per_s=1, burst=1)
    assert guard.admits("192.0.2.1", 1, now=0.0)
    assert not guard.admits("192.0.2.77", 1, now=0.0)
    assert guard.admits("192.0.3.1", 1, now=0.0)
    assert guard.admits("2001:db8::1", 1, now=0.0)
    assert not guard.admits("2001:db8:0:ff::1", 1, now=0.0)  # The same /56.
    assert guard.admits("2001:db8:0:100::1", 1, now=0.0)


def test_a_long_answer_costs_more_tokens() -> None:
    guard = Admission(rate_per_s=1, burst=10)
    assert guard.admits("192.0.2.1", 8, now=0.0)
    assert not guard.admits("192.0.2.1", 8, now=0.0)
    assert guard.admits("192.0.2.1", 2, now=0.0)


def test_exempt_networks_are_always_admitted() -> None:
    guard = Admission(rate_per_s=1, burst=1, exempt=[ip_network("127.0.0.0/8"), ip_network("::1/128")])
    assert all(guard.admits("127.0.0.1", 100, now=0.0) for _ in range(50))
    assert all(guard.admits("::1", 100, now=0.0) for _ in range(50))


def test_a_scoped_address_is_an_address() -> None:
    assert Admission(rate_per_s=1, burst=1).admits("fe80::1%eth0", 1, now=0.0)


def test_forged_sources_without_number_take_no_more_than_the_table() -> None:
    guard = Admission(rate_per_s=1, burst=2, sources_max=256)
    admitted = sum(guard.admits(f"10.{n >> 8}.{n & 255}.1", 1, now=0.0) for n in range(5_000))
    assert guard.source_count == 256
    assert admitted == 256 + 2  # All others share one bucket, and so amplify no more than one source.


def test_a_full_table_makes_room_when_sources_fall_silent() -> None:
    guard = Admission(rate_per_s=1, burst=2, sources_max=256)
    for n in range(300):
        guard.admits(f"10.{n >> 8}.{n & 255}.1", 1, now=0.0)
    assert guard.admits("192.0.2.1", 2, now=60.0)
    assert guard.source_count < 256
    assert not guard.admits("192.0.2.1", 1, now=60.0)


@given(
    st.lists(st.tuples(st.floats(0, 0.5), st.integers(1, 3)), max_size=60),
    st.floats(1, 20),
    st.integers(1, 10),
)
def test_no_history_of_one_source_gets_more_than_burst_and_rate(
    asks: list[tuple[float, int]], rate: float, burst: int
) -> None:
    guard = Admission(rate_per_s=rate, burst=burst)
    now = taken = 0.0
    for wait, tokens in asks:
        now += wait
        taken += tokens if guard.admits("192.0.2.1", tokens, now=now) else 0
        assert taken <= burst + now * rate + 1e-6
