"""``scaleplan fabric diff``: a fabric as it was meant beside the fabric as it was found."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from planner.cli.fabric import JsonOption
from planner.cli.output import print_json, print_lines

__all__ = ["register"]

EXIT_DIFFERS = 1


def register(app: typer.Typer) -> None:
    """Add the command to ``scaleplan fabric``."""
    app.command("diff")(diff)


def diff(
    expected: Annotated[
        str, typer.Argument(metavar="EXPECTED", help="The design: a fabric file, or any other format.")
    ],
    observed: Annotated[
        str, typer.Argument(metavar="OBSERVED", help="What was found: a file or folder of any format.")
    ],
    hosts: Annotated[str, typer.Option("--hosts", help="Regular expression that the names of hosts match.")] = "",
    as_json: JsonOption = False,
) -> int:
    """Tell which cables are missing, extra, crossed or slow, each by its ports. Exit code 1 if any is."""
    from topologies.cable_diff import KINDS, diff_fabrics
    from topologies.formats.importing import open_fabric
    from topologies.formats.registry import ReadOptions

    meant, found = (open_fabric(name, options=ReadOptions(hosts=hosts)) for name in (expected, observed))
    differences = diff_fabrics(meant, found)
    counts = {kind: sum(d.kind == kind for d in differences) for kind in KINDS}
    if as_json:
        print_json(
            {
                "schema": "scaleplan/fabric-diff/1",
                "expected": {"name": meant.fabric.name, "fingerprint": meant.fabric.fingerprint},
                "observed": {"name": found.fabric.name, "fingerprint": found.fabric.fingerprint},
                "counts": counts,
                "differences": [asdict(difference) for difference in differences],
                "guesses": [*meant.guesses, *found.guesses],
            }
        )
        return EXIT_DIFFERS if differences else 0
    print_lines(f"{difference.kind}: {difference.text}" for difference in differences)
    for side in (meant, found):
        guessed = sum(side.rate_is_guessed)
        if guessed:
            print_lines([f"not compared: the rates of {guessed} links of {side.fabric.name}, which are guesses"])
    told = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    print_lines([f"{meant.fabric.name} and {found.fabric.name}: {told or 'no difference'}"])
    return EXIT_DIFFERS if differences else 0
