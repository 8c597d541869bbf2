"""multi-level-nvl and scale-up-pod, with counts worked out by hand."""

import numpy as np
import pytest

from tests.topologies.fabrics import counts, fabric_from
from topologies.errors import InputError
from topologies.fabric import Fabric, LinkKind, NodeKind


def nvl(domains: str, tray: str = "switches: 18, switch: nvlink-5-switch") -> Fabric:
    return fabric_from(
        "schema_version: 1\nkind: multi-level-nvl\nname: t\n"
        f"domains: {{{domains}, tray: {{part: gb200-tray, scale_up: {{{tray}}}}}}}\nnetwork: {{leaf: qm9700}}\n"
    )


def num_scale_up_switches(fabric: Fabric) -> int:
    return int((fabric.node_kind == NodeKind.SCALE_UP_SWITCH).sum())


def test_nvl36_by_two_crossed() -> None:
    # two racks of 9 trays × 4 GPUs: a chip has 36 links of 50 GB/s down and 36 across to its like: 72 ports.
    fabric = nvl("count: 2, racks: 2, trays: 9, joined: crossed")
    assert (fabric.num_hosts, fabric.num_accelerators, fabric.num_domains) == (36, 144, 2)
    assert num_scale_up_switches(fabric) == 2 * 2 * 18
    scale_up = fabric.link_kind == LinkKind.SCALE_UP
    # 144 × 18 accelerator links, 2 domains × 18 chips × 36 across
    assert scale_up.sum() == 2 * (144 * 18 + 2 * 18 * 36)
    assert np.bincount(fabric.accelerator_domain).tolist() == [72, 72]


@pytest.mark.parametrize(("given", "upper", "degree"), [("", 9, 64), (", upper_switches: 8", 8, 72)])
def test_nvl576_from_16_racks_of_36(given: str, upper: int, degree: int) -> None:
    # 18 chips a rack with 36 down and 36 up. The 16 chips of one number have 576 cables up: 8 upper chips of 72 ports
    # would do, 9 give every pair a bundle of 4.
    fabric = nvl(f"count: 1, racks: 16, trays: 9{given}")
    assert (fabric.num_accelerators, fabric.num_domains) == (576, 1)
    assert num_scale_up_switches(fabric) == 16 * 18 + 18 * upper
    scale_up = fabric.link_kind == LinkKind.SCALE_UP
    assert scale_up.sum() == 2 * (576 * 18 + 16 * 18 * 36)
    degrees = np.bincount(fabric.link_source[scale_up], minlength=fabric.num_nodes)
    assert degrees[fabric.node_kind == NodeKind.SCALE_UP_SWITCH].tolist() == [72] * 288 + [degree] * 18 * upper
    # chip 5 of any rack goes to the upper chips of number 5 only
    chip = fabric.node_idx("rack0003/nvs05")
    up = fabric.link_target[scale_up & (fabric.link_source == chip)]
    names = [fabric.node_names[i] for i in up[up >= fabric.num_accelerators]]
    assert len(names) == 36
    assert {name[:17] for name in names} == {"domain000/upper05"}


def test_nvl144_from_4_racks_of_36() -> None:
    # the 4 chips of one number have 144 cables up: 2 upper chips of 72 ports
    fabric = nvl("count: 3, racks: 4, trays: 9")
    assert (fabric.num_accelerators, fabric.num_domains) == (3 * 144, 3)
    assert num_scale_up_switches(fabric) == 3 * (4 * 18 + 18 * 2)


@pytest.mark.parametrize(("trays", "size"), [(9, 36), (18, 72)])
def test_one_level_racks(trays: int, size: int) -> None:
    fabric = fabric_from(
        "schema_version: 1\nkind: nvl-rack\nname: t\n"
        f"racks: {{count: 2, trays: {trays}, part: gb200-tray, scale_up: {{switches: 18, switch: nvlink-5-switch}}}}\n"
        "network: {leaf: qm9700}\n"
    )
    assert np.bincount(fabric.accelerator_domain).tolist() == [size, size]
    assert num_scale_up_switches(fabric) == 2 * 18


