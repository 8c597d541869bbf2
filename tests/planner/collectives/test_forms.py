"""Closed forms against step-by-step counts done by hand or by walking the algorithm."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.collectives.definitions import busbw_bytes_per_s, busbw_factor, check_collective
from planner.collectives.forms import (
    FORMS,
    algorithms,
    form_time_s,
    hierarchical_all_reduce,
    hierarchical_one_pass,
    pipelined_all_reduce,
)
from topologies.errors import InputError

ALPHA_S, BETA_S = 2e-6, 1e-9
RANKS = st.integers(min_value=2, max_value=300)
SIZES = st.integers(min_value=1, max_value=2**40)


def time_us(collective: str, algorithm: str, size_bytes: float, ranks: int, **extra: float) -> float:
    form = FORMS[(check_collective(collective), algorithm)]
    return float(form(size_bytes, ranks, ALPHA_S, BETA_S, **extra)) * 1e6


@pytest.mark.parametrize(
    ("collective", "algorithm", "expected_us"),
    [
        # 8 ranks, 8000 bytes, 2 us a step, 1 ns a byte.
        ("all-reduce", "ring", 14 * (2 + 1)),
        ("all-reduce", "recursive-doubling", 3 * (2 + 8)),
        ("all-reduce", "halving-doubling", 2 * (3 * 2 + 4 + 2 + 1)),
        ("all-reduce", "direct", 2 * (2 + 1)),
        ("all-reduce", "in-switch", 2 * 2 + 8),
        ("all-gather", "ring", 7 * (2 + 1)),
        ("all-gather", "recursive-doubling", 3 * 2 + 7),
        ("all-gather", "bruck", 3 * 2 + 7),
        ("reduce-scatter", "recursive-halving", 3 * 2 + 7),
        ("all-to-all", "pairwise", 7 * (2 + 1)),
        ("all-to-all", "bruck", 3 * (2 + 4)),
        ("all-to-all", "direct", 2 + 1),
        ("all-to-all", "ring", 28 * (2 + 1)),
        ("broadcast", "binomial", 3 * (2 + 8)),
        ("broadcast", "scatter-all-gather", (3 + 7) * 2 + 2 * 7),
        ("send-recv", "direct", 2 + 8),
    ],
)
def test_eight_ranks_by_hand(collective: str, algorithm: str, expected_us: float) -> None:
    assert time_us(collective, algorithm, 8000, 8) == pytest.approx(expected_us, rel=1e-12)


def test_ranks_that_are_no_power_of_two() -> None:
    # 6 ranks: 2 levels among 4; recursive doubling pays 2 steps more, halving-doubling 3 steps and 2S.
    assert time_us("all-reduce", "recursive-doubling", 8000, 6) == pytest.approx(4 * 10)
    assert time_us("all-reduce", "halving-doubling", 8000, 6) == pytest.approx(2 * (2 * 2 + 4 + 2) + 3 * 2 + 2 * 8)
    # Bruck's all-to-all on 6: 3 steps that send blocks {1,3,5}, {2,3}, {4,5}, each S/6.
    assert time_us("all-to-all", "bruck", 6000, 6) == pytest.approx(3 * 2 + 7)


def test_segmented_ring_rounds_the_segments() -> None:
    def messages(size_bytes: float, ranks: int) -> float:
        return time_us("all-reduce", "segmented-ring", size_bytes, ranks, segment_bytes=1000) - 2 * (
            ranks - 1
        ) / ranks * (size_bytes * 1e-3)

    assert messages(500 * 4, 4) == pytest.approx(3 * 2 * 2)  # half a segment a block: one message
    assert messages(2400 * 4, 4) == pytest.approx(3 * 3 * 2)  # 2.4 segments: two messages, and one to gather
    assert messages(2600 * 4, 4) == pytest.approx(3 * 4 * 2)  # 2.6 segments: three


def test_chain_broadcast_with_a_chunk_and_with_the_best_one() -> None:
    # 5 ranks, 8 chunks of 1000 bytes: (3 + 8) steps of 2 + 1 us.
    assert time_us("broadcast", "chain", 8000, 5, chunk_bytes=1000) == pytest.approx(33)
    best = time_us("broadcast", "chain", 8e6, 5)
    scan = [time_us("broadcast", "chain", 8e6, 5, chunk_bytes=8e6 / c) for c in range(1, 400)]
    assert best <= min(scan) * (1 + 1e-9)
    assert best == pytest.approx(min(scan), rel=1e-3)


def test_double_binary_tree_is_the_best_chunking() -> None:
    # h = 4 for 16 ranks: T(k) = 2(2h + 2k)(α + Sβ/2k).
    scan = [2 * (8 + 2 * k) * (2 + 8e3 / (2 * k)) for k in range(1, 400)]
    assert time_us("all-reduce", "double-binary-tree", 8e6, 16) == pytest.approx(min(scan), rel=1e-4)
    # Large messages approach 2Sβ.
    assert time_us("all-reduce", "double-binary-tree", 1e12, 16) == pytest.approx(2e9, rel=1e-3)


@given(ranks=st.lists(RANKS, min_size=1, max_size=5), size_bytes=st.lists(SIZES, min_size=1, max_size=5))
def test_forms_broadcast_like_numpy(ranks: list[int], size_bytes: list[int]) -> None:
    for (collective, algorithm), form in FORMS.items():
        table = form(np.array(size_bytes)[:, None], np.array(ranks)[None, :], ALPHA_S, BETA_S)
        assert table.shape == (len(size_bytes), len(ranks))
        one = form_time_s(collective, algorithm, size_bytes[0], ranks[-1], ALPHA_S, BETA_S)
        assert table[0, -1] == one


@given(ranks=RANKS, size_bytes=SIZES)
def test_no_algorithm_beats_the_bandwidth_bound_of_one_port(ranks: int, size_bytes: int) -> None:
    bound_s = 2 * (ranks - 1) / ranks * size_bytes * BETA_S
    for algorithm in algorithms("all-reduce"):
        if algorithm in {"direct", "in-switch"}:  # many ports, or work done in the switch
            continue
        assert float(form_time_s("all-reduce", algorithm, size_bytes, ranks, 0.0, BETA_S)) >= bound_s * (1 - 1e-12)


@given(ranks=RANKS, size_bytes=SIZES)
def test_more_latency_or_slower_links_never_help(ranks: int, size_bytes: int) -> None:
    for (collective, algorithm), _ in FORMS.items():
        base = float(form_time_s(collective, algorithm, size_bytes, ranks, ALPHA_S, BETA_S))
        assert float(form_time_s(collective, algorithm, size_bytes, ranks, 2 * ALPHA_S, BETA_S)) >= base * (1 - 1e-12)
        assert float(form_time_s(collective, algorithm, size_bytes, ranks, ALPHA_S, 2 * BETA_S)) >= base * (1 - 1e-12)


def walk_flow_shop(pass_s: list[float], chunks: int) -> float:
    """Serve chunks greedily, oldest first: up the dimensions, then down them; a dimension serves one at a time."""
    dims = [*range(len(pass_s)), *reversed(range(len(pass_s)))]
    free = [0.0] * len(pass_s)
    ready = [0.0] * chunks
    stage = [0] * chunks
    while any(s < len(dims) for s in stage):
        waiting = [c for c in range(chunks) if stage[c] < len(dims)]
        chunk = min(waiting, key=lambda c: (max(ready[c], free[dims[stage[c]]]), -stage[c], c))
        dim = dims[stage[chunk]]
        ready[chunk] = free[dim] = max(ready[chunk], free[dim]) + pass_s[dim]
        stage[chunk] += 1
    return max(ready)


@pytest.mark.parametrize("chunks", [1, 2, 4, 16])
@pytest.mark.parametrize("pass_s", [[1.0], [1.0, 3.0], [3.0, 1.0], [1.0, 10.0]])
def test_pipelined_all_reduce_is_the_flow_shop(pass_s: list[float], chunks: int) -> None:
    assert float(pipelined_all_reduce(pass_s, chunks)) == pytest.approx(walk_flow_shop(pass_s, chunks))


def test_hierarchical_by_hand() -> None:
    # 4 ranks inside (2 us, 1 ns/B), 2 outside (2 us, 2 ns/B), 8000 bytes.
    time_s = hierarchical_all_reduce(8000, [4, 2], [2e-6, 2e-6], [1e-9, 2e-9])
    assert float(time_s) * 1e6 == pytest.approx(2 * 3 * (2 + 2) + 2 * 1 * (2 + 2))
    assert float(hierarchical_one_pass(8000, [4, 2], [2e-6, 2e-6], [1e-9, 2e-9])) * 1e6 == pytest.approx(12 + 4)


def test_hierarchical_is_vectorised_over_sizes_and_shapes() -> None:
    sizes = np.array([1e3, 1e6, 1e9])[:, None]
    shapes = np.array([[8, 2], [8, 32]])
    table = hierarchical_all_reduce(sizes, shapes, [1e-6, 4e-6], [1e-11, 1e-10], chunks=4)
    assert table.shape == (3, 2)
    assert table[1, 1] == hierarchical_all_reduce(1e6, [8, 32], [1e-6, 4e-6], [1e-11, 1e-10], chunks=4)


def test_busbw_is_nccl_tests_own() -> None:
    assert float(busbw_factor("all-reduce", 8)) == 1.75
    assert float(busbw_factor("all-to-all", 8)) == 0.875
    assert float(busbw_factor("send-recv", 8)) == 1.0
    # 1 GB in 10 ms over 8 ranks: algbw 100 GB/s, busbw 175 GB/s.
    assert float(busbw_bytes_per_s("all-reduce", 1e9, 0.01, 8)) == pytest.approx(175e9)


def test_names_as_nccl_tests_writes_them() -> None:
    assert check_collective("alltoall_perf") == "all-to-all"
    assert check_collective("all_reduce") == "all-reduce"
    assert check_collective("sendrecv_perf") == "send-recv"
    with pytest.raises(InputError, match="no such collective"):
        check_collective("allredux")
    with pytest.raises(InputError, match="no closed form"):
        form_time_s("all-gather", "pairwise", 1, 2, 1e-6, 1e-9)
