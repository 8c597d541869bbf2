"""What collectives get on a fabric: the model's curves, and measured points beside them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from planner.collectives.measured.calibrate import ComparedRow
from reports.figures.collectives import collective_figure, growing_groups, measured_figure
from reports.page import Block, Table
from topologies.fabric import Fabric

__all__ = ["collectives_blocks", "measured_blocks"]

_MOST_ROWS = 300


def collectives_blocks(fabric: Fabric) -> list[Block]:
    """Return what an all-reduce gets, by size and by how far it reaches; nothing where the model has no answer."""
    table = growing_groups(fabric)
    if table is None:
        return []
    busbw, (fast, slow) = table.busbw_bytes_per_s / 1e9, table.time_band_s
    at = [int(np.searchsorted(table.size_bytes, 2.0**power)) for power in (20, 26, 30, 33)]
    rows = []
    for g, ranks in enumerate(table.num_ranks.tolist()):
        link = int(table.bottleneck_link[g])
        band = f"{busbw[g, at[2]] * table.time_s[g, at[2]] / slow[g, at[2]]:.0f}–"
        band += f"{busbw[g, at[2]] * table.time_s[g, at[2]] / fast[g, at[2]]:.0f}"
        held = fabric.link_name(link) if link >= 0 else "–"
        rows.append([ranks, *(float(busbw[g, s]) for s in at), band, str(table.algorithm[g, at[2]]), held])
    columns = ["accelerators", "1 MiB", "64 MiB", "1 GiB", "8 GiB", "band at 1 GiB", "as NCCL would", "held back by"]
    return [
        Block(
            "collectives",
            "What an all-reduce gets",
            "busbw by size, each group alone on the fabric, by the algorithm that NCCL would pick. "
            f"Efficiency of links: {table.efficiency.source}.",
            collective_figure(table),
            "Line chart: bus bandwidth of an all-reduce against its size, one line for each number of accelerators.",
            Table(columns, rows, "busbw in GB/s"),
            notes=table.assumptions,
            short="Collectives",
            models=("collectives",),
        )
    ]


def measured_blocks(rows: Sequence[ComparedRow], efficiency: str) -> list[Block]:
    """Return measured rows beside the model; nothing where nothing was measured."""
    if not rows:
        return []
    errors = np.abs([row.error_frac for row in rows])
    told = [
        [
            row.collective,
            row.num_ranks,
            row.size_bytes,
            row.measured_s * 1e6,
            row.predicted_s * 1e6,
            f"{row.error_frac:+.1%}",
            f"{row.algorithm} {row.protocol}".strip(),
        ]
        for row in rows[:_MOST_ROWS]
    ]
    columns = ["collective", "ranks", "bytes", "measured µs", "model µs", "model over measured", "as NCCL would"]
    return [
        Block(
            "measured",
            "Measured beside the model",
            f"Half of the rows are within {np.median(errors):.1%} of the model, nine of ten within "
            f"{np.quantile(errors, 0.9):.1%}. Efficiency of links: {efficiency}.",
            measured_figure(rows),
            "Line chart with marks: bus bandwidth against size, the model as a line, measurements as marks.",
            Table(columns, told, f"{len(rows):,} rows"),
            short="Measured",
            models=("collectives",),
        )
    ]
