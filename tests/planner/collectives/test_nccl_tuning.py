"""NCCL's tuning model, by hand from the published formulas; the library's own figures are held in tests/validation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.collectives.nccl.communicators import ChannelGraph, Communicator, stack
from planner.collectives.nccl.constants import Algorithm, Architecture, Cpu, PathType, Pattern, Protocol
from planner.collectives.nccl.selection import pick, predicted_times_s
from planner.collectives.nccl.tuning import tune
from topologies.errors import InputError

GB = 1e9
RING = ChannelGraph(8, 48 * GB, 48 * GB, Pattern.RING, PathType.NVL, PathType.PIX)
TREE = replace(RING, pattern=Pattern.TREE)
NVLS = ChannelGraph(8, 40 * GB, 48 * GB, Pattern.NVLS, PathType.NVL, PathType.PIX)
NONE = ChannelGraph()


def h100(nodes: int, **changes: object) -> Communicator:
    """`nodes` hosts of 8 H100, 8 × 400G."""
    comm = Communicator(nodes, 8 * nodes, Architecture.HOPPER, Cpu.INTEL, 16, [TREE, RING, NONE, NONE, NVLS, NVLS])
    return replace(comm, **changes)  # type: ignore[arg-type]


def test_ring_of_four_nodes_by_hand() -> None:
    table = tune(stack([h100(4)]), "all-reduce")
    # bus 8 × 48 = 384; algorithm × 32 / 62. Latency 8.4 + 56 × max(3.4, 3 × 1) + 6 × 14.
    assert table.algbw_bytes_per_s[0, Algorithm.RING, Protocol.SIMPLE] / GB == pytest.approx(384 * 32 / 62)
    assert table.latency_s[0, Algorithm.RING, Protocol.SIMPLE] * 1e6 == pytest.approx(8.4 + 56 * 3.4 + 6 * 14)
    # LL: Intel, 3 or more nodes: 20.4 limits 192.
    assert table.algbw_bytes_per_s[0, Algorithm.RING, Protocol.LL] / GB == pytest.approx(20.4 * 32 / 62)


def test_tree_and_nvls_tree_by_hand() -> None:
    table = tune(stack([h100(4)]), "all-reduce")
    # min(0.92 × 384, 8 × 36) = 288, × 0.85 for the plain tree, × 0.5.
    assert table.algbw_bytes_per_s[0, Algorithm.TREE, Protocol.SIMPLE] / GB == pytest.approx(288 * 0.85 / 2)
    assert table.latency_s[0, Algorithm.TREE, Protocol.SIMPLE] * 1e6 == pytest.approx(8.4 + 2 * (7 * 4 + 2 * 14))
    # intra 40 × 0.85 × 7/8 × 2 = 59.5, inter 48, limit 45.5: eight channels of 45.5.
    assert table.algbw_bytes_per_s[0, Algorithm.NVLS_TREE, Protocol.SIMPLE] / GB == pytest.approx(8 * 45.5 * 32 / 62)
    assert table.algbw_bytes_per_s[0, Algorithm.NVLS, Protocol.SIMPLE] == 0  # needs SHARP between nodes


def test_what_switches_an_algorithm_off() -> None:
    one, four, sharp = (tune(stack([comm]), "all-reduce") for comm in (h100(1), h100(4), h100(4, collnet=True)))
    assert one.algbw_bytes_per_s[0, Algorithm.NVLS_TREE].max() == 0
    assert one.algbw_bytes_per_s[0, Algorithm.NVLS].max() > 0
    assert four.algbw_bytes_per_s[0, Algorithm.NVLS].max() == 0
    assert sharp.algbw_bytes_per_s[0, Algorithm.NVLS].max() > 0
    # LL128 needs NVLink inside and, before Hopper, no path through the host bridge.
    far = [replace(graph, inter_path=PathType.PHB) for graph in h100(4).graphs]
    assert tune(stack([h100(4, graphs=far)]), "all-reduce").algbw_bytes_per_s[0, :, Protocol.LL128].max() == 0
    mixed = h100(4, same_architecture=False, architecture=Architecture.AMPERE)
    assert tune(stack([mixed]), "all-reduce").algbw_bytes_per_s[0, :, Protocol.LL128].max() == 0


def test_pat_is_for_one_accelerator_a_node() -> None:
    ring = replace(RING, channels=2)
    comm = Communicator(16, 16, Architecture.HOPPER, Cpu.INTEL, 4, [ring, ring, NONE, NONE, NONE, NONE])
    table = tune(stack([comm]), "all-gather")
    assert table.algbw_bytes_per_s[0, Algorithm.PAT, Protocol.SIMPLE] / GB == pytest.approx(0.75 * 96)
    assert table.latency_s[0, Algorithm.PAT, Protocol.SIMPLE] * 1e6 == pytest.approx(8 + 4 * 14 / 3.5 + 16 * 2.8)
    assert tune(stack([h100(4)]), "all-gather").algbw_bytes_per_s[0, Algorithm.PAT].max() == 0


def test_broadcast_starts_at_once_when_channels_are_the_same() -> None:
    same = [replace(graph, same_channels=True) for graph in h100(4).graphs]
    fast = tune(stack([h100(4, graphs=same)]), "broadcast")
    slow = tune(stack([h100(4)]), "broadcast")
    assert fast.latency_s[0, Algorithm.RING, Protocol.SIMPLE] * 1e6 == pytest.approx(8.4 + 14)
    assert slow.latency_s[0, Algorithm.RING, Protocol.SIMPLE] * 1e6 == pytest.approx(8.4 + 32 * 14)
    assert fast.algbw_bytes_per_s[0, Algorithm.RING, Protocol.SIMPLE] / GB == pytest.approx(384)


def test_picks_are_vectorised_over_communicators_and_sizes() -> None:
    comms = [h100(1), h100(4), h100(32), h100(2, cpu=Cpu.AMD)]
    sizes = [1024, 2**20, 2**26, 2**30]
    together = pick(stack(comms), tune(stack(comms), "all-reduce"), sizes)
    assert together.time_s.shape == (4, 4)
    for i, comm in enumerate(comms):
        alone = pick(stack([comm]), tune(stack([comm]), "all-reduce"), sizes)
        assert np.array_equal(alone.algorithm[0], together.algorithm[i])
        assert np.array_equal(alone.time_s[0], together.time_s[i])
    # One gibibyte: NVLS in one node, ring on four, NVLS tree on thirty-two.
    assert [Algorithm(a) for a in together.algorithm[:3, 3]] == [Algorithm.NVLS, Algorithm.RING, Algorithm.NVLS_TREE]


def test_forced_algorithm_and_protocol() -> None:
    batch = stack([h100(4)])
    table = tune(batch, "all-reduce")
    forced = pick(batch, table, [2**20], algorithm=Algorithm.RING, protocol=Protocol.LL128)
    assert (forced.algorithm[0, 0], forced.protocol[0, 0]) == (Algorithm.RING, Protocol.LL128)
    assert np.isinf(pick(batch, table, [2**20], algorithm=Algorithm.PAT).time_s[0, 0])


def test_small_messages_use_few_channels() -> None:
    batch = stack([h100(4)])
    picks = pick(batch, tune(batch, "all-reduce"), [8, 2**20, 2**32])
    assert picks.channels[0, 0] == 1
    assert picks.channels[0, 2] == 16
    assert (np.diff(picks.channels[0]) >= 0).all()


@given(nodes=st.integers(1, 512), scale=st.floats(1.01, 4.0))
def test_faster_channels_never_slow_a_combination(nodes: int, scale: float) -> None:
    slow = h100(nodes)
    fast = replace(
        slow,
        graphs=[
            replace(
                graph,
                intra_bytes_per_s=graph.intra_bytes_per_s * scale,
                inter_bytes_per_s=graph.inter_bytes_per_s * scale,
            )
            for graph in slow.graphs
        ],
    )
    both = stack([slow, fast])
    times = predicted_times_s(both, tune(both, "all-reduce"), [1024, 2**20, 2**30])
    assert (times[1] <= times[0]).all()


def test_point_to_point_is_not_tuned() -> None:
    with pytest.raises(InputError, match="does not tune"):
        tune(stack([h100(2)]), "all-to-all")
