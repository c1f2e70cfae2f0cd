"""What the benchmark tells: aligned tables, facts as JSON, and targets judged by the worst of their sections."""

import io
import json
from dataclasses import replace

import pytest

from loadtest.plan import Result
from loadtest.report import Report, table
from loadtest.run import percentile_ms, summary
from loadtest.stage import Load
from loadtest.targets import TARGETS, Target, judge


def test_a_table_is_aligned_and_as_wide_as_its_widest_words() -> None:
    assert table(["name", "n"], [["a", "1,000"], ["longer", "2"]]) == "name        n\na       1,000\nlonger      2"


def test_facts_are_kept_by_section_and_end_as_one_json_line() -> None:
    stream = io.StringIO()
    report = Report(stream)
    report.keep("udp 16", cpu_ratio=1.4)
    report.keep("udp 16", size_ratio=1.1)
    report.finish()
    assert json.loads(stream.getvalue().splitlines()[-1]) == {"udp 16": {"cpu_ratio": 1.4, "size_ratio": 1.1}}
    assert report.fact("udp 16", "cpu_ratio") == 1.4
    assert report.fact("udp 16", "other") is report.fact("other", "cpu_ratio") is None


def judged(**facts: dict[str, float]) -> list[str]:
    report = Report(io.StringIO())
    for section, found in facts.items():
        report.keep(section, **found)
    judge(report)
    return [str(verdict["verdict"]) for verdict in report.facts["targets"].values()]  # type: ignore[index]


def test_a_target_is_reached_at_its_limit_and_not_beyond() -> None:
    assert judged(memory={"worker_octets": 100e6}).count("reached") == 1
    assert judged(memory={"worker_octets": 100.1e6}).count("NOT REACHED") == 1


def test_a_target_that_is_a_least_is_reached_at_its_limit_and_not_below() -> None:
    assert judged(writes={"writes_a_commit": 8}).count("reached") == 1
    assert judged(writes={"writes_a_commit": 7.9}).count("NOT REACHED") == 1


def test_what_did_not_run_is_not_measured() -> None:
    assert judged() == ["not measured"] * len(TARGETS)


def test_the_worst_section_counts_and_one_that_is_missing_leaves_the_target_open() -> None:
    target = Target("store", 1.8, "disk_ratio", ("import sequential", "import interleaved"))
    report = Report(io.StringIO())
    report.keep("import sequential", disk_ratio=1.2)
    assert target.found(report) is None
    report.keep("import interleaved", disk_ratio=1.9)
    assert target.found(report) == 1.9
    assert replace(target, is_least=True).found(report) == 1.2


def result(requests: int, p50_us: float, bad: int) -> Result:
    return Result(requests=requests, seconds=1.0, p50_us=p50_us, p99_us=2 * p50_us, bad=bad)


def test_repetitions_end_as_medians_and_their_wrong_answers_are_added() -> None:
    loads = [
        Load(result(100, p50_us, bad), user_us, 1.0) for p50_us, bad, user_us in [(5, 1, 3.0), (7, 0, 9.0), (6, 2, 4.0)]
    ]
    middle = Load.middle(loads)
    assert (middle.result.p50_us, middle.result.bad, middle.cpu_us) == (6, 3, 5.0)


@pytest.mark.parametrize(("percent", "time_ms"), [(50, 0.2), (90, 0.2), (91, 1.5), (100, 10.0)])
def test_percentiles_of_locusts_counts_are_in_the_order_of_numbers_not_of_texts(percent: int, time_ms: float) -> None:
    assert percentile_ms({"10.0": 1, "1.5": 9, "0.2": 90}, percent) == time_ms


def test_the_summary_of_a_load_test_has_a_line_for_each_kind_of_request() -> None:
    entry = {
        "method": "UDP",
        "name": "resolve hit",
        "num_requests": 1000,
        "num_failures": 2,
        "start_time": 10.0,
        "last_request_timestamp": 12.0,
        "response_times": {"0.25": 1000},
    }
    lines = summary([entry]).splitlines()
    assert lines[1].split() == ["UDP", "resolve", "hit", "1,000", "2", "500", "0.25", "0.25", "0.25"]
