"""``scaleplan schema``: the JSON Schema of the files people write, for editors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from planner.cli.output import print_json

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(schema)


def schema(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="fabric, jobs, state, placement, parts, replay or rules.")
    ],
) -> None:
    """Print the JSON Schema of a kind of file."""
    print_json(_schema_of(file))


def _schema_of(file: str) -> dict[str, Any]:
    from topologies.errors import InputError

    if file == "fabric":
        from topologies.files.fabric_file import fabric_json_schema

        return fabric_json_schema()
    if file == "replay":
        from planner.replay.result import replay_json_schema

        return replay_json_schema()
    model: type[BaseModel]
    if file == "jobs":
        from planner.files.jobs_file import JobsFile

        model = JobsFile
    elif file == "state":
        from planner.files.state_file import StateFile

        model = StateFile
    elif file == "placement":
        from planner.files.placement_file import PlacementFile

        model = PlacementFile
    elif file == "rules":
        from planner.files.rules_file import RulesFile

        model = RulesFile
    elif file == "parts":
        from topologies.files.parts_file import PartsFile

        model = PartsFile
    else:
        raise InputError(
            what="no such kind of file",
            where="scaleplan schema",
            found=repr(file),
            allowed="fabric, jobs, state, placement, parts, replay, rules",
        )
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **model.model_json_schema()}
