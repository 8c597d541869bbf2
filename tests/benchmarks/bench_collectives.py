"""One collective over 1,024 accelerators beside what ASTRA-sim itself took for its largest run here, of 256.

Times are per collective: a call prices a thousand sizes. The simulator's are its own ``wall_s`` of the rows with most
NPUs; more take it longer, so the ratio is on the safe side.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from planner.collectives.collective import collective_time
from planner.collectives.forms import FORMS, hierarchical_all_reduce
from tests.benchmarks.measure import timed
from tests.benchmarks.table import Table
from topologies.files.fabric_file import load_fabric

_ROWS = Path(__file__).resolve().parents[1] / "validation" / "data" / "astra" / "collectives.csv"
_RANKS, _SIZES = 1024, 1000
_TIMES_FASTER = 10_000


def _simulator_wall_s() -> float:
    """Median wall time of the runs with most NPUs."""
    with _ROWS.open(encoding="utf-8", newline="") as file:
        rows = [(int(row["npus"]), float(row["wall_s"])) for row in csv.DictReader(file)]
    most = max(npus for npus, _ in rows)
    return float(np.median([wall for npus, wall in rows if npus == most]))


def bench(table: Table) -> None:
    sizes = np.geomspace(2**10, 2**34, _SIZES).round()
    alpha, beta = 1e-6, 1 / 50e9
    wall = _simulator_wall_s()
    against = "ASTRA-sim, 256 NPUs"
    ring = FORMS["all-reduce", "ring"]
    ring_s = timed(lambda: ring(sizes, _RANKS, alpha, beta), repeat=15).median_s / _SIZES
    table.add("ring of 1,024", ring_s, against=against, reference=wall, times_at_least=_TIMES_FASTER)

    def two_dimensions() -> None:
        hierarchical_all_reduce(sizes, [32, 32], [alpha, 2 * alpha], [beta, 2 * beta], chunks=4)

    flat_s = timed(two_dimensions, repeat=15).median_s / _SIZES
    table.add("32 × 32 in four chunks", flat_s, against=against, reference=wall, times_at_least=_TIMES_FASTER)
    fabric = load_fabric("hgx-h100-16384")
    group = np.arange(_RANKS)

    def as_nccl() -> None:
        collective_time(fabric, group, "all-reduce", sizes)

    as_nccl()  # the graph search and the routing tables, once a fabric
    auto_s = timed(as_nccl, repeat=7).median_s / _SIZES
    table.add("as NCCL picks, on a fabric", auto_s, against=against, reference=wall, times_at_least=_TIMES_FASTER)
