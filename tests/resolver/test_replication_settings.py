"""The section [replication]: what a mirror must be told, and its files."""

import json
from pathlib import Path

import pytest

from protocol.json_form.sites import site_to_json
from protocol.site import Server, Site, address_octets
from protocol.trust.keys import private_pem, public_key_octets, public_of, public_pem
from protocol.value import Reference
from protocol.version import NEWEST, Version
from resolver import config_units as units
from resolver.config import ReplicationSection
from resolver.config_loading import load_config
from resolver.config_problems import ConfigError
from resolver.replication.settings import BadReplication, MirrorSettings, mirror_settings
from tests.support.signing import ADMIN_KEY, DSA_KEY, ROOT_KEY

MIRROR = """[replication]
role = "mirror"
source = "192.0.2.7:2641"
source_site = "site.bin"
key = "mirror.pem"
identity = "300:0.NA/88.200"
"""


def site(*keys: bytes) -> Site:
    servers = [
        Server(id=number, address=address_octets(f"192.0.2.{number}"), public_key=key)
        for number, key in enumerate(keys, 7)
    ]
    return Site(protocol=Version(2, 7), servers=tuple(servers))


ONE = site(public_key_octets(public_of(ROOT_KEY)))
TWO = site(public_key_octets(public_of(ROOT_KEY)), public_key_octets(public_of(DSA_KEY)))


def section(folder: Path, text: str = MIRROR) -> ReplicationSection:
    path = folder / "hnode.toml"
    path.write_text(text)
    return load_config(path, {}).config.replication


def settings(folder: Path, text: str = MIRROR, **files: bytes) -> MirrorSettings:
    named = {"site.bin": ONE.to_bytes(), "mirror.pem": private_pem(ADMIN_KEY)}
    named.update({name.replace("_", "."): octets for name, octets in files.items()})
    for name, octets in named.items():
        (folder / name).write_bytes(octets)
        (folder / name).chmod(0o600)
    return mirror_settings(section(folder, text))


def problems(folder: Path, text: str) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        section(folder, text)
    return {problem.key: problem.text for problem in caught.value.problems}


def test_a_node_is_a_primary_that_forgets_nothing_unless_told_otherwise(tmp_path: Path) -> None:
    found = section(tmp_path, "")
    assert (found.role, found.journal_age, found.mirror_grace, found.admins) == ("primary", 0, 30 * 86_400, ())


def test_a_mirror_is_made_of_the_files_that_it_names(tmp_path: Path) -> None:
    found = settings(tmp_path)
    assert (found.source.host, found.source.port, found.source.key) == ("192.0.2.7", 2641, public_of(ROOT_KEY))
    assert found.source.version == Version(2, 7)
    assert found.identity.key == Reference(300, b"0.NA/88.200")
    assert found.identity.private_key == ADMIN_KEY
    assert found.interval_s == 30


@pytest.mark.parametrize(
    "octets", [public_pem(public_of(ROOT_KEY)), public_key_octets(public_of(ROOT_KEY))], ids=["PEM", "pubkey.bin"]
)
def test_a_source_may_be_known_by_its_key_alone(tmp_path: Path, octets: bytes) -> None:
    found = settings(tmp_path, MIRROR.replace("source_site", "source_key"), site_bin=octets)
    assert (found.source.key, found.source.version) == (public_of(ROOT_KEY), NEWEST)


def test_a_site_record_may_be_json_and_have_several_servers(tmp_path: Path) -> None:
    octets = json.dumps(site_to_json(TWO)).encode()
    text = MIRROR.replace("192.0.2.7", "192.0.2.8")
    assert settings(tmp_path, text, site_bin=octets).source.key == public_of(DSA_KEY)
    with pytest.raises(BadReplication, match=r"none of them is at node\.example"):
        settings(tmp_path, MIRROR.replace("192.0.2.7", "node.example"), site_bin=octets)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"site_bin": b""}, "holds no site record"),
        ({"site_bin": b"{"}, "holds no site record"),
        ({"site_bin": b"{}"}, "servers, and none"),
        ({"site_bin": site(b"no key").to_bytes()}, "public key"),
        ({"site_bin": bytes(1 << 20) + b"x"}, "more than"),
        ({"mirror_pem": b"nothing"}, "holds no private key"),
        ({"mirror_pem": public_pem(public_of(ADMIN_KEY))}, "holds a public key"),
    ],
)
def test_files_that_cannot_be_used_are_told_by_name(tmp_path: Path, files: dict[str, bytes], said: str) -> None:
    with pytest.raises(BadReplication, match=said):
        settings(tmp_path, MIRROR, **files)


def test_a_private_key_of_the_source_and_one_that_others_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadReplication, match="must not have"):
        settings(tmp_path, MIRROR.replace("source_site", "source_key"), site_bin=private_pem(ROOT_KEY))
    settings(tmp_path)
    (tmp_path / "mirror.pem").chmod(0o640)
    with pytest.raises(BadReplication, match="others may use") as refused:
        mirror_settings(section(tmp_path))
    assert "chmod 600" in refused.value.then
    (tmp_path / "site.bin").unlink()
    with pytest.raises(BadReplication, match="cannot be read"):
        mirror_settings(section(tmp_path))


def test_a_mirror_that_lacks_something_hears_of_all_of_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        section(tmp_path, '[replication]\nrole = "mirror"\n')
    said = " ".join(problem.text for problem in caught.value.problems)
    for word in ("needs source", "needs key", "needs identity", "would believe anybody"):
        assert word in said


def test_contradictions_of_a_mirror_are_told(tmp_path: Path) -> None:
    assert "replication.source" in problems(tmp_path, '[replication]\nsource = "h:1"\n')
    both = MIRROR + 'source_key = "x"\n'
    assert problems(tmp_path, both) == {"replication.source_key": "the site record tells the source's key already"}
    two = MIRROR.replace('"300:0.NA/88.200"', '["300:0.NA/88.200", "301:0.NA/88.200"]')
    assert problems(tmp_path, two) == {"replication.identity": "a mirror is known as one key, not as 2"}


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("192.0.2.1:2641", ("192.0.2.1", 2641)),
        ("node.example.org:1", ("node.example.org", 1)),
        ("[2001:db8::1]:65535", ("[2001:db8::1]", 65535)),
    ],
)
def test_a_place_is_a_host_and_a_port(text: str, place: tuple[str, int]) -> None:
    assert units.place(text) == place


@pytest.mark.parametrize(
    "text", ["", "host", ":1", "host:0", "host:65536", "host:x", "2001:db8::1:2641", "[x]:1", "a b:1", "-a:1", "h/:1"]
)
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        units.place(text)
