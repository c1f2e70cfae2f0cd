"""The raw generator against small servers that answer well, late, twice, wrongly or not at all."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from loadtest.generator import run
from loadtest.plan import Match, Plan, Result, Transport, cut
from protocol.codes import ResponseCode
from tests.loadtest.toys import (
    HOST,
    KEPT_REQUESTS,
    REQUESTS,
    Answers,
    answer,
    foreign,
    good,
    silence,
    tcp_server,
    udp_server,
)


def plan(
    port: int, transport: Transport = Transport.UDP, *, window: int = 4, requests: int = 200, **more: object
) -> Plan:
    return Plan(
        host=HOST,
        port=port,
        transport=transport,
        sockets=2,
        window=window,
        requests_max=requests,
        timeout_s=more.get("timeout_s", 3.0),  # type: ignore[arg-type]
        seconds_max=more.get("seconds_max", 10.0),  # type: ignore[arg-type]
        match=more.get("match", Match.ID),  # type: ignore[arg-type]
    )


def asked_by_udp(answers: Answers, **more: object) -> Result:
    with udp_server(answers) as port:
        return run(plan(port, **more), REQUESTS)  # type: ignore[arg-type]


def test_every_request_of_a_good_udp_server_is_answered() -> None:
    result = asked_by_udp(good)
    assert (result.requests, result.timeouts, result.late, result.strays, result.bad, result.broken) == (
        200,
        0,
        0,
        0,
        0,
        0,
    )
    assert 0 < result.p50_us <= result.p99_us
    assert result.throughput == pytest.approx(200 / result.seconds)


def test_the_requests_are_sent_in_turn_each_under_an_id_of_its_own() -> None:
    seen: list[bytes] = []

    def noted(number: int, request: bytes) -> list[bytes]:
        seen.append(request)
        return good(number, request)

    with udp_server(noted) as port:
        alone = Plan(host=HOST, port=port, transport=Transport.UDP, sockets=1, window=1, requests_max=10)
        assert run(alone, REQUESTS).requests == 10
    assert [octets[:8] + octets[12:] for octets in seen] == [
        octets[:8] + octets[12:] for octets in (REQUESTS + REQUESTS)[:10]
    ]
    assert [int.from_bytes(octets[8:12], "big") for octets in seen] == list(range(1, 11))


def test_no_more_requests_are_under_way_than_the_window_of_all_sockets() -> None:
    waiting: list[bytes] = []
    most = 0

    def eight_at_a_time(_: int, request: bytes) -> list[bytes]:
        nonlocal most
        waiting.append(request)
        most = max(most, len(waiting))
        return []

    assert asked_by_udp(eight_at_a_time, requests=8, timeout_s=0.2).timeouts == 8
    assert most == 8  # Two sockets of four: all went out before any was given up.


def test_what_is_lost_counts_as_timed_out_and_nothing_is_sent_again() -> None:
    came = 0

    def every_tenth_lost(number: int, request: bytes) -> list[bytes]:
        nonlocal came
        came += 1
        return [] if number % 10 == 0 else [answer(request)]

    result = asked_by_udp(every_tenth_lost, timeout_s=0.5)
    assert (result.requests, result.timeouts) == (180, 20)
    assert came == 200


def test_an_answer_after_its_timeout_is_late_and_not_counted_as_answered() -> None:
    kept: list[bytes] = []

    def one_behind(_: int, request: bytes) -> list[bytes]:
        kept.append(request)
        return [answer(kept[-2])] if len(kept) > 1 else []

    with udp_server(one_behind) as port:
        alone = Plan(host=HOST, port=port, transport=Transport.UDP, sockets=1, window=1, requests_max=6, timeout_s=0.25)
        result = run(alone, REQUESTS)
    assert (result.requests, result.timeouts, result.late, result.strays) == (0, 6, 5, 0)


def test_a_second_answer_and_one_to_an_unknown_id_are_strays() -> None:
    def twice_and_foreign(_: int, request: bytes) -> list[bytes]:
        return [foreign(request), answer(request), answer(request)]

    with udp_server(twice_and_foreign) as port:
        alone = Plan(host=HOST, port=port, transport=Transport.UDP, sockets=1, window=1, requests_max=50)
        result = run(alone, REQUESTS)
    assert (result.requests, result.timeouts, result.late, result.bad) == (50, 0, 0, 0)
    assert 98 <= result.strays <= 100  # The last duplicate may come after the run's end.


@pytest.mark.parametrize("code", [ResponseCode.HANDLE_NOT_FOUND, ResponseCode.PROTOCOL_ERROR])
def test_an_answer_that_is_no_success_is_counted_as_bad(code: ResponseCode) -> None:
    result = asked_by_udp(lambda number, request: [answer(request, code if number % 4 == 0 else ResponseCode.SUCCESS)])
    assert (result.requests, result.bad) == (200, 50)


def test_by_order_fixed_answers_match_and_by_id_they_do_not() -> None:
    fixed = answer(REQUESTS[0])
    by_order = asked_by_udp(lambda *_: [fixed], match=Match.ORDER)
    assert (by_order.requests, by_order.strays, by_order.timeouts) == (200, 0, 0)
    by_id = asked_by_udp(lambda *_: [fixed], requests=8, timeout_s=0.1)
    assert (by_id.requests, by_id.timeouts) == (0, 8)


def test_a_silent_server_ends_the_run_by_time() -> None:
    result = asked_by_udp(silence, requests=10_000, timeout_s=0.1, seconds_max=0.3)
    assert result.requests == 0
    assert 8 <= result.timeouts <= 8 * 5
    assert result.p99_us == result.throughput == 0


def test_a_run_ends_by_time_where_answers_come_without_end() -> None:
    result = asked_by_udp(good, requests=100_000_000, seconds_max=0.2)
    assert 0 < result.requests < 1_000_000
    assert result.seconds < 2


def test_nothing_that_listens_over_udp_is_an_error() -> None:
    with udp_server(good) as port:
        pass
    with pytest.raises(ConnectionRefusedError):
        run(plan(port), REQUESTS)


@pytest.mark.parametrize("window", [1, 16])
def test_every_request_on_kept_connections_is_answered(window: int) -> None:
    with tcp_server(good) as port:
        result = run(plan(port, Transport.TCP_KEPT, window=window), KEPT_REQUESTS)
    assert (result.requests, result.timeouts, result.strays, result.bad, result.broken) == (200, 0, 0, 0, 0)


def test_answers_that_arrive_octet_by_octet_are_put_together() -> None:
    with tcp_server(lambda _, request: [bytes([octet]) for octet in answer(request)]) as port:
        assert run(plan(port, Transport.TCP_KEPT, requests=20), KEPT_REQUESTS).requests == 20


def test_an_answer_that_is_missing_on_a_kept_connection_times_out_alone() -> None:
    def third_lost(number: int, request: bytes) -> list[bytes]:
        return [] if number == 2 else [answer(request)]

    with tcp_server(third_lost) as port:
        result = run(plan(port, Transport.TCP_KEPT, timeout_s=1.0), KEPT_REQUESTS)
    assert (result.requests, result.timeouts) == (198, 2)  # One on each of the two connections.


def test_a_kept_connection_that_the_server_closes_is_an_error() -> None:
    with tcp_server(good, requests_a_connection=1) as port, pytest.raises(ConnectionError):
        run(plan(port, Transport.TCP_KEPT, window=1), KEPT_REQUESTS)


def test_a_connection_for_each_request_is_opened_answered_and_closed() -> None:
    with tcp_server(good, requests_a_connection=1) as port:
        result = run(plan(port, Transport.TCP_ONCE, window=1, requests=60), REQUESTS)
    assert (result.requests, result.timeouts, result.broken) == (60, 0, 0)


def test_a_connection_that_ends_without_an_answer_is_broken() -> None:
    with tcp_server(silence, requests_a_connection=1) as port:
        result = run(plan(port, Transport.TCP_ONCE, window=1, requests=10), REQUESTS)
    assert (result.requests, result.timeouts, result.broken) == (0, 0, 10)


def test_a_silent_server_times_out_each_connection_of_its_own() -> None:
    with tcp_server(silence) as port:
        result = run(plan(port, Transport.TCP_ONCE, window=1, requests=4, timeout_s=0.1), REQUESTS)
    assert (result.requests, result.timeouts, result.broken) == (0, 4, 0)


@pytest.mark.parametrize("host", ["192.0.2.1", "0.0.0.0", "::", "10.0.0.1", "localhost", "example.com", ""])
def test_a_target_outside_loopback_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match="no loopback address"):
        Plan(host=host, port=2641, transport=Transport.UDP)


@pytest.mark.parametrize(
    "wrong",
    [{"window": 0}, {"sockets": 0}, {"requests_max": 0}, {"seconds_max": 0}, {"timeout_s": -1.0}],
)
def test_a_plan_of_nothing_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="positive"):
        Plan(host=HOST, port=2641, transport=Transport.UDP, **wrong)  # type: ignore[arg-type]


def test_a_connection_of_its_own_has_a_window_of_one() -> None:
    with pytest.raises(ValueError, match="window"):
        Plan(host=HOST, port=2641, transport=Transport.TCP_ONCE, window=2)


def test_a_run_without_requests_is_refused() -> None:
    with pytest.raises(ValueError, match="request"):
        run(Plan(host=HOST, port=2641, transport=Transport.UDP), [])


def test_a_file_of_messages_is_cut_into_them() -> None:
    assert cut(b"".join(REQUESTS)) == REQUESTS


@pytest.mark.parametrize("left_out", [1, 30, len(REQUESTS[-1]) - 1])
def test_a_file_that_ends_within_a_message_is_refused(left_out: int) -> None:
    with pytest.raises(ValueError, match="no message"):
        cut(b"".join(REQUESTS)[:-left_out])


def process(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "loadtest.generator", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_the_process_prints_its_result_as_json(tmp_path: Path) -> None:
    (tmp_path / "requests").write_bytes(b"".join(REQUESTS))
    with udp_server(good) as port:
        words = [str(tmp_path / "requests"), "--port", str(port), "--count", "100", "--window", "4", "--sockets", "2"]
        done = process(words)
    assert done.returncode == 0, done.stderr
    result = Result.from_json(json.loads(done.stdout))
    assert (result.requests, result.timeouts, result.bad) == (100, 0, 0)


def test_the_process_refuses_other_hosts(tmp_path: Path) -> None:
    (tmp_path / "requests").write_bytes(b"".join(REQUESTS))
    done = process([str(tmp_path / "requests"), "--host", "192.0.2.1", "--port", "1"])
    assert done.returncode == 1
    assert "no loopback address" in done.stderr
