"""Suite ``astra``: single collectives against the analytical back end of ASTRA-sim.

``astra/collectives.csv``, a run of the simulator a row: network dimensions (``x`` between them), a bandwidth, latency
and algorithm for each (``/`` between them), the collective, its bytes, the chunks it is split into, and the time.
Conventions of the simulator: its GB is 2³⁰ bytes; a Switch costs two hops of latency; ``bytes`` of an all-gather is
what one NPU holds before; handing a message to the endpoint takes one nanosecond, and so does ending the collective.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from planner.collectives.forms import hierarchical_all_reduce, hierarchical_one_pass, steps
from planner.validation.datadir import DataDir, Row
from planner.validation.record import Case, SuiteOutcome, Target
from topologies.errors import InputError
from topologies.units import BYTES_PER_GIB, from_ns, to_us

__all__ = ["SUITE"]

_FILE = "astra/collectives.csv"
_TARGET_MAX_ERROR_FRAC = 0.001

# ASTRA-sim's "endpoint-delay" of these runs, nanoseconds.
_ENDPOINT_DELAY_NS = 1.0
# Latencies a message pays on a dimension of each kind (ASTRA-sim analytical back end, basic topologies).
_HOPS = MappingProxyType({"Ring": 1, "FullyConnected": 1, "Switch": 2})

_Pass = Callable[[npt.ArrayLike, npt.ArrayLike, npt.ArrayLike, npt.ArrayLike], npt.NDArray[np.float64]]
_PASSES: MappingProxyType[str, _Pass] = MappingProxyType(
    {
        "ring": steps.ring_one_pass,
        "direct": steps.direct_one_pass,
        "halvingDoubling": steps.halving_doubling_one_pass,
    }
)
_EXCHANGES: MappingProxyType[str, _Pass] = MappingProxyType(
    {"ring": steps.ring_all_to_all, "direct": steps.direct_one_pass}
)
_COLLECTIVES = ("all_reduce", "all_gather", "reduce_scatter", "all_to_all")


def _per_dimension(row: Row, column: str, separator: str, num_dims: int) -> list[str]:
    parts = row.text(column).split(separator)
    if len(parts) != num_dims:
        raise InputError(
            what=f"bad {column}", where=row.where, found=row.text(column), allowed=f"{num_dims} parts, one a dimension"
        )
    return parts


def _positive(row: Row, column: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 < value < float("inf"):
        raise InputError(what=f"bad {column}", where=row.where, found=repr(text), allowed="a number above 0")
    return value


def _predict_s(row: Row) -> tuple[float | None, str]:
    """Return the predicted seconds, or ``None`` and why the model has no answer."""
    sizes = [_positive(row, "dims", text) for text in row.text("dims").split("x")]
    kinds = _per_dimension(row, "topology", "x", len(sizes))
    bandwidths = [
        _positive(row, "bandwidth_GBps_2p30", t) for t in _per_dimension(row, "bandwidth_GBps_2p30", "/", len(sizes))
    ]
    latencies = [float(_positive(row, "latency_ns", t)) for t in _per_dimension(row, "latency_ns", "/", len(sizes))]
    names = _per_dimension(row, "algorithm", "/", len(sizes))
    collective = row.choice("collective", _COLLECTIVES)
    chunks = row.integer("splits", minimum=1)
    size_bytes = row.number("bytes", minimum=1)

    if row.text("backend") != "unaware":
        return None, f"the simulator's {row.text('backend')} back end is not modelled"
    unknown = [kind for kind in kinds if kind not in _HOPS]
    if unknown:
        return None, f"no model of dimension kind {unknown[0]}"
    table = _EXCHANGES if collective == "all_to_all" else _PASSES
    unknown = [name for name in names if name not in table]
    if unknown:
        return None, f"no model of {unknown[0]} for {collective}"
    if row.integer("active", minimum=1) > 1 and chunks > 1:
        return None, "no model of more than one chunk active on a dimension"

    alpha = np.array(
        [from_ns(_HOPS[kind] * lat + _ENDPOINT_DELAY_NS) for kind, lat in zip(kinds, latencies, strict=True)]
    )
    beta = 1.0 / (np.array(bandwidths) * BYTES_PER_GIB)
    passes = [table[name] for name in names]
    if collective == "all_reduce":
        time = hierarchical_all_reduce(size_bytes, sizes, alpha, beta, chunks=chunks, passes=passes)
    elif collective == "all_to_all":
        if len(sizes) > 1:
            return None, "no model of an all-to-all over several dimensions"
        time = chunks * passes[0](size_bytes / chunks, sizes[0], alpha[0], beta[0])
    else:
        whole = size_bytes * float(np.prod(sizes)) if collective == "all_gather" else size_bytes
        time = hierarchical_one_pass(whole, sizes, alpha, beta, chunks=chunks, passes=passes)
    return float(time) + from_ns(_ENDPOINT_DELAY_NS), ""


def _case(row: Row) -> Case:
    columns = ("topology", "dims", "algorithm", "collective", "splits", "bytes")
    name = " ".join(row.text(column) for column in columns)
    measured_us = row.number("simulated_us", minimum=0)
    predicted_s, why_not = _predict_s(row)
    if predicted_s is None:
        return Case(name, "collective", measured=measured_us, unit="us", counts=False, why_not=why_not)
    return Case.of_figures(name, "collective", measured_us, to_us(predicted_s), "us")


class AstraSuite:
    """Single collectives against ASTRA-sim."""

    name = "astra"
    title = "closed forms against ASTRA-sim's analytical back end"
    files = (_FILE,)

    def run(self, data: DataDir) -> SuiteOutcome:
        """Compare every row."""
        cases = [_case(row) for row in data.rows(_FILE)]
        worst = max((case.error_frac for case in cases if case.counts and case.error_frac is not None), default=None)
        left_out = sum(not case.counts for case in cases)
        notes = [f"{left_out} rows have no model and stay out of the summary"] if left_out else []
        return SuiteOutcome(cases, [Target("max_error_frac", worst, _TARGET_MAX_ERROR_FRAC)], notes)


SUITE = AstraSuite()
