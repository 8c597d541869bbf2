"""Routings by name, as they stand in files and on the command line."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType

from topologies.errors import InputError
from topologies.routing.adaptive import Adaptive
from topologies.routing.dmodk import DModK
from topologies.routing.ecmp import Ecmp
from topologies.routing.router import Routing
from topologies.routing.spray import Spray

__all__ = ["ROUTING_NAMES", "routing_named"]

_MAKERS: MappingProxyType[str, Callable[[int], Routing]] = MappingProxyType(
    {
        "adaptive": lambda seed: Adaptive(),
        "spray": lambda seed: Spray(),
        "ecmp": lambda seed: Ecmp(seed),
        "dmodk": lambda seed: DModK(),
    }
)
ROUTING_NAMES = tuple(_MAKERS)


def routing_named(name: str, *, seed: int = 0) -> Routing:
    """Return the routing called `name`; `seed` is that of its hashes, if it has any.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    maker = _MAKERS.get(name)
    if maker is None:
        raise InputError(what="no such routing", where="--routing", found=repr(name), allowed=", ".join(ROUTING_NAMES))
    return maker(seed)
