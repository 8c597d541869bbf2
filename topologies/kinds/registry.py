"""Which kinds of fabric there are: every class registered in the entry point group ``scaleplan.fabric_kinds``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from topologies.fabric import Fabric
    from topologies.files.document import Document
    from topologies.kinds.design import DesignFile
    from topologies.parts import Part

__all__ = ["GROUP", "BuildContext", "FabricKind", "fabric_kinds"]

GROUP = "scaleplan.fabric_kinds"


@dataclass(frozen=True)
class BuildContext:
    """What a kind has at hand beside its parameters.

    Attributes
    ----------
    document
        The file, to point at its lines.
    parts
        All parts by id.
    """

    document: Document
    parts: Mapping[str, Part]


class FabricKind(Protocol):
    """A kind of fabric.

    Attributes
    ----------
    name
        What stands after ``kind:`` in a fabric file.
    summary
        One line for people.
    parameters
        The pydantic model of its files, a `topologies.kinds.design.DesignFile`.
    """

    name: str
    summary: str
    parameters: type[DesignFile]

    def build(self, design: Any, context: BuildContext) -> Fabric:
        """Return the fabric of checked parameters.

        Raises
        ------
        InputError
            If the parameters cannot be built, with the figures that do not fit.
        """
        ...


@cache
def fabric_kinds() -> Mapping[str, FabricKind]:
    """Return every registered kind by name, sorted."""
    found = sorted(metadata.entry_points(group=GROUP), key=lambda entry: entry.name)
    return MappingProxyType({entry.name: entry.load()() for entry in found})
