"""``scaleplan validate``: hold the models against published and measured figures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from planner.cli.fabric import JsonOption

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(validate)


def validate(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A folder with the suites' data.")],
    suite: Annotated[
        list[str] | None, typer.Option("--suite", help="Names with commas between, or once for each; left out, all.")
    ] = None,
    rows: Annotated[bool, typer.Option("--rows", help="Print every case.")] = False,
    as_json: JsonOption = False,
) -> int:
    """Hold the models against figures in DIR; exit code 1 if a target is missed."""
    from planner.validation.command import validate_command

    suites = [name.strip() for names in suite for name in names.split(",")] if suite else None
    return validate_command(directory, suites, as_json=as_json, every_row=rows)
