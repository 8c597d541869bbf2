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

__all__ = ["GROUP", "BuildContext", "FabricKind", "fabric_kind", "fabric_kinds", "kind_names"]

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
def _entries() -> Mapping[str, metadata.EntryPoint]:
    found = sorted(metadata.entry_points(group=GROUP), key=lambda entry: entry.name)
    return {entry.name: entry for entry in found}


def kind_names() -> list[str]:
    """Return the names of all registered kinds, sorted, without importing them."""
    return list(_entries())


@cache
def fabric_kind(name: str) -> FabricKind:
    """Return a registered kind, importing just that one.

    Raises
    ------
    KeyError
        If there is none of that name.
    """
    kind: FabricKind = _entries()[name].load()()
    return kind


def fabric_kinds() -> Mapping[str, FabricKind]:
    """Return every registered kind by name, sorted."""
    return MappingProxyType({name: fabric_kind(name) for name in kind_names()})
