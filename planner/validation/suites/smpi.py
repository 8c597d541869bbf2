"""Suite ``smpi``: all-reduce algorithms against a real MPI over a simulated network (SimGrid's SMPI).

``smpi/allreduce.csv``, a run a row: algorithm, ranks, bytes, the rate of every host's link (GB/s, 10⁹), the latency of
one link (a message crosses two: host to switch, switch to host), and the time. Elements are four bytes.

What the referee adds to the algorithm, seen by running SimGrid 3.32 itself on 2 to 32 ranks and 4 KiB to 64
MiB: reading its clock costs 10 ns (``smpi/wtime``); a message carries 16 bytes more; the ring sums the elements
that p does not divide by a second, small all-reduce; and ``mpich`` and ``smp_*`` split the communicator by host
on its first use.
"""

from __future__ import annotations

from types import MappingProxyType

from planner.collectives.forms import form_time_s
from planner.validation.datadir import DataDir, Row
from planner.validation.record import Case, SuiteOutcome, Target
from topologies.units import from_gb_per_s, from_ns, from_us, to_us

__all__ = ["SUITE"]

_FILE = "smpi/allreduce.csv"
_TARGET_MAX_ERROR_FRAC = 0.0005
_LINKS_A_MESSAGE = 2

# SMPI's names of all-reduce algorithms (SimGrid 3.32, smpi/allreduce).
_ALGORITHMS = MappingProxyType(
    {
        "lr": "ring",
        "rab": "halving-doubling",
        "rdb": "recursive-doubling",
        "ompi_ring_segmented": "segmented-ring",
        "smp_rsag_lr": "ring",
        "mpich": "recursive-doubling",
    }
)
_SPLITS_COMMUNICATOR = frozenset({"smp_rsag_lr", "mpich"})
_CLOCK_READ_NS = 10.0
_MESSAGE_EXTRA_BYTES = 16
_ELEMENT_BYTES = 4
_SEGMENT_BYTES = 2**20


def _small_all_reduce_steps(ranks: int) -> int:
    """Count the steps of SMPI's default all-reduce of a few bytes: all to the root at once, then a binomial tree down.

    The tree's depth is the most one bits of any rank number, as a node sends to all its children at once.
    """
    return 1 + max(rank.bit_count() for rank in range(ranks))


def _referee_extra_s(algo: str, ranks: int, size_bytes: int, alpha_s: float) -> float:
    """Return what the simulation adds to the algorithm itself."""
    steps = 0
    if ranks > 1:
        if algo in _SPLITS_COMMUNICATOR:
            steps += 2 * (ranks - 1) + _small_all_reduce_steps(ranks)
        one_message_a_block = algo == "ompi_ring_segmented" and size_bytes < ranks * _SEGMENT_BYTES
        if (algo == "lr" or one_message_a_block) and (size_bytes // _ELEMENT_BYTES) % ranks:
            steps += _small_all_reduce_steps(ranks)
    return steps * alpha_s + from_ns(_CLOCK_READ_NS)


def _case(row: Row) -> Case:
    algo = row.text("algo")
    ranks = row.integer("ranks", minimum=1)
    size_bytes = row.integer("bytes", minimum=1)
    name = f"{algo} {ranks} ranks {size_bytes} B"
    measured_us = row.number("simulated_us", minimum=0)
    if algo not in _ALGORITHMS:
        return Case(name, "all-reduce", measured=measured_us, unit="us", counts=False, why_not=f"no model of {algo}")
    alpha_s = from_us(_LINKS_A_MESSAGE * row.number("hop_lat_us", minimum=0))
    beta_s = 1.0 / from_gb_per_s(row.number("GBps", minimum=1e-9))
    alpha_s += _MESSAGE_EXTRA_BYTES * beta_s
    predicted_s = form_time_s("all-reduce", _ALGORITHMS[algo], size_bytes, ranks, alpha_s, beta_s)
    predicted_s = predicted_s + _referee_extra_s(algo, ranks, size_bytes, alpha_s)
    return Case.of_figures(name, "all-reduce", measured_us, to_us(float(predicted_s)), "us")


class SmpiSuite:
    """All-reduce algorithms against SMPI."""

    name = "smpi"
    title = "closed forms against the all-reduces of a real MPI on a simulated network"
    files = (_FILE,)

    def run(self, data: DataDir) -> SuiteOutcome:
        """Compare every row."""
        cases = [_case(row) for row in data.rows(_FILE)]
        worst = max((case.error_frac for case in cases if case.counts and case.error_frac is not None), default=None)
        left_out = sorted({case.why_not for case in cases if not case.counts})
        return SuiteOutcome(cases, [Target("max_error_frac", worst, _TARGET_MAX_ERROR_FRAC)], left_out)


SUITE = SmpiSuite()
