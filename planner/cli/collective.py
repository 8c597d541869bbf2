"""``scaleplan collective``: what a collective takes on a fabric, by size; and measured times beside the model's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from planner.cli.fabric import FabricArgument, JsonOption
from planner.cli.output import print_json, print_lines, print_table

if TYPE_CHECKING:
    from planner.collectives.collective import CollectiveTable
    from planner.collectives.efficiency import Efficiency
    from topologies.fabric import Fabric
    from topologies.routing.network import Routing

__all__ = ["compared_rows", "efficiency_line", "readable", "register"]

_DEFAULT_OP, _DEFAULT_GPUS = "all-reduce", 16


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(collective)


def collective(
    fabric: FabricArgument,
    op: Annotated[
        str | None,
        typer.Option(
            "--op", help="all-reduce (default), all-gather, reduce-scatter, all-to-all, broadcast, send-recv."
        ),
    ] = None,
    gpus: Annotated[
        int | None, typer.Option("--gpus", help="How many accelerators, the first of the fabric; 16 if left out.")
    ] = None,
    sizes: Annotated[str, typer.Option("--sizes", help="From and to, doubling; or a list with commas.")] = "1KiB:8GiB",
    algorithm: Annotated[
        str, typer.Option("--algorithm", help="auto (NCCL's choice), ring, tree, nvls, nvlstree, hierarchical, bruck …")
    ] = "auto",
    protocol: Annotated[str | None, typer.Option("--protocol", help="LL, LL128 or Simple; NCCL's choice.")] = None,
    sharp: Annotated[bool, typer.Option("--sharp", help="The network's switches reduce.")] = False,
    routing: Annotated[
        str, typer.Option("--routing", help="spray, ecmp, dmodk, adaptive; static by tables read.")
    ] = "spray",
    compare: Annotated[
        list[Path] | None, typer.Option("--compare", metavar="LOG", help="Set an nccl-tests log beside the model.")
    ] = None,
    calibration: Annotated[
        Path | None, typer.Option("--calibration", help="A calibration; left out, the one beside the fabric, if any.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Print size, time, algbw and busbw of a collective, as nccl-tests does."""
    from planner.collectives.measured.stored import load_calibration, stored_efficiency
    from topologies.formats.importing import open_fabric
    from topologies.routing.named import routing_named

    opened = open_fabric(fabric)
    built = opened.fabric
    efficiency = load_calibration(calibration, built) if calibration else stored_efficiency(fabric, built)
    if compare:
        _compare(built, compare, efficiency, op, gpus, as_json=as_json)
        return
    table = _times(
        built,
        op or _DEFAULT_OP,
        _DEFAULT_GPUS if gpus is None else gpus,
        sizes,
        algorithm,
        protocol,
        routing_named(routing, routes=opened.routes),
        efficiency,
        sharp=sharp,
    )
    facts = _as_dict(built, table, algorithm)
    if as_json:
        print_json(facts)
        return
    held = f"; first full: {facts['bottleneck']}" if facts["bottleneck"] else ""
    print_lines([f"{table.collective}, {algorithm}, {facts['ranks']} ranks on {built.name}{held}"])
    print_lines([efficiency_line(table.efficiency), *table.assumptions])
    columns = ["size (B)", "time (us)", "algbw (GB/s)", "busbw (GB/s)", "algorithm", "protocol", "channels"]
    names = ("size_bytes", "time_us", "algbw_gb_per_s", "busbw_gb_per_s", "algorithm", "protocol", "channels")
    print_table(columns, [[readable(row[name]) or "–" for name in names] for row in facts["rows"]])


def efficiency_line(efficiency: Efficiency) -> str:
    """Return where the figures come from and how far off nine of ten times are."""
    return (
        f"{efficiency.source}; nine of ten are off by at most {efficiency.error_frac:.0%} from 16 MiB on, "
        f"by a factor of {efficiency.small_error_factor:.2g} below"
    )


def _efficiency_dict(efficiency: Efficiency) -> dict[str, Any]:
    return {
        "source": efficiency.source,
        "error_frac": efficiency.error_frac,
        "small_error_factor": efficiency.small_error_factor,
    }


