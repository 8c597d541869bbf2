"""``scaleplan slurm``: place the jobs of a running Slurm."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["app"]

app = typer.Typer(
    name="slurm",
    help="Place the jobs of a running Slurm: park, plan, pin.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="Configuration file; /etc/scaleplan/slurm.yaml if not given.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.callback()
def _root() -> None:
    """Place the jobs of a running Slurm: park, plan, pin."""


@app.command()
def serve(config: ConfigOption = None) -> None:
    """Run the daemon: plan parked jobs until it is told to stop (SIGTERM)."""
    from planner.slurm.service import serve as run_service

    run_service(config)
