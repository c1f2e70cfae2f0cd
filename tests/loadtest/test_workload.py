"""The benchmark's identifiers: deterministic, one size, the same set in either order, and readable as what they are."""

import json
from itertools import groupby
from pathlib import Path

import pytest

from loadtest.workload import EXPIRATION, Order, Workload, handle, resolution, values
from protocol import codec
from protocol.codes import DEFAULT_REQUEST_FLAGS, KEEP_CONNECTION
from protocol.requests import ResolutionRequest
from protocol.value import value_list

COUNT = 5_000
WORKLOAD = Workload.drawn(COUNT, seed=7)


def test_one_seed_is_one_data_set() -> None:
    assert Workload.drawn(COUNT, seed=7).firms == WORKLOAD.firms
    assert Workload.drawn(COUNT, seed=8).firms != WORKLOAD.firms


def test_both_orders_hold_the_same_identifiers_each_once() -> None:
    born, sequential = list(WORKLOAD.identifiers(Order.INTERLEAVED)), list(WORKLOAD.identifiers(Order.SEQUENTIAL))
    assert len(set(born)) == COUNT
    assert born != sequential == sorted(born)


def test_sequential_lines_go_firm_after_firm() -> None:
    firms = [firm for firm, _ in WORKLOAD.identifiers(Order.SEQUENTIAL)]
    assert len(list(groupby(firms))) == len(set(firms)) > 100
    assert len(list(groupby(WORKLOAD.firms))) > COUNT // 2


def test_the_first_firm_makes_about_twice_as_many_as_the_second() -> None:
    assert WORKLOAD.firms.count(0) / WORKLOAD.firms.count(1) == pytest.approx(2, rel=0.25)


@pytest.mark.parametrize("order", Order)
def test_lines_are_records_of_three_values_as_they_are_counted(tmp_path: Path, order: Order) -> None:
    WORKLOAD.write_lines(tmp_path / "lines", order)
    records = [json.loads(line) for line in (tmp_path / "lines").read_text(encoding="utf-8").splitlines()]
    found = [
        (
            record["handle"].encode(),
            [(value["index"], value["type"].encode(), value["data"]["value"].encode()) for value in record["values"]],
        )
        for record in records
    ]
    assert found == [
        (handle(*which), [(value.index, value.type, value.data) for value in values(*which)])
        for which in WORKLOAD.identifiers(order)
    ]
    assert {value["data"]["format"] for record in records for value in record["values"]} == {"string"}


def test_all_records_have_the_same_number_of_octets() -> None:
    identifiers = list(WORKLOAD.identifiers(Order.INTERLEAVED))
    assert len({len(handle(*which)) for which in identifiers}) == 1
    assert len({len(value_list(values(*which))) for which in identifiers}) == 1
    assert WORKLOAD.encoded_octets == sum(
        len(handle(*which)) + len(value_list(values(*which))) for which in identifiers
    )


def test_a_sample_is_of_the_set_without_repetition_and_spread_over_it() -> None:
    sample = WORKLOAD.sample(500, seed=1)
    everything = [handle(*which) for which in WORKLOAD.identifiers(Order.INTERLEAVED)]
    assert len(set(sample)) == 500
    assert set(sample) <= set(everything)
    halves = sum(name in set(everything[: COUNT // 2]) for name in sample)
    assert 200 < halves < 300


def test_a_sample_of_more_than_there_are_is_all_of_them() -> None:
    assert sorted(Workload.drawn(20, seed=1).sample(100, seed=1)) == sorted(
        handle(*which) for which in Workload.drawn(20, seed=1).identifiers(Order.INTERLEAVED)
    )


@pytest.mark.parametrize("keep", [False, True])
def test_a_request_asks_for_the_handle_and_wishes_to_keep_the_connection_only_when_told(keep: bool) -> None:
    message = codec.Message.read(resolution(b"88.131/x", keep=keep, types=[b"URL"], request_id=9))
    assert codec.read_request(message) == ResolutionRequest(handle=b"88.131/x", types=(b"URL",))
    assert message.header.flags == DEFAULT_REQUEST_FLAGS | (KEEP_CONNECTION if keep else 0)
    assert (message.envelope.request_id, message.header.expiration) == (9, EXPIRATION)


def test_a_request_in_the_spec_is_written_octet_for_octet() -> None:
    # spec, protocol: section 10.1, in version 2.11 instead of 2.3 and with the benchmark's expiration.
    assert resolution(b"20.1000/100", request_id=0x01020304).hex() == (
        "020b020b" "00000000" "01020304" "00000000" "00000033"
        "00000001" "00000000" "19000000" "ffff" "00" "00" "77359400" "00000017"
        "0000000b" "32302e313030302f313030" "00000000" "00000000" "00000000"
    )  # fmt: skip