def _times(
    fabric: Fabric,
    op: str,
    gpus: int,
    sizes: str,
    algorithm: str,
    protocol: str | None,
    routing: Routing,
    efficiency: Efficiency | None,
    *,
    sharp: bool,
) -> CollectiveTable:
    import numpy as np

    from planner.collectives.collective import collective_time
    from planner.collectives.sizes import parse_sizes
    from topologies.errors import InputError

    if not 2 <= gpus <= fabric.num_accelerators:
        raise InputError(
            what="a collective needs at least two ranks, and no more than the fabric has",
            where="--gpus",
            found=gpus,
            allowed=f"2 to {fabric.num_accelerators}",
        )
    return collective_time(
        fabric,
        np.arange(gpus),
        op,
        parse_sizes(sizes),
        algorithm=algorithm,
        protocol=protocol,
        collnet=sharp,
        efficiency=efficiency,
        routing=routing,
    )


def _as_dict(fabric: Fabric, table: CollectiveTable, algorithm: str) -> dict[str, Any]:
    from topologies.units import to_gb_per_s, to_us

    low, high = table.time_band_s
    link = int(table.bottleneck_link[0])
    columns = {
        "size_bytes": table.size_bytes.astype("int64").tolist(),
        "time_us": to_us(table.time_s[0]).tolist(),
        "time_low_us": to_us(low[0]).tolist(),
        "time_high_us": to_us(high[0]).tolist(),
        "algbw_gb_per_s": to_gb_per_s(table.algbw_bytes_per_s[0]).tolist(),
        "busbw_gb_per_s": to_gb_per_s(table.busbw_bytes_per_s[0]).tolist(),
        "algorithm": table.algorithm[0].tolist(),
        "protocol": table.protocol[0].tolist(),
        "channels": table.channels[0].tolist(),
    }
    return {
        "schema": "scaleplan/collective/1",
        "fabric": fabric.name,
        "collective": table.collective,
        "algorithm": algorithm,
        "ranks": int(table.num_ranks[0]),
        "bottleneck": fabric.link_name(link) if link >= 0 else None,
        "efficiency": _efficiency_dict(table.efficiency),
        "assumptions": list(table.assumptions),
        "rows": [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)],
    }


def readable(value: Any) -> Any:
    """Return a number of four digits or more as a whole one."""
    return round(value) if isinstance(value, float) and value >= 1000 else value


def _compare(
    fabric: Fabric, logs: list[Path], efficiency: Efficiency | None, op: str | None, gpus: int | None, *, as_json: bool
) -> None:
    import numpy as np

    from planner.collectives.efficiency import default_efficiency
    from planner.collectives.measured.calibrate import compare, read_logs

    used = efficiency or default_efficiency(fabric)
    tests, left_out = read_logs(fabric, logs, collective=op, num_ranks=gpus)
    rows = compare(fabric, tests, used)
    errors = np.abs([row.error_frac for row in rows])
    median, p90 = float(np.median(errors)), float(np.quantile(errors, 0.9))
    if as_json:
        print_json(
            {
                "schema": "scaleplan/collective-compare/1",
                "fabric": fabric.name,
                "efficiency": _efficiency_dict(used),
                "median_error_frac": median,
                "p90_error_frac": p90,
                "left_out": left_out,
                "rows": compared_rows(rows),
            }
        )
        return
    print_lines([f"measured and predicted on {fabric.name}", efficiency_line(used)])
    for laid in tests:
        shown = [row for row in compared_rows(rows) if row["test"] == laid.test.where]
        print_lines([f"{laid.test.where}: {laid.test.collective}, {laid.test.num_ranks} ranks on {laid.ranks.how}"])
        print_table(
            ["size (B)", "measured (us)", "predicted (us)", "error (%)", "algorithm", "protocol"],
            [
                [
                    r["size_bytes"],
                    r["measured_us"],
                    r["predicted_us"],
                    100 * r["error_frac"],
                    r["algorithm"],
                    r["protocol"],
                ]
                for r in shown
            ],
        )
    print_lines(f"left out: {text}" for text in left_out)
    print_lines([f"error: median {median:.1%}, p90 {p90:.1%} over {len(rows)} rows"])


def compared_rows(rows: Any) -> list[dict[str, Any]]:
    """Return the JSON form of measured rows beside predicted ones."""
    from topologies.units import to_us

    return [
        {
            "test": row.where,
            "collective": row.collective,
            "ranks": row.num_ranks,
            "units": row.num_units,
            "size_bytes": row.size_bytes,
            "measured_us": to_us(row.measured_s),
            "predicted_us": to_us(row.predicted_s),
            "error_frac": row.error_frac,
            "algorithm": row.algorithm,
            "protocol": row.protocol,
        }
        for row in rows
    ]
