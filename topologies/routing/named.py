"""Routings by name, as they stand in files and on the command line."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType

from topologies.errors import InputError
from topologies.routing.adaptive import Adaptive
from topologies.routing.dmodk import DModK
from topologies.routing.ecmp import Ecmp
from topologies.routing.network import Routing
from topologies.routing.spray import Spray
from topologies.routing.static import NextHops, Static

__all__ = ["ROUTING_NAMES", "routing_named"]

_MAKERS: MappingProxyType[str, Callable[[int], Routing]] = MappingProxyType(
    {
        "adaptive": lambda seed: Adaptive(),
        "spray": lambda seed: Spray(),
        "ecmp": lambda seed: Ecmp(seed),
        "dmodk": lambda seed: DModK(),
    }
)
STATIC = "static"
ROUTING_NAMES = (*_MAKERS, STATIC)


def routing_named(name: str, *, seed: int = 0, routes: NextHops | None = None) -> Routing:
    """Return the routing called `name`.

    Parameters
    ----------
    seed
        Of its hashes, if it has any.
    routes
        The tables of ``static``.

    Raises
    ------
    InputError
        If there is none of that name, or ``static`` has no tables.
    """
    if name == STATIC:
        if routes is None:
            raise InputError(
                what="static routing needs the tables of the switches",
                where="--routing",
                fix="give as the fabric a folder with the output of ibnetdiscover and of dump_lfts",
            )
        return Static(routes)
    maker = _MAKERS.get(name)
    if maker is None:
        raise InputError(what="no such routing", where="--routing", found=repr(name), allowed=", ".join(ROUTING_NAMES))
    return maker(seed)
