"""``scaleplan collective``: what a collective takes on a fabric, by size."""

from __future__ import annotations

from typing import Annotated

import typer

from planner.cli.fabric import FabricArgument, JsonOption
from planner.cli.output import print_json, print_lines, print_table

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(collective)


def collective(
    fabric: FabricArgument,
    op: Annotated[
        str, typer.Option("--op", help="all-reduce, all-gather, reduce-scatter, all-to-all …")
    ] = "all-reduce",
    gpus: Annotated[int, typer.Option("--gpus", help="How many accelerators, the first of the fabric.")] = 16,
    sizes: Annotated[str, typer.Option("--sizes", help="From and to, doubling; or a list with commas.")] = "1KiB:8GiB",
    algorithm: Annotated[str, typer.Option("--algorithm", help="ring or hierarchical.")] = "ring",
    routing: Annotated[str, typer.Option("--routing", help="spray, ecmp or dmodk.")] = "spray",
    as_json: JsonOption = False,
) -> None:
    """Print size, time, algbw and busbw of a collective, as nccl-tests does."""
    from planner.collectives.timing import collective_table, parse_sizes
    from topologies.files.fabric_file import load_fabric

    size_list = parse_sizes(sizes)
    table = collective_table(
        load_fabric(fabric), op=op, num_ranks=gpus, sizes=size_list, algorithm=algorithm, routing=routing
    )
    if as_json:
        print_json({"schema": "scaleplan/collective/1", **table.as_dict()})
        return
    print_lines(
        [f"{op}, {algorithm}, {gpus} ranks on {table.fabric_name}; held back by {table.bottleneck or 'nothing'}"]
    )
    print_table(["size (B)", "time (us)", "algbw (GB/s)", "busbw (GB/s)"], table.rows())
