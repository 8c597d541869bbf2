"""`collective_times` on fabrics: times worked out by hand, limits of the network behind the NICs, refusals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.collectives.collective import collective_time, collective_times
from planner.collectives.efficiency import (
    Efficiency,
    SizeCorrection,
    default_efficiency,
    network_of,
    size_correction,
)
from planner.collectives.sizes import check_sizes, size_ladder
from tests.planner.collectives.nccl_fabrics import B200, GB, H100, hosts_on_rails
from topologies.builder import FabricBuilder
from topologies.errors import InputError
from topologies.fabric import Fabric, LinkKind
from topologies.parts import Part

PERFECT = Efficiency(network_frac=1.0, source="test")
GIB = 2**30


def two_leaves(*, hosts: int = 4, uplinks: int = 8) -> Fabric:
    """Build half of the hosts on each leaf, one spine; the leaves' uplinks carry `uplinks` NICs' worth.

      spine
      |    |
    leaf0 leaf1
    h0 h1 h2 h3    (8 H100 and 8 NICs of 50 GB/s each)
    """
    builder = FabricBuilder("two-leaves")
    block = builder.add_hosts(
        [f"h{i}" for i in range(hosts)], accelerators=8, part=H100, nics=8, host_link_bytes_per_s=50 * GB
    )
    switch = builder.add_switches([f"nvs{i}" for i in range(hosts)], scale_up=True)
    builder.add_cables(block.accelerator, switch[:, np.newaxis], rate_bytes_per_s=450 * GB)
    leaf = builder.add_switches(["leaf0", "leaf1"], tier=1)
    spine = builder.add_switch("spine", tier=2)
    builder.add_cables(block.nic, leaf[np.arange(hosts) * 2 // hosts][:, np.newaxis], rate_bytes_per_s=50 * GB)
    builder.add_cables(leaf, spine, rate_bytes_per_s=uplinks * 50 * GB)
    return builder.build()


def test_ring_of_four_hosts_by_hand() -> None:
    fabric = hosts_on_rails(H100, hosts=4)
    table = collective_time(fabric, range(32), "all-reduce", [16 * GIB], algorithm="ring", protocol="Simple",
                            efficiency=PERFECT)  # fmt: skip
    # 8.4 + 56 × 3.4 + 6 × 14 us, and 16 GiB at 8 × 48 × 32/62 GB/s.
    assert table.time_s[0, 0] == pytest.approx(282.8e-6 + 16 * GIB / (384 * GB * 32 / 62))
    assert table.busbw_bytes_per_s[0, 0] == pytest.approx(table.algbw_bytes_per_s[0, 0] * 62 / 32)
    # Half of the line rate, 200 of the graph's 384 GB/s.
    half = Efficiency(network_frac=0.5, source="test")
    slow = collective_time(fabric, range(32), "all-reduce", [16 * GIB], algorithm="ring", protocol="Simple",
                           efficiency=half)  # fmt: skip
    assert slow.time_s[0, 0] == pytest.approx(282.8e-6 + 16 * GIB / (200 * GB * 32 / 62))


def test_in_switch_reduction_by_hand() -> None:
    fabric = hosts_on_rails(H100, hosts=2)
    one = collective_time(fabric, range(8), "all-reduce", [16 * GIB], algorithm="nvls", efficiency=PERFECT)
    # 25 us, two rounds of 8 heads × 16 channels × 128 KiB, and the size, all at 0.6 of 450 GB/s.
    assert one.time_s[0, 0] == pytest.approx(25e-6 + (16 * GIB + 2 * 128 * 128 * 1024) / (270 * GB))
    two = collective_time(fabric, range(16), "all-reduce", [16 * GIB], algorithm="nvlstree", efficiency=PERFECT)
    # Two hosts: NICs carry the size once at 400 GB/s, so the switches' 270 GB/s limit.
    assert two.algbw_bytes_per_s[0, 0] == pytest.approx(270 * GB, rel=0.01)
    blackwell = hosts_on_rails(B200, hosts=4, scale_up_gb_per_s=900.0)
    four = collective_time(blackwell, range(32), "all-reduce", [64 * GIB], algorithm="nvlstree", efficiency=PERFECT)
    assert four.algbw_bytes_per_s[0, 0] == pytest.approx(200 * GB, rel=0.01)


def test_auto_is_what_nccl_picks() -> None:
    fabric = hosts_on_rails(H100, hosts=4)
    table = collective_times(fabric, [range(8), range(32)], "all-reduce", [1024, GIB])
    assert table.algorithm.tolist() == [["Ring", "NVLS"], ["Tree", "Ring"]]
    assert table.protocol.tolist() == [["LL", "Simple"], ["LL", "Simple"]]
    assert table.num_ranks.tolist() == [8, 32]
    assert "uncalibrated" in table.efficiency.source


def test_many_groups_and_sizes_in_one_call_are_the_same_as_one_by_one() -> None:
    fabric = hosts_on_rails(H100, hosts=4)
    groups = [range(8), range(16), range(32), [0, 8, 16, 24]]
    for op in ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "broadcast", "reduce", "send-recv"):
        table = collective_times(fabric, groups, op, [8, 4096, GIB])
        assert table.time_s.shape == (4, 3)
        assert (table.time_s > 0).all()
        assert np.isfinite(table.time_s).all()
        for i, group in enumerate(groups):
            alone = collective_time(fabric, group, op, [8, 4096, GIB])
            assert np.array_equal(alone.time_s[0], table.time_s[i])


def test_an_oversubscribed_network_limits_and_is_named() -> None:
    full, thin = two_leaves(uplinks=16), two_leaves(uplinks=2)
    groups = [range(32), range(16)]
    wide = collective_times(full, groups, "all-reduce", [16 * GIB], algorithm="ring")
    narrow = collective_times(thin, groups, "all-reduce", [16 * GIB], algorithm="ring")
    # A ring through two leaves crosses each uplink once, with eight channels on two NICs' worth of uplink: a quarter.
    assert narrow.time_s[0, 0] / wide.time_s[0, 0] == pytest.approx(4, rel=0.06)
    # Two hosts on one leaf do not notice.
    assert narrow.time_s[1, 0] == pytest.approx(wide.time_s[1, 0])
    link = int(narrow.bottleneck_link[0])
    assert thin.link_kind[link] == LinkKind.SCALE_OUT
    assert thin.link_tier[link] == 2


def test_all_to_all_and_send_recv_by_hand() -> None:
    fabric = hosts_on_rails(H100, hosts=2)
    exchange = Efficiency(network_frac=1.0, exchange_frac=1.0, pair_frac=1.0)
    table = collective_time(fabric, range(16), "all-to-all", [16 * GIB], efficiency=exchange)
    # Each rank sends half of its buffer through its own NIC; 15 peers are two rounds of eight.
    assert table.time_s[0, 0] == pytest.approx(8.4e-6 + 2 * 14e-6 + 8 * GIB / (50 * GB))
    send = collective_time(fabric, range(16), "send-recv", [16 * GIB], efficiency=exchange)
    assert send.time_s[0, 0] == pytest.approx(8.4e-6 + 14e-6 + 16 * GIB / (50 * GB))
    inside = collective_time(fabric, range(8), "all-to-all", [16 * GIB], efficiency=exchange)
    assert inside.time_s[0, 0] == pytest.approx(8.4e-6 + 3.4e-6 + 14 * GIB / (370.8 * GB))


def test_closed_forms_by_name() -> None:
    fabric = hosts_on_rails(H100, hosts=4)
    for name in ("recursive-doubling", "halving-doubling", "double-binary-tree", "hierarchical", "in-switch"):
        table = collective_time(fabric, range(32), "all-reduce", [1024, GIB], algorithm=name)
        assert table.algorithm.tolist() == [[name, name]]
        assert np.isfinite(table.time_s).all()
    small = {
        name: float(collective_time(fabric, range(32), "all-reduce", [64], algorithm=name).time_s[0, 0])
        for name in ("recursive-doubling", "halving-doubling")
    }
    assert small["recursive-doubling"] < small["halving-doubling"]
    assert collective_time(fabric, range(32), "all-to-all", [64], algorithm="bruck").time_s[0, 0] > 0


@pytest.mark.parametrize("sizes", [[0], [-1], [1.5], [2**63], [True], ["1"], [], [float("nan")], [float("inf")]])
def test_bad_sizes_are_refused(sizes: list[object]) -> None:
    with pytest.raises(InputError):
        check_sizes(sizes)


def test_sizes_to_the_largest() -> None:
    assert check_sizes([1, 2**63 - 1]).tolist() == [1.0, 2.0**63]
    assert size_ladder(1024, 10000) == [1024, 2048, 4096, 8192]
    with pytest.raises(InputError, match="must rise"):
        size_ladder(2048, 1024)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"algorithm": "rinng"}, "no such algorithm"),
        ({"algorithm": "collnetdirect"}, "would not use"),
        ({"protocol": "LL1"}, "no such protocol"),
        ({"algorithm": "nvls", "protocol": "LL"}, "would not use"),
    ],
)
def test_bad_choices_are_refused(options: dict[str, str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        collective_time(hosts_on_rails(H100), range(16), "all-reduce", [1024], **options)


def test_kinds_of_network_change_latency() -> None:
    def fabric(part: Part) -> Fabric:
        builder = FabricBuilder("f")
        block = builder.add_hosts(["a", "b"], accelerators=1, nics=1, nic_part=part, host_link_bytes_per_s=50 * GB)
        builder.add_cables(block.nic[:, 0], builder.add_switch("s", tier=1), rate_bytes_per_s=50 * GB)
        return builder.build()

    efa, ib = Part("efa-v2", "nic"), Part("cx7", "nic", values={"fabric": "InfiniBand"})
    assert (network_of(fabric(efa)), network_of(fabric(ib)), network_of(fabric(Part("x", "nic")))) == (
        "EFA",
        "InfiniBand",
        None,
    )
    assert default_efficiency(fabric(efa)).latency_factor > default_efficiency(fabric(ib)).latency_factor
    slow, fast = (collective_time(fabric(part), [0, 1], "all-reduce", [8]).time_s[0, 0] for part in (efa, ib))
    assert slow > fast


def test_size_corrections_reach_neighbours_only() -> None:
    correction = SizeCorrection("all-reduce", 4, (1e6, 1e8), (2.0, 1.0))
    used = Efficiency(network_frac=1.0, corrections=(correction,))
    assert size_correction(used, "all-reduce", 4, [1e5, 1e6, 1e7, 1e9]) == pytest.approx([2, 2, 2**0.5, 1])
    assert size_correction(used, "all-reduce", 5, [1e6]) == pytest.approx([2])
    assert size_correction(used, "all-reduce", 16, [1e6]) == pytest.approx([1])
    assert size_correction(used, "all-gather", 4, [1e6]) == pytest.approx([1])


def test_the_stated_band() -> None:
    used = Efficiency(network_frac=0.9, error_frac=0.25, small_error_factor=2.0)
    table = collective_time(hosts_on_rails(H100), range(16), "all-reduce", [1024, GIB], efficiency=used)
    low, high = table.time_band_s
    # off by a quarter of what was measured: 1.25 times it, or 0.75 times it
    assert (low / table.time_s)[0] == pytest.approx([0.5, 1 / 1.25])
    assert (high / table.time_s)[0] == pytest.approx([2.0, 1 / 0.75])


_RAILS = hosts_on_rails(H100, hosts=4)


@given(order=st.permutations(range(4)), size=st.integers(10, 34))
def test_relabelling_hosts_changes_no_time(order: list[int], size: int) -> None:
    ranks = np.concatenate([np.arange(8 * host, 8 * host + 8) for host in order])
    plain = collective_time(_RAILS, range(32), "all-reduce", [2**size]).time_s
    assert collective_time(_RAILS, ranks, "all-reduce", [2**size]).time_s == pytest.approx(plain)


@given(factor=st.floats(1.0, 8.0), size=st.integers(20, 34))
def test_faster_uplinks_never_hurt(factor: float, size: int) -> None:
    thin = two_leaves(uplinks=2)
    uplink = np.flatnonzero(thin.link_tier == 2)
    wide = thin.with_capacity(uplink.tolist(), 100 * GB * factor)
    slow, fast = (collective_time(f, range(32), "all-reduce", [2**size]).time_s[0, 0] for f in (thin, wide))
    assert fast <= slow * (1 + 1e-12)
