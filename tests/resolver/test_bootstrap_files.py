"""The standard files of a resolver's folder: what each says, and what is told of one that cannot be used."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import InvalidValue
from protocol.json_form.sites import site_to_json
from protocol.value import HandleValue, value_list
from protocol.wire import Writer
from resolver.bootstrap.files import NAMES, SITES_MAX, read_files, write_root_file
from resolver.bootstrap.root_data import HANDLES_MAX, SIZE_MAX, RootData, read_root_data, write_root_data
from tests.support.roots import root_data, root_folder, site, site_value

ROOT_SITE = site()
HERE = site("127.0.0.1", 26410)


def info(*values: HandleValue) -> bytes:
    """`root_info`: a length that nobody reads, then the values."""
    octets = value_list(values)
    return len(octets).to_bytes(4, "big") + octets


def local_info(*entries: tuple[list[bytes], bytes]) -> bytes:
    body = Writer()
    body.u32(len(entries))
    for names, octets in entries:
        body.u32(len(names))
        for name in names:
            body.counted(name)
        body.counted(octets)
    return len(body.to_bytes()).to_bytes(4, "big") + body.to_bytes()


def test_a_root_written_and_read_is_the_same_octet_for_octet() -> None:
    odd = HandleValue(index=7, type=b"X", data=b"\x00\xff", permissions=0x06, ttl_type=1, ttl=1_700_000_000)
    data = root_data({b"0.NA/0.NA": (site_value(1, ROOT_SITE), odd), b"0.GHR/88": (site_value(1, HERE),)})
    assert read_root_data(write_root_data(data)) == data
    assert data.values(b"0.na/0.na") == (site_value(1, ROOT_SITE), odd)
    assert data.values(b"0.NA/88") is None


def test_the_file_of_the_software_in_service_is_read(tmp_path: Path) -> None:
    """Its shape as the spec shows it: lastUpdate, and handles by their names."""
    value = {"index": 1, "type": "HS_SITE", "data": {"format": "site", "value": site_to_json(ROOT_SITE)}, "ttl": 86400}
    record = {"handle": "0.NA/0.NA", "values": [value], "responseCode": 1}
    (tmp_path / "bootstrap_handles").write_text(json.dumps({"lastUpdate": 12, "handles": {"0.NA/0.NA": record}}))
    found = read_files(tmp_path)
    assert found.faults == []
    assert found.root is not None
    assert (found.root.updated_ms, found.root.values(b"0.NA/0.NA")) == (12, (site_value(1, ROOT_SITE),))


def test_the_older_form_of_the_root_counts_where_the_newer_is_missing(tmp_path: Path) -> None:
    (tmp_path / "root_info").write_bytes(info(site_value(1, HERE)))
    assert read_files(tmp_path).root == RootData.of(0, {b"0.NA/0.NA": (site_value(1, HERE),)})
    root_folder(tmp_path)
    assert read_files(tmp_path).root == root_data()


def test_an_unreadable_root_is_told_and_the_older_form_takes_its_place(tmp_path: Path) -> None:
    (tmp_path / "root_info").write_bytes(info(site_value(1, HERE)))
    (tmp_path / "bootstrap_handles").write_text('{"handles": {')
    found = read_files(tmp_path)
    (fault,) = found.faults
    assert fault.path == tmp_path / "bootstrap_handles"
    assert "no JSON" in fault.why
    assert "hnode upstream bootstrap" in fault.then
    assert found.root is not None
    assert found.root.values(b"0.NA/0.NA") == (site_value(1, HERE),)


def test_caching_servers_and_the_prefixes_that_go_to_them(tmp_path: Path) -> None:
    (tmp_path / "resolver_site").write_text(json.dumps(site_to_json(ROOT_SITE)))
    (tmp_path / "resolver_service").write_bytes(info(site_value(1, HERE), site_value(2, ROOT_SITE)))
    (tmp_path / "local_nas").write_text("0.na/88.100\n\n88.200\n")
    found = read_files(tmp_path)
    assert found.faults == []
    assert found.caches == (ROOT_SITE, HERE, ROOT_SITE)
    assert found.cached_prefixes == {b"0.NA/88.100", b"0.NA/88.200"}
    (tmp_path / "local_nas").write_text("0.na/88.100\n*\n")
    assert read_files(tmp_path).cached_prefixes == frozenset()
    (tmp_path / "resolver_site").write_bytes(HERE.to_bytes())
    assert read_files(tmp_path).caches[0] == HERE


def test_fixed_sites_those_read_later_stand_in_front(tmp_path: Path) -> None:
    both = local_info(([b"0.NA/88.100", b"88.200"], HERE.to_bytes()), ([b"0.na/88.100"], ROOT_SITE.to_bytes()))
    (tmp_path / "local_info").write_bytes(both)
    third = site("192.0.2.3")
    entry = {"nas": ["0.NA/88.100"], "site": site_to_json(third)}
    (tmp_path / "local_info.json").write_text(json.dumps([entry]))
    found = read_files(tmp_path)
    assert found.faults == []
    assert found.fixed == {b"0.NA/88.100": (third, ROOT_SITE, HERE), b"0.NA/88.200": (HERE,)}


def test_addresses_outside_and_inside(tmp_path: Path) -> None:
    (tmp_path / "local_addresses").write_text("192.0.2.1 10.0.0.1\n2001:db8::0001\tfd00::1\n")
    assert read_files(tmp_path).inside == {"192.0.2.1": "10.0.0.1", "2001:db8::1": "fd00::1"}


def test_settings_of_the_resolver(tmp_path: Path) -> None:
    (tmp_path / "config.dct").write_text(
        '{"preferred_root" = "0.GHR/88" "site_filter_keywords" = ("beijing" "cn north") "auto_update_root_info" = "no"}'
    )
    found = read_files(tmp_path)
    assert found.preferred_root == b"0.GHR/88"
    assert found.keywords == {b"beijing", b"cn", b"north"}
    assert found.is_refreshed is False
    (tmp_path / "config.dct").write_text('{"preferred_global_service_handle" = "0.NA/1" "auto_update_root_info"="yes"}')
    found = read_files(tmp_path)
    assert (found.preferred_root, found.keywords, found.is_refreshed) == (b"0.NA/1", frozenset(), True)


BROKEN = {
    "bootstrap_handles": (b"[]", b'{"handles": 3}', b'{"handles": {"0.NA/0.NA": {"values": [{"index": "x"}]}}}', b"["),
    "root_info": (b"", b"\0\0\0\0\0\0\0\x01", info(), info(site_value(1, HERE)) + b"x"),
    "resolver_site": (b"{", b"{}x", b"\0\x01", b"[" * 100_000),
    "resolver_service": (b"abc", info(HandleValue(index=1, type=b"URL", data=b"x"))),
    "local_nas": (b"\xff\xfe\n", b"a" * 3000),
    "local_info": (b"\0\0\0\0\xff\xff\xff\xff", local_info(([b"0.NA/1"], b"no site"))),
    "local_info.json": (b"{}", b'[{"nas": "0.NA/1"}]', b'[{"nas": ["0.NA/1"], "site": {"servers": 3}}]'),
    "local_addresses": (b"192.0.2.1\n", b"here there\n"),
    "config.dct": (b"{a b}", b"\xff", b"(" * 100),
}


@pytest.mark.parametrize(("name", "octets"), [(name, text) for name, texts in BROKEN.items() for text in texts])
def test_a_file_that_cannot_be_used_is_told_with_its_name_and_a_mend_and_the_others_count(
    tmp_path: Path, name: str, octets: bytes
) -> None:
    (tmp_path / "local_addresses").write_text("192.0.2.9 10.0.0.9\n")
    if name != "root_info":  # Nobody reads it where the newer form is there.
        root_folder(tmp_path)
    (tmp_path / name).write_bytes(octets)
    found = read_files(tmp_path)
    (fault,) = found.faults
    assert fault.path.name == name
    assert fault.why
    assert fault.then
    assert len(str(fault)) < 1000 + len(str(tmp_path))
    assert (found.root is None) == (name in ("bootstrap_handles", "root_info"))
    assert (found.inside == {}) == (name == "local_addresses")


def test_sizes_and_counts_have_bounds(tmp_path: Path) -> None:
    (tmp_path / "local_info.json").write_text(json.dumps([{}] * (SITES_MAX + 1)))
    (tmp_path / "config.dct").write_bytes(b"{" + b" " * SIZE_MAX + b"}")
    assert [fault.path.name for fault in read_files(tmp_path).faults] == ["local_info.json", "config.dct"]
    many: dict[str, object] = {f"0.X/{number}": {"values": []} for number in range(HANDLES_MAX + 1)}
    with pytest.raises(InvalidValue, match="at most 1,024"):
        read_root_data(json.dumps({"handles": many}).encode())
    with pytest.raises(InvalidValue, match="at most"):
        read_root_data(b" " * (SIZE_MAX + 1))


def test_a_missing_folder_and_an_unreadable_file_are_told(tmp_path: Path) -> None:
    (fault,) = read_files(tmp_path / "nowhere").faults
    assert fault.why == "there is no such folder"
    (tmp_path / "root_info").mkdir()
    (fault,) = read_files(tmp_path).faults
    assert "cannot be read" in fault.why


@settings(max_examples=150, deadline=None)
@given(name=st.sampled_from(NAMES), octets=st.binary(max_size=200))
def test_no_octets_raise(tmp_path_factory: pytest.TempPathFactory, name: str, octets: bytes) -> None:
    folder = tmp_path_factory.mktemp("any", numbered=True)
    (folder / name).write_bytes(octets)
    for fault in read_files(folder).faults:
        assert fault.path == folder / name


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
NAMED = st.sampled_from(
    ("handles", "lastUpdate", "handle", "values", "index", "type", "data", "format", "value", "ttl")
)
ANY_JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMED, inner, max_size=4), max_leaves=20
)


@settings(max_examples=200, deadline=None)
@given(handles=st.dictionaries(st.text(max_size=8), ANY_JSON, max_size=3), time=LEAVES)
def test_no_json_raises_anything_but_what_is_told(handles: dict[str, object], time: object) -> None:
    text = json.dumps({"handles": handles, "lastUpdate": time}).encode()
    try:
        found = read_root_data(text)
    except InvalidValue:
        return
    assert read_root_data(write_root_data(found)) == found


def test_a_write_that_fails_leaves_the_old_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root_folder(tmp_path)
    before = (tmp_path / "bootstrap_handles").read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("resolver.bootstrap.files.os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_root_file(tmp_path, RootData.of(5, {b"0.NA/0.NA": ()}))
    assert (tmp_path / "bootstrap_handles").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["bootstrap_handles"]