def test_oversubscribed_levels() -> None:
    # 2:1: 48 down, 24 up (12 trays); 6 racks × 24 = 144 cables on 2 upper chips
    fabric = nvl("count: 1, racks: 6, trays: 12, oversubscription: 2:1")
    assert num_scale_up_switches(fabric) == 6 * 18 + 18 * 2
    scale_up = fabric.link_kind == LinkKind.SCALE_UP
    assert scale_up.sum() == 2 * (288 * 18 + 6 * 18 * 24)


def test_levels_without_parts_share_the_rate() -> None:
    # one switch a rack of 2 trays × 4 GPUs at 900 GB/s: 7200 GB/s up at 1:1, over 2 upper switches 3600 each
    fabric = nvl("count: 1, racks: 3, trays: 2, upper_switches: 2", tray="switches: 1")
    assert num_scale_up_switches(fabric) == 5
    rates = fabric.link_capacity_bytes_per_s[fabric.link_kind == LinkKind.SCALE_UP]
    assert sorted(set(rates.tolist())) == [900e9, 3600e9]


def test_levels_that_do_not_fit() -> None:
    with pytest.raises(InputError) as caught:
        nvl("count: 1, racks: 8, trays: 18")
    assert caught.value.message == (
        "fabric.yaml:4: domains.tray.scale_up.switches: a scale-up switch of a rack has too few ports; "
        "found: 72 ports down and 72 up; allowed: 72 ports of 400 Gb/s on nvlink-5-switch; "
        "fix: use more switches or fewer trays a rack, or a larger oversubscription"
    )
    with pytest.raises(InputError, match=r"domains.joined: crossed racks come in pairs; found: 3 racks a domain"):
        nvl("count: 1, racks: 3, trays: 9, joined: crossed")


def pod(hosts: str, more: str = "") -> Fabric:
    return fabric_from(
        "schema_version: 1\nkind: scale-up-pod\nname: t\n"
        f"hosts: {{accelerator: mi355x, accelerators: 8, {hosts}}}\n{more}"
    )


def test_a_ualink_pod() -> None:
    # 128 accelerators in 16 hosts, 5 planes of 128-port switches of 100 GB/s; 535.5 GB/s ÷ 5 needs 2 ports a link…
    # so state the rate: 500 GB/s, one port a plane.
    fabric = pod(
        "count: 16, scale_up: {form: switch, switches: 5, switch: ualink-128, gb_per_s: 500}", "hosts_a_domain: 16\n"
    )
    assert (fabric.num_accelerators, fabric.num_domains, fabric.num_nics) == (128, 1, 0)
    assert num_scale_up_switches(fabric) == 5
    assert fabric.num_links == 2 * 128 * 5
    assert set(fabric.link_capacity_bytes_per_s.tolist()) == {100e9}


def test_pods_on_ethernet_switches_joined_by_rails() -> None:
    # 3 domains of 4 hosts, the last with 2: 10 hosts; 8 planes, each one port of 400 Gb/s of a 64-port switch
    fabric = pod(
        "nic: pollara-400g, nics: 8, count: 10, scale_up: {form: switch, switches: 8, switch: qm9700, gb_per_s: 400}",
        "hosts_a_domain: 4\nnetwork: {leaf: qm9700}\n",
    )
    assert np.bincount(fabric.accelerator_domain).tolist() == [32, 32, 16]
    assert num_scale_up_switches(fabric) == 24
    assert counts(fabric)["leaves"] == 8


@pytest.mark.parametrize(
    ("hosts", "more", "message"),
    [
        ("count: 8", "hosts_a_domain: 4\n", "network: nothing joins the domains; found: 2 domains, 0 NICs a host"),
        (
            "count: 4",
            "hosts_a_domain: 4\nnetwork: {leaf: qm9700}\n",
            "network: NICs and a network go together; found: 1 domains, 0 NICs a host, a network",
        ),
        (
            "count: 40, scale_up: {form: switch, switches: 5, switch: ualink-128, gb_per_s: 500}",
            "hosts_a_domain: 40\n",
            "hosts.scale_up.switches: a scale-up switch has too few ports; found: 320 accelerators with 800 Gb/s each "
            "need 320 ports; allowed: 128 ports of 800 Gb/s on ualink-128",
        ),
    ],
)
def test_pods_that_cannot_be(hosts: str, more: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        pod(hosts, more)
    assert message in caught.value.message
