"""The world that a walk begins in, derived from what the standard files say."""

from itertools import pairwise
from pathlib import Path

import pytest

from protocol.trust.keys import public_of
from protocol.value import HandleValue
from resolver.bootstrap.deriving import SERVICE_DEPTH_MAX, faults_of, own_places, world_of
from resolver.bootstrap.files import Files
from resolver.config import Config, TcpSection, UdpSection
from resolver.walk.world import World
from tests.support.roots import (
    Records,
    key_value,
    root_data,
    root_records,
    service_value,
    site,
    site_value,
    trust_record,
)
from tests.support.signing import ROOT_KEY

A, B, C = site("192.0.2.1"), site("192.0.2.2"), site("192.0.2.3")


def world(records: Records, **files: object) -> World:
    found = Files(folder=Path("conf"), root=root_data(records))
    for name, value in files.items():
        setattr(found, name, value)
    return world_of(found)


def test_nothing_known_is_an_empty_world() -> None:
    files = Files(folder=Path("conf"))
    assert world_of(files).is_empty
    (fault,) = faults_of(files)
    assert "no root is known" in fault.why


def test_global_sites_are_those_of_the_root_and_of_its_services_in_the_same_file() -> None:
    records = {
        b"0.NA/0.NA": (site_value(1, A), service_value(2, b"0.GHR/20"), service_value(3, b"0.GHR/99")),
        b"0.GHR/20": (site_value(1, B, b"HS_SITE.6"), service_value(2, b"0.GHR/21", b"HS_SERV.PREFIX")),
        b"0.GHR/21": (site_value(1, C), site_value(2, A), service_value(3, b"0.NA/0.NA")),
    }
    assert world(records).root_sites == (A, B, C)


def test_types_are_compared_exactly_and_broken_sites_passed_over() -> None:
    records = {
        b"0.NA/0.NA": (
            site_value(1, A, b"hs_site"),
            service_value(2, b"0.GHR/20", b"hs_serv"),
            HandleValue(index=3, type=b"HS_SITE", data=b"broken"),
            site_value(4, B, b"HS_SITE.PREFIX"),
        ),
        b"0.GHR/20": (site_value(1, C),),
    }
    assert world(records).root_sites == ()


def test_services_are_followed_to_a_depth_and_no_further() -> None:
    def chain(length: int) -> Records:
        handles = [b"0.NA/0.NA", *(b"0.GHR/%d" % number for number in range(length))]
        records: Records = {a: (service_value(1, b),) for a, b in pairwise(handles)}
        return records | {handles[-1]: (site_value(1, A),)}

    assert world(chain(SERVICE_DEPTH_MAX)).root_sites == (A,)
    assert world(chain(SERVICE_DEPTH_MAX + 1)).root_sites == ()


def test_root_keys_and_namespace() -> None:
    namespace = HandleValue(index=5, type=b"HS_NAMESPACE", data=b"<namespace/>")
    found = world(trust_record() | {b"0.NA/0.NA": (site_value(1, A), namespace)})
    assert found.root_keys == (public_of(ROOT_KEY),)
    assert found.namespace == b"<namespace/>"


def test_fixed_sites_of_all_prefixes_replace_the_global_ones() -> None:
    found = world(root_records(), fixed={b"0.NA/0.NA": (B,), b"0.NA/88": (C,)})
    assert found.root_sites == (B,)
    assert found.fixed == {b"0.NA/88": (C,)}


def test_a_preferred_root_is_used_if_it_has_sites() -> None:
    records = root_records(site_value(1, A)) | {b"0.GHR/88": (site_value(1, B),), b"0.GHR/1": ()}
    assert world(records, preferred_root=b"0.ghr/88").root_sites == (B,)
    assert world(records, preferred_root=b"0.GHR/1").root_sites == (A,)
    files = Files(folder=Path("conf"), root=root_data(records), preferred_root=b"0.GHR/1")
    (fault,) = faults_of(files)
    assert "preferred_root 0.GHR/1 has no sites" in fault.why


def test_a_root_without_sites_is_told() -> None:
    (fault,) = faults_of(Files(folder=Path("conf"), root=root_data({b"0.NA/0.NA": (key_value(1, ROOT_KEY),)})))
    assert "names no site" in fault.why


@pytest.mark.parametrize("listen", ["127.0.0.1:2641", "0.0.0.0:2641"])
def test_a_node_knows_where_it_is_itself(listen: str) -> None:
    context = {"folder": Path()}
    config = Config(
        udp=UdpSection.model_validate({"listen": [listen]}, context=context),
        tcp=TcpSection.model_validate({"listen": ["127.0.0.1:2642"]}, context=context),
    )
    assert {("127.0.0.1", 2641), ("127.0.0.1", 2642)} <= own_places(config)
