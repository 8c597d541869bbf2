"""The graph search on small fabrics, with channels and speeds worked out by hand.

NCCL counts 20.6 of an H100 NVLink's 25 GB/s (18 links: 370.8), 20 of an A100's (12 links: 240), 40.1 of a B200's 50
(18 links: 721.8), and 48 GB/s of a PCIe 5 path, 24 of a PCIe 4 one.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.collectives.nccl.constants import Algorithm, Architecture, Cpu, PathType, Pattern
from planner.collectives.nccl.from_fabric import find_groups
from planner.collectives.nccl.hardware import counted_nvlink_bytes_per_s, counted_pcie_bytes_per_s
from planner.collectives.nccl.node_view import node_view, view_key
from planner.collectives.nccl.search import NodeGraphs, search_unit
from tests.planner.collectives.nccl_fabrics import A100, B200, GB, H100, hosts_on_rails
from topologies.errors import InputError
from topologies.fabric import Fabric


def graphs(fabric: Fabric, members: int = 8, *, inter: bool = True) -> NodeGraphs:
    return search_unit(node_view(fabric, np.arange(members)), inter=inter)


def figures(fabric: Fabric, algorithm: Algorithm, members: int = 8, *, inter: bool = True) -> tuple[float, ...]:
    graph = graphs(fabric, members, inter=inter)[algorithm].graph
    return graph.channels, graph.intra_bytes_per_s / GB, graph.inter_bytes_per_s / GB


def test_one_h100_host() -> None:
    fabric = hosts_on_rails(H100)
    # 6 rings of 60 fill 370.8 best; channels of 60 are split in two.
    assert figures(fabric, Algorithm.RING, inter=False) == pytest.approx((12, 30, 30))
    assert figures(fabric, Algorithm.TREE, inter=False) == pytest.approx((12, 30, 30))
    # 8 heads: 7 pulls and 2 for the head itself, 9 × 40 ≤ 370.8.
    assert figures(fabric, Algorithm.NVLS, inter=False) == pytest.approx((8, 40, 60))


def test_h100_hosts_cross_their_nics_in_pairs() -> None:
    found = graphs(hosts_on_rails(H100))
    ring = found[Algorithm.RING]
    # Eight rings back to their own NIC would take 8 × 48 = 384 of 370.8; crossed pairs spare the way back: 7 × 48.
    assert (ring.graph.channels, ring.graph.intra_bytes_per_s / GB) == (8, 48)
    assert [(c.entry_nic, c.exit_nic) for c in ring.channels] == [(c, c ^ 1) for c in range(8)]
    assert ring.crosses_nics
    assert ring.graph.inter_path is PathType.PIX
    assert found[Algorithm.TREE].graph.pattern is Pattern.TREE
    assert figures(hosts_on_rails(H100), Algorithm.NVLS) == pytest.approx((8, 40, 48))


def test_a100_and_b200_hosts_relay_to_their_own_nic() -> None:
    for part, rate, nic, speed in ((A100, 300.0, 25.0, 24), (B200, 900.0, 50.0, 48)):
        fabric = hosts_on_rails(part, scale_up_gb_per_s=rate, nic_gb_per_s=nic)
        ring = graphs(fabric)[Algorithm.RING]
        assert (ring.graph.channels, ring.graph.inter_bytes_per_s / GB) == (8, speed)
        assert ring.graph.inter_path is PathType.PXN
        assert all(c.entry_nic == c.exit_nic and c.relay == c.order[0] for c in ring.channels)
    # Trees of B200 run inside at twice the NIC's speed.
    assert figures(hosts_on_rails(B200, scale_up_gb_per_s=900.0), Algorithm.TREE) == pytest.approx((8, 96, 48))


def test_ring_orders_visit_every_accelerator_once() -> None:
    for part in (A100, H100, B200):
        for channel in graphs(hosts_on_rails(part))[Algorithm.RING].channels:
            assert sorted(channel.order) == list(range(8))


def test_a_part_of_a_host_uses_its_own_nics_only() -> None:
    fabric = hosts_on_rails(H100)
    ring = graphs(fabric, 4)[Algorithm.RING]
    assert {c.entry_nic for c in ring.channels} == {0, 1, 2, 3}
    # 4 × 48 at first; four channels or fewer of 25 GB/s or more are split: 8 × 24.
    assert (ring.graph.channels, ring.graph.inter_bytes_per_s / GB) == (8, 24)
    assert figures(fabric, Algorithm.RING, 1)[0] * figures(fabric, Algorithm.RING, 1)[2] == pytest.approx(48)


def test_two_accelerators_on_one_nic_need_no_relay() -> None:
    fabric = hosts_on_rails(A100, accelerators=4, nics=2, nic_gb_per_s=25.0, pair_gb_per_s=100.0)
    ring = graphs(fabric, 4)[Algorithm.RING]
    assert ring.graph.inter_path is PathType.PIX
    assert ring.graph.channels * ring.graph.inter_bytes_per_s / GB == pytest.approx(48)


def test_direct_links_are_all_used() -> None:
    # 4 accelerators, each pair 100 GB/s = 4 links of 20: every directed link carries two rings of 40: 6 × 40 = 240.
    fabric = hosts_on_rails(A100, accelerators=4, nics=4, nic_gb_per_s=25.0, pair_gb_per_s=100.0)
    ring = graphs(fabric, 4, inter=False)[Algorithm.RING]
    assert ring.graph.channels * ring.graph.intra_bytes_per_s / GB == pytest.approx(240)
    assert graphs(fabric, 4, inter=False)[Algorithm.NVLS].graph.channels == 0


def test_several_nics_of_one_accelerator_are_one_device() -> None:
    fabric = hosts_on_rails(H100, nics=32, nic_gb_per_s=12.5)
    view = node_view(fabric, np.arange(8))
    assert view.num_nics == 8
    assert view.nic_bytes_per_s.tolist() == [50 * GB] * 8
    assert figures(fabric, Algorithm.RING) == pytest.approx((8, 48, 48))


def test_what_nccl_counts_of_links() -> None:
    assert counted_nvlink_bytes_per_s(450 * GB, Architecture.HOPPER) / GB == pytest.approx(370.8)
    assert counted_nvlink_bytes_per_s(200 * GB, Architecture.HOPPER) / GB == pytest.approx(8 * 20.6)  # H800
    for rate, counted in ((12.5, 12), (25, 24), (50, 48), (64, 48), (100, 96), (450, 450)):
        assert counted_pcie_bytes_per_s(rate * GB) / GB == pytest.approx(counted)


def test_parts_that_say_nothing_are_judged_by_their_rate() -> None:
    view = node_view(hosts_on_rails(None, scale_up_gb_per_s=900.0), np.arange(8))
    assert (view.architecture, view.cpu, view.is_assumed) == (Architecture.BLACKWELL, Cpu.INTEL, True)
    assert not node_view(hosts_on_rails(H100), np.arange(8)).is_assumed


def test_groups_count_units_and_ranks() -> None:
    fabric = hosts_on_rails(H100, hosts=4)
    one, four, uneven = find_groups(fabric, [np.arange(8), np.arange(32), [0, 1, 2, 3, 8, 9]])
    assert (one.communicator.num_nodes, one.communicator.num_ranks, one.communicator.channels) == (1, 8, 24)
    assert (four.communicator.num_nodes, four.communicator.num_ranks, four.communicator.channels) == (4, 32, 16)
    assert (uneven.communicator.num_nodes, uneven.communicator.num_ranks) == (2, 6)
    # The unit with two NICs holds the other back.
    assert uneven.communicator.graphs[Algorithm.RING].channels <= uneven.kind[0].graphs[Algorithm.RING].graph.channels
    assert uneven.least("ring_nic_bytes_per_s") == 100 * GB


def test_units_wired_alike_are_searched_once() -> None:
    fabric = hosts_on_rails(H100, hosts=4)
    keys = {view_key(fabric, np.arange(8 * h, 8 * h + 8)) for h in range(4)}
    assert len(keys) == 1
    assert view_key(fabric, np.arange(4)) != view_key(fabric, np.arange(4, 8))
    cut = fabric.without(nodes=[int(fabric.accelerator_nic[8])])
    assert view_key(cut, np.arange(8)) != view_key(cut, np.arange(8, 16))


@pytest.mark.parametrize(
    ("ranks", "words"),
    [
        ([[3]], "two members"),
        ([[]], "two members"),
        ([[0, 0]], "twice"),
        ([[0, 999]], "does not exist"),
        ([[0, -1]], "does not exist"),
    ],
)
def test_bad_groups_are_refused(ranks: list[list[int]], words: str) -> None:
    with pytest.raises(InputError, match=words):
        find_groups(hosts_on_rails(H100), ranks)


def test_groups_without_a_way_are_refused() -> None:
    fabric = hosts_on_rails(H100)
    lonely = fabric.without(nodes=fabric.accelerator_nic.tolist())
    with pytest.raises(InputError, match="no path joins"):
        find_groups(lonely, [np.arange(16)])
    assert find_groups(lonely, [np.arange(8)])[0].num_units == 1


_TWO_HOSTS = hosts_on_rails(H100)


@given(permutation=st.permutations(range(16)))
def test_rank_order_inside_units_changes_no_graph(permutation: list[int]) -> None:
    fabric = _TWO_HOSTS
    (plain,), (mixed,) = (find_groups(fabric, [ranks]) for ranks in (range(16), permutation))
    assert plain.communicator == mixed.communicator
