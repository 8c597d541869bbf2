"""State files: what is taken, drained, broken or reserved now, ``schema_version: 1``."""

from __future__ import annotations

import os
from typing import Literal

import numpy as np
from pydantic import Field

from planner.state import Availability, ClusterState
from topologies.errors import InputError
from topologies.fabric import Fabric
from topologies.files.loading import load_document
from topologies.files.name_ranges import expand_names
from topologies.files.validated import RuleError, StrictModel, validate

__all__ = ["StateFile", "load_state"]


class StateFile(StrictModel):
    """What is not free. Host names may hold ranges, as in ``h[0000-0007]``."""

    schema_version: Literal[1] = Field(description="version of this file's language")
    description: str = Field("", description="for people")
    drained: list[str] = Field(default_factory=list, description="hosts being emptied")
    broken: list[str] = Field(default_factory=list, description="hosts that do not work")
    reserved: list[str] = Field(default_factory=list, description="hosts kept for somebody")
    shared: dict[str, float] = Field(
        default_factory=dict, description="hosts → part of every free accelerator there that others share already"
    )
    degraded_links: dict[str, float] = Field(
        default_factory=dict, description="'node -> node' → what is left of the rate of every cable between them"
    )
    taken: dict[str, int] = Field(default_factory=dict, description="hosts → accelerators in use on each")


def load_state(path: str | os.PathLike[str], fabric: Fabric) -> ClusterState:
    """Return the state that a file describes.

    Raises
    ------
    InputError
        If the file cannot be read, breaks the schema, names an unknown host, or over-fills one.
    """
    document = load_document(path)
    parsed = validate(StateFile, document)
    state = ClusterState.empty(fabric)
    key: tuple[str | int, ...] = ()
    try:
        for name, count in parsed.taken.items():
            key = ("taken", name)
            for host in expand_names(name):
                state = state.with_taken(fabric, host, count)
        for word, availability in (
            ("reserved", Availability.RESERVED),
            ("drained", Availability.DRAINED),
            ("broken", Availability.BROKEN),
        ):
            for i, name in enumerate(getattr(parsed, word)):
                key = (word, i)
                state = state.with_hosts(fabric, expand_names(name), availability)
        for name, used in parsed.shared.items():
            key = ("shared", name)
            for host in expand_names(name):
                accelerators = fabric.host_accelerators(fabric.host_idx(host))
                state = state.with_used(accelerators[state.free[accelerators]], used)
        for ends, left in parsed.degraded_links.items():
            key = ("degraded_links", ends)
            state = state.with_degraded(_cables(fabric, ends), left)
    except (InputError, RuleError) as error:
        raise document.error(key, what=error.what, found=error.found, allowed=error.allowed, fix=error.fix) from None
    return state


def _cables(fabric: Fabric, ends: str) -> list[int]:
    """Return one directed link of each cable between two nodes, named as in ``leaf-001 -> spine-002``."""
    one, arrow, other = ends.partition("->")
    if not arrow:
        raise InputError(
            what="a link is named by its two ends", found=repr(ends), allowed="as in leaf-001 -> spine-002"
        )
    first, second = fabric.node_idx(one.strip()), fabric.node_idx(other.strip())
    links = np.flatnonzero((fabric.link_source == first) & (fabric.link_target == second))
    if not len(links):
        raise InputError(what="no cable between these two", where=fabric.name, found=repr(ends))
    found: list[int] = links.tolist()
    return found
