"""The suites there are: name to ``module:object``, imported only when the suite runs."""

from __future__ import annotations

from importlib import import_module
from types import MappingProxyType
from typing import cast

from planner.validation.record import Suite
from topologies.errors import InputError

__all__ = ["SUITES", "load_suite"]

SUITES = MappingProxyType(
    {
        "astra": "planner.validation.suites.astra:SUITE",
        "smpi": "planner.validation.suites.smpi:SUITE",
        "contention": "planner.validation.suites.contention:SUITE",
        "netns": "planner.validation.suites.netns:SUITE",
        "nccl": "planner.validation.suites.nccl:SUITE",
        "sweeps": "planner.validation.suites.sweeps:SUITE",
        "pairwise": "planner.validation.suites.pairwise:SUITE",
        "effects": "planner.validation.suites.effects:SUITE",
        "bill": "planner.validation.suites.bill:SUITE",
        "uplinks": "planner.validation.suites.uplinks:SUITE",
        "rail-only": "planner.validation.suites.rail_only:SUITE",
        "train": "planner.validation.suites.train:SUITE",
        "infer": "planner.validation.suites.infer:SUITE",
        "fgd": "planner.validation.suites.fgd:SUITE",
        "replay": "planner.validation.suites.replay:SUITE",
        "occupancy": "planner.validation.suites.occupancy:SUITE",
    }
)


def load_suite(name: str) -> Suite:
    """Return the suite of that name.

    Raises
    ------
    InputError
        If there is none.
    """
    if name not in SUITES:
        from difflib import get_close_matches

        nearest = get_close_matches(name, SUITES, n=1)
        raise InputError(
            what="no such validation suite",
            where="--suite",
            found=repr(name),
            allowed=", ".join(sorted(SUITES)),
            fix=f"did you mean {nearest[0]}?" if nearest else "",
        )
    module, _, attribute = SUITES[name].partition(":")
    return cast("Suite", getattr(import_module(module), attribute))
