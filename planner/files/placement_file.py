"""Placement files: JSON, rank order kept, neighbouring ranks of one host written together."""

from __future__ import annotations

import os
from typing import Any, Literal

import numpy as np
from pydantic import Field

from planner.placement import Placement
from topologies.errors import InputError
from topologies.fabric import Fabric, Int64s
from topologies.files.document import Document
from topologies.files.loading import load_document
from topologies.files.validated import StrictModel, validate

__all__ = ["PlacementFile", "load_placement", "placement_as_dict"]

SCHEMA = "scaleplan/placement/1"


class RankRun(StrictModel):
    """Ranks that follow each other on one host."""

    host: str = Field(description="host name")
    accelerators: list[int] = Field(description="numbers of its accelerators, from 0, in rank order")


class PlacementFile(StrictModel):
    """For each placed job its ranks in order."""

    schema_name: Literal["scaleplan/placement/1"] = Field(alias="schema", description="version of this file's language")
    fabric: str = Field("", description="name of the fabric")
    fabric_fingerprint: str = Field("", description="of the fabric it was made for; checked if given")
    jobs: dict[str, list[RankRun]] = Field(description="job id → its ranks")
    spares: dict[str, list[RankRun]] = Field(default_factory=dict, description="job id → accelerators held idle for it")


def placement_as_dict(fabric: Fabric, placement: Placement) -> dict[str, Any]:
    """Return the JSON form of a placement."""
    return {
        "schema": SCHEMA,
        "fabric": fabric.name,
        "fabric_fingerprint": fabric.fingerprint,
        "jobs": {job_id: _runs(fabric, ranks) for job_id, ranks in placement.ranks.items()},
        **({"spares": {i: _runs(fabric, held) for i, held in placement.spares.items()}} if placement.spares else {}),
    }


def _runs(fabric: Fabric, accelerators: Int64s) -> list[dict[str, Any]]:
    """Return accelerators as runs on one host each."""
    host = fabric.accelerator_host[accelerators]
    local = accelerators - fabric.host_accelerator_start[host]
    cuts = np.flatnonzero(np.diff(host)) + 1
    return [
        {"host": fabric.host_names[run_host[0]], "accelerators": run.tolist()}
        for run_host, run in zip(np.split(host, cuts), np.split(local, cuts), strict=True)
    ]


def load_placement(path: str | os.PathLike[str], fabric: Fabric) -> Placement:
    """Return the placement in a file.

    Raises
    ------
    InputError
        If the file cannot be read, breaks the schema, was made for another fabric, or names an unknown host or
        accelerator.
    """
    document = load_document(path)
    if isinstance(document.root, dict) and "placement" in document.root:  # the whole result of `place --json`
        parsed = validate(PlacementFile, document, at=("placement",))
        prefix: tuple[str | int, ...] = ("placement",)
    else:
        parsed = validate(PlacementFile, document)
        prefix = ()
    if parsed.fabric_fingerprint and parsed.fabric_fingerprint != fabric.fingerprint:
        raise document.error(
            (*prefix, "fabric_fingerprint"),
            what="the placement was made for another fabric",
            found=f"{parsed.fabric} {parsed.fabric_fingerprint[:12]}…",
            allowed=f"{fabric.name} {fabric.fingerprint[:12]}…",
            fix="place again on this fabric, or remove the key to take the names as they are",
        )
    return Placement(
        {job_id: _numbers(document, fabric, runs, (*prefix, "jobs", job_id)) for job_id, runs in parsed.jobs.items()},
        {
            job_id: _numbers(document, fabric, runs, (*prefix, "spares", job_id))
            for job_id, runs in parsed.spares.items()
        },
    )


def _numbers(document: Document, fabric: Fabric, runs: list[RankRun], at: tuple[str | int, ...]) -> Int64s:
    """Return the numbers of accelerators that runs name."""
    accelerators: list[int] = []
    for i, run in enumerate(runs):
        try:
            host = fabric.host_idx(run.host)
        except InputError as error:
            raise document.error((*at, i, "host"), what=error.what, found=error.found, allowed=error.allowed) from None
        first, count = int(fabric.host_accelerator_start[host]), int(fabric.host_num_accelerators[host])
        wrong = next((a for a in run.accelerators if not 0 <= a < count), None)
        if wrong is not None:
            raise document.error(
                (*at, i, "accelerators"), what="no such accelerator", found=wrong, allowed=f"0 to {count - 1}"
            )
        accelerators += [first + a for a in run.accelerators]
    return np.array(accelerators, np.int64)
