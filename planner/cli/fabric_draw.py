"""``scaleplan fabric draw``: a picture of a fabric as SVG."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from planner.cli.output import print_lines

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to ``scaleplan fabric``."""
    app.command("draw")(draw)


def draw(
    fabric: Annotated[str, typer.Argument(metavar="FABRIC", help="A fabric file, or a name from the catalogue.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The picture, an SVG file.")],
) -> None:
    """Draw a fabric: a few of each kind of node with the cables between them, and how many there are."""
    from planner.files.writing import write_text
    from topologies.drawing.picture import counts_line, fabric_svg
    from topologies.files.fabric_file import load_fabric

    found = load_fabric(fabric)
    write_text(output, fabric_svg(found))
    print_lines([f"{output}: {counts_line(found)}"])
