"""``scaleplan calibrate``: fit a fabric's figures to logs of nccl-tests, and store them beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from planner.cli.collective import compared_rows, readable
from planner.cli.fabric import FabricArgument, JsonOption
from planner.cli.output import print_json, print_lines, print_table

if TYPE_CHECKING:
    from planner.collectives.measured.calibrate import Calibration

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(calibrate)


def calibrate(
    fabric: FabricArgument,
    logs: Annotated[list[Path], typer.Argument(metavar="LOG...", help="What nccl-tests printed.")],
    op: Annotated[str | None, typer.Option("--op", help="Which collective, for logs that do not say.")] = None,
    gpus: Annotated[int | None, typer.Option("--gpus", help="How many ranks, for logs that list none.")] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Where to store it; left out, beside the fabric.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the fit, store nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Fit what links give to what was measured, show fit and residuals, and store it beside the fabric."""
    from planner.collectives.measured.calibrate import calibrate as fit_logs
    from planner.collectives.measured.stored import calibration_path, write_calibration
    from topologies.files.fabric_file import load_fabric

    built = load_fabric(fabric)
    made = fit_logs(built, logs, collective=op, num_ranks=gpus)
    path = None if dry_run else output or calibration_path(fabric)
    if path is not None:
        write_calibration(
            path,
            built,
            made.fit.efficiency,
            logs=made.logs,
            median_error_frac=made.fit.median_error_frac,
            p90_error_frac=made.fit.p90_error_frac,
        )
    if as_json:
        print_json(_as_dict(made, built.name, path))
    else:
        _show(made, built.name)
        print_lines([f"stored in {path}" if path else "nothing stored"])


def _as_dict(made: Calibration, fabric: str, path: Path | None) -> dict[str, object]:
    return {
        "schema": "scaleplan/calibrate/1",
        "fabric": fabric,
        "stored": str(path) if path else None,
        "source": made.fit.efficiency.source,
        "logs": made.logs,
        "figures": [
            {"name": p.name, "default": p.default, "fitted": p.value, "measurements_bear_on_it": p.is_fitted}
            for p in made.fit.parameters
        ],
        "median_error_frac": made.fit.median_error_frac,
        "p90_error_frac": made.fit.p90_error_frac,
        "error_frac": made.fit.efficiency.error_frac,
        "small_error_factor": made.fit.efficiency.small_error_factor,
        "left_out": list(made.left_out),
        "rows": compared_rows(made.after),
    }


def _show(made: Calibration, fabric: str) -> None:
    from topologies.units import to_us

    fit = made.fit
    print_lines([f"{fabric}, {fit.efficiency.source}"])
    print_lines(
        f"{laid.test.where}: {laid.test.collective}, {laid.test.num_ranks} ranks on {laid.ranks.how}, "
        f"{len(laid.test.rows)} rows"
        for laid in made.tests
    )
    print_table(
        ["figure", "default", "fitted", "by the measurements"],
        [[p.name, p.default, p.value, "yes" if p.is_fitted else "hardly"] for p in fit.parameters],
    )
    print_table(
        ["collective", "ranks", "size (B)", "measured (us)", "uncalibrated (us)", "fitted (us)", "error (%)"],
        [
            [
                after.collective,
                after.num_ranks,
                after.size_bytes,
                readable(to_us(after.measured_s)),
                readable(to_us(before.predicted_s)),
                readable(to_us(after.predicted_s)),
                100 * after.error_frac,
            ]
            for before, after in zip(made.before, made.after, strict=True)
        ],
    )
    print_lines(f"left out: {text}" for text in made.left_out)
    print_lines([f"residuals: median {fit.median_error_frac:.1%}, p90 {fit.p90_error_frac:.1%}"])
