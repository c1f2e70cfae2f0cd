"""The configuration's words and defaults: units in both directions, bounds, and what keys demand of one another."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from protocol.value import Reference
from resolver import config_units as units
from resolver.config import SECTIONS, Config, NodeSection, TcpSection, TlsSection, UdpSection, as_texts
from resolver.config_checks import cross_problems
from resolver.config_units import Endpoint


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("60s", 60.0), ("2m", 120.0), ("1h", 3600.0), ("1d", 86400.0), ("1.5s", 1.5), (7, 7.0)],
)
def test_a_duration_is_read_as_seconds(text: object, seconds: float) -> None:
    assert units.duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "octets"), [("4MiB", 4 << 20), ("64KiB", 65536), ("1 GiB", 1 << 30), ("512", 512), (99, 99), ("7B", 7)]
)
def test_a_size_is_read_as_octets(text: object, octets: int) -> None:
    assert units.size(text) == octets


@pytest.mark.parametrize(("text", "per_second"), [("5000/s", 5000.0), ("300/m", 5.0), ("0.5 / s", 0.5)])
def test_a_rate_is_read_as_a_number_a_second(text: str, per_second: float) -> None:
    assert units.rate(text) == per_second


WRONG: dict[Callable[[object], object], tuple[object, ...]] = {
    units.duration: ("", "s", "-1s", "1w", "1 s 2", "٣s", "9" * 25 + "s", True, None, float("nan")),
    units.size: ("", "4MB", "4 kib", "-4KiB", "1.5MiB", "٣", True, 1.5, None),
    units.rate: ("", "5000", "5/h", "-5/s", 5000, None),
    units.network: ("", "1.2.3.4/33", "1.2.3.4/8", "everybody"),
    units.admin_reference: ("", "300", "x:0.NA/1", "-1:0.NA/1", "300:88", f"{2**31}:0.NA/1", f"1:0.NA/{'9' * 2048}", 3),
    units.address: ("example.org", "0.0.0.0", "::", "224.0.0.1", "fe80::1%lo", 4),
    Endpoint.of: ("", "2641", "0.0.0.0", "::1:2641", "localhost:2641", "1.2.3.4:0", "1.2.3.4:65536", "1.2.3.4:x", 5),
}


@pytest.mark.parametrize(("read", "text"), [(read, text) for read, texts in WRONG.items() for text in texts])
def test_what_is_no_such_word_is_refused(read: Callable[[object], object], text: object) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        read(text)


def test_an_endpoint_knows_family_wildcard_and_overlap() -> None:
    everywhere, here, six = Endpoint.of("0.0.0.0:2641"), Endpoint.of("127.0.0.1:2641"), Endpoint.of("[::]:2641")
    assert everywhere.is_wildcard
    assert not here.is_wildcard
    assert six.is_ipv6
    assert everywhere.overlaps(here)
    assert not everywhere.overlaps(six)
    assert not here.overlaps(Endpoint("127.0.0.1", 2642))
    assert not here.overlaps(Endpoint("127.0.0.2", 2641))


@given(st.ip_addresses(), st.integers(1, 65535))
def test_an_endpoint_written_and_read_is_the_same(address: object, port: int) -> None:
    endpoint = Endpoint(str(address), port)
    assert Endpoint.of(str(endpoint)) == endpoint


@given(st.integers(0, 1 << 50))
def test_a_size_written_and_read_is_the_same(octets: int) -> None:
    assert units.size(units.size_text(octets)) == octets


@given(st.integers(0, 10_000_000))
def test_a_duration_written_and_read_is_the_same(milliseconds: int) -> None:
    seconds = milliseconds / 1000
    assert units.duration(units.duration_text(seconds)) == pytest.approx(seconds, rel=1e-5)


def test_a_reference_written_and_read_is_the_same() -> None:
    reference = Reference(300, "0.NA/88.100/é".encode())
    assert units.admin_reference(units.reference_text(reference)) == reference


def test_the_defaults_are_those_of_a_query_only_node_on_the_usual_port() -> None:
    config = Config()
    assert [str(endpoint) for endpoint in config.udp.listen] == ["0.0.0.0:2641", "[::]:2641"]
    assert config.tcp.listen == config.udp.listen
    assert config.udp.admin is False
    assert config.http.listen == config.admin.listen == config.tls.listen == ()
    assert (config.tls.cert, config.tls.key, config.tls.min_version) == (None, None, "1.2")
    assert config.tcp.max_message == 262_144
    assert config.node.server_key == Path("keys/server.pem")
    assert config.worker_count() >= 1
    assert config.namespace_xml() is None


def test_every_key_explains_itself_in_one_line() -> None:
    for name, model in SECTIONS.items():
        for key, field in model.model_fields.items():
            assert field.description, f"{name}.{key}"
            assert "\n" not in field.description


def test_a_configuration_cannot_be_changed() -> None:
    config = Config()
    with pytest.raises(ValidationError):
        config.node.name = "other"


def test_paths_begin_at_the_given_folder() -> None:
    node = NodeSection.model_validate({"data_dir": "/abs/store"}, context={"folder": Path("/etc/hnode")})
    assert node.server_key == Path("/etc/hnode/keys/server.pem")
    assert node.data_dir == Path("/abs/store")


def test_the_files_of_tls_begin_at_the_given_folder_and_old_versions_are_no_choice() -> None:
    folder = {"folder": Path("/etc/hnode")}
    tls = TlsSection.model_validate({"cert": "tls.pem", "key": "/abs/tls.key", "min_version": "1.3"}, context=folder)
    assert (tls.cert, tls.key) == (Path("/etc/hnode/tls.pem"), Path("/abs/tls.key"))
    for wrong in ("1.1", "1.0", "ssl3", 1.2, ""):
        with pytest.raises(ValidationError):
            TlsSection.model_validate({"min_version": wrong})


def test_a_fixed_number_of_workers_is_kept() -> None:
    assert Config(node=NodeSection(workers=3)).worker_count() == 3
    assert NodeSection.model_validate({"workers": "12"}).workers == 12
    for wrong in (0, 65, "many", True, "", 1.5):
        with pytest.raises(ValidationError):
            NodeSection.model_validate({"workers": wrong})


def test_a_namespace_file_is_read_as_octets(tmp_path: Path) -> None:
    (tmp_path / "ns.xml").write_bytes(b"<namespace/>")
    config = Config.model_validate({"resolution": {"namespace": "ns.xml"}}, context={"folder": tmp_path})
    assert config.namespace_xml() == b"<namespace/>"


def test_values_are_written_as_the_file_writes_them() -> None:
    assert as_texts(TcpSection())["idle_timeout"] == "60s"
    assert as_texts(UdpSection())["recv_buffer"] == "4MiB"
    assert as_texts(UdpSection())["listen"] == ["0.0.0.0:2641", "[::]:2641"]


def told(**sections: dict[str, object]) -> list[str]:
    """The keys that the checks across sections complain about."""
    models = {name: SECTIONS[name].model_validate(sections.get(name, {})) for name in SECTIONS}
    return [problem.key for problem in cross_problems(models, {})]


def test_the_defaults_contradict_nothing() -> None:
    assert told() == []


@pytest.mark.parametrize(
    ("sections", "key"),
    [
        ({"udp": {"listen": ["1.2.3.4:5", "1.2.3.4:5"]}}, "udp.listen[1]"),
        ({"http": {"listen": ["0.0.0.0:8000", "127.0.0.1:2641"]}}, "http.listen[1]"),
        ({"http": {"listen": ["127.0.0.1:8"]}, "admin": {"listen": ["127.0.0.1:8"]}}, "admin.listen[0]"),
        ({"tls": {"listen": ["1.2.3.4:5", "1.2.3.4:5"]}}, "tls.listen[1]"),
        ({"tls": {"listen": ["127.0.0.1:2641"]}}, "tls.listen[0]"),
        ({"tls": {"listen": ["127.0.0.1:8"]}, "http": {"listen": ["127.0.0.1:8"]}}, "http.listen[0]"),
        ({"tls": {"listen": ["127.0.0.1:8"]}, "udp": {"listen": []}, "tcp": {"listen": []}}, "udp.listen"),
        ({"tls": {"cert": "c.pem"}}, "tls.cert"),
        ({"tls": {"key": "c.key"}}, "tls.key"),
        ({"udp": {"listen": []}, "tcp": {"listen": []}}, "udp.listen"),
        ({"admin": {"listen": ["0.0.0.0:8001"]}}, "admin.listen[0]"),
        ({"admin": {"listen": ["8.8.8.8:8001"]}}, "admin.listen[0]"),
        ({"store": {"map_size": "2TiB"}}, "store.map_size"),
        ({"tcp": {"max_connections": 5}}, "tcp.max_connections_per_source"),
        ({"tcp": {"max_message": "4KiB"}}, "limits.value_bytes"),
    ],
)
def test_a_contradiction_is_told_once(sections: dict[str, dict[str, object]], key: str) -> None:
    assert told(**sections) == [key]


def test_udp_and_tcp_share_a_port_number_and_private_addresses_may_administer() -> None:
    assert told(admin={"listen": ["127.0.0.1:8001", "10.0.0.5:8001", "[::1]:8001", "[fd00::1]:8001"]}) == []
