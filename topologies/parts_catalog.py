"""The parts catalogue: what the files say, and how a user's own file overrides it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType

from topologies.errors import InputError
from topologies.files.reading import nearest
from topologies.part_attributes import ATTRIBUTES
from topologies.parts import Part, PartClass

__all__ = ["PARTS_VARIABLE", "find_part", "load_parts", "part_files"]

PARTS_VARIABLE = "SCALEPLAN_PARTS"
"""Environment variable with the path of a user's own parts file, for every command."""


_BY_FILE_NAME = {attribute.file_name: attribute for attribute in ATTRIBUTES}


def part_files() -> list[Path]:
    """Return the catalogue's own parts files, by name."""
    folder = Path(str(resources.files("topologies"))) / "catalog" / "parts"
    return sorted(folder.glob("*.yaml"))


def load_parts(extra: str | os.PathLike[str] | None = None) -> Mapping[str, Part]:
    """Return all parts by id, in the order of the catalogue.

    Parameters
    ----------
    extra
        A user's own parts file; left out, the one that the environment variable `SCALEPLAN_PARTS` names, if any. A part
        with a new id is added; one with an id of the catalogue replaces the attributes it names and keeps the others
        (but for low and high prices, where it gives a price).

    Raises
    ------
    InputError
        If the user's file is not a parts file.
    """
    catalogue = _catalogue()
    extra = extra or os.environ.get(PARTS_VARIABLE)
    if not extra:
        return catalogue
    merged = dict(catalogue)
    for part in _read(extra):
        base = merged.get(part.id)
        merged[part.id] = part if base is None else _overridden(base, part)
    return MappingProxyType(merged)


def find_part(parts: Mapping[str, Part], part_id: str, part_class: PartClass | None = None) -> Part:
    """Return a part by id.

    Raises
    ------
    InputError
        If there is no such part, or it is of another class.
    """
    part = parts.get(part_id)
    of_class = [other.id for other in parts.values() if part_class is None or other.part_class == part_class]
    if part is None:
        match = nearest(part_id, of_class) or nearest(part_id, list(parts))
        raise InputError(
            what=f"no such {part_class or 'part'}",
            found=repr(part_id),
            allowed=", ".join(of_class),
            fix=f"did you mean {match}?" if match else "add it to a parts file of your own",
        )
    if part_class is not None and part.part_class != part_class:
        raise InputError(
            what=f"this part is of another class than {part_class}",
            found=f"{part_id!r}, class {part.part_class}",
            allowed=", ".join(of_class),
        )
    return part


@cache
def _catalogue() -> Mapping[str, Part]:
    parts: dict[str, Part] = {}
    for path in part_files():
        for part in _read(path):
            if part.id in parts:
                raise InputError(what="two parts of one id", where=path, found=repr(part.id), fix="rename one of them")
            parts[part.id] = part
    return MappingProxyType(parts)


def _overridden(base: Part, own: Part) -> Part:
    """Return a part with the attributes of both; a price of one's own does away with the catalogue's low and high."""
    kept = dict(base.values)
    if "price_usd" in own.values:
        kept = {name: value for name, value in kept.items() if name not in ("price_low_usd", "price_high_usd")}
    return Part(
        id=base.id,
        part_class=own.part_class,
        vendor=own.vendor or base.vendor,
        description=own.description or base.description,
        values={**kept, **own.values},
        sources={**{name: base.sources[name] for name in kept}, **own.sources},
        unverified=((base.unverified & kept.keys()) - own.values.keys()) | own.unverified,
    )


def _read(path: str | os.PathLike[str]) -> Iterator[Part]:
    from topologies.files.loading import load_document
    from topologies.files.parts_file import PartsFile
    from topologies.files.validated import validate

    file = validate(PartsFile, load_document(path))
    for part_id, entry in file.parts.items():
        given = {_BY_FILE_NAME[name]: attribute for name, attribute in entry.attributes.items()}
        yield Part(
            id=part_id,
            part_class=entry.part_class,
            vendor=entry.vendor,
            description=entry.description,
            values={a.name: a.inside(v.value) for a, v in given.items()},
            sources={a.name: file.sources.get(v.source, v.source) for a, v in given.items()},
            unverified=frozenset(a.name for a, v in given.items() if not v.verified),
        )
