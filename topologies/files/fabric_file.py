"""Load fabrics: from a file, or by name from the catalogue."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from topologies.errors import InputError
from topologies.fabric import Fabric
from topologies.files.document import Document, describe
from topologies.files.loading import load_document
from topologies.files.reading import nearest
from topologies.parts import Part

__all__ = [
    "CatalogEntry",
    "catalog_folder",
    "fabric_json_schema",
    "fabric_of",
    "find_fabric",
    "list_catalog",
    "load_fabric",
]


@dataclass(frozen=True)
class CatalogEntry:
    """One fabric of the catalogue."""

    name: str
    kind: str
    description: str
    path: Path


def catalog_folder() -> Path:
    """Return the folder of the catalogue's fabric files."""
    return Path(str(resources.files("topologies"))) / "catalog"


def list_catalog() -> list[CatalogEntry]:
    """Return the fabrics of the catalogue, sorted by name, without building them."""
    entries = []
    for path in sorted(catalog_folder().glob("*.yaml")):
        root = load_document(path).root
        description = " ".join(str(root.get("description", "")).split())
        entries.append(CatalogEntry(path.stem, root["kind"], description, path))
    return entries


def load_fabric(name_or_path: str | os.PathLike[str], *, parts: Mapping[str, Part] | None = None) -> Fabric:
    """Return the fabric of a file, or of the catalogue if no file has that name.

    Parameters
    ----------
    name_or_path
        A path (a fabric file, or what another tool wrote, see `topologies.formats`), or a name from `list_catalog`.
    parts
        Parts by id; the catalogue's own if left out.

    Raises
    ------
    InputError
        If the file cannot be read, or says what cannot be built.
    """
    from topologies.formats.importing import import_fabric, is_foreign
    from topologies.formats.registry import ReadOptions

    path = find_fabric(os.fspath(name_or_path))
    if is_foreign(path):
        return import_fabric([path], options=ReadOptions(parts=parts)).fabric
    return fabric_of(load_document(path), parts=parts)


def find_fabric(name: str) -> str | Path:
    """Return the path of a fabric: the name itself if it is one, else that of the catalogue's file of that name.

    Raises
    ------
    InputError
        If it is neither.
    """
    if Path(name).exists() or os.sep in name or Path(name).suffix:
        return name
    path = catalog_folder() / f"{name}.yaml"
    if path.exists():
        return path
    names = [entry.stem for entry in sorted(catalog_folder().glob("*.yaml"))]
    match = nearest(name, names)
    raise InputError(
        what="neither a file nor a fabric of the catalogue",
        found=repr(name),
        allowed=", ".join(names),
        fix=f"did you mean {match}?" if match else "give the path of a fabric file",
    )


def fabric_of(document: Document, *, parts: Mapping[str, Part] | None = None) -> Fabric:
    """Return the fabric that a loaded file describes. Raises as `load_fabric`."""
    from topologies.files.validated import RuleError, validate
    from topologies.kinds.registry import BuildContext, fabric_kind, kind_names
    from topologies.parts_catalog import load_parts

    kind = fabric_kind(_kind_name(document, kind_names()))
    design = validate(kind.parameters, document)
    context = BuildContext(document=document, parts=load_parts() if parts is None else parts)
    try:
        return kind.build(design, context)
    except RuleError as rule:
        raise document.error(rule.key, what=rule.what, found=rule.found, allowed=rule.allowed, fix=rule.fix) from None
    except InputError as error:
        if error.where.startswith(f"{document.name}:"):
            raise
        where = f"{document.name}: {error.where}" if error.where else document.name
        raise InputError(
            what=error.what, where=where, found=error.found, allowed=error.allowed, fix=error.fix
        ) from None


def _kind_name(document: Document, names: list[str]) -> str:
    root: Any = document.root
    if not isinstance(root, dict):
        raise document.error(
            (), what="a fabric file holds keys and values", found=describe(root), allowed="a mapping with kind: …"
        )
    if "kind" not in root:
        near = nearest("kind", list(root))
        raise document.error(
            (),
            what="the key kind is missing",
            found=f"keys {', '.join(root)}",
            allowed=", ".join(names),
            fix=f"did you mean kind instead of {near}?" if near else "add kind: and one of these",
        )
    name = root["kind"]
    if name not in names:
        match = nearest(name, names) if isinstance(name, str) else ""
        raise document.error(
            ("kind",),
            what="no such kind of fabric",
            found=describe(name),
            allowed=", ".join(names),
            fix=f"did you mean {match}?" if match else "",
        )
    return str(name)


def fabric_json_schema() -> dict[str, Any]:
    """Return the JSON Schema of fabric files, one branch a kind, for editors."""
    from pydantic.json_schema import models_json_schema

    from topologies.kinds.registry import fabric_kinds

    kinds = fabric_kinds()
    references, schema = models_json_schema(
        [(kind.parameters, "validation") for kind in kinds.values()], ref_template="#/$defs/{model}"
    )
    by_kind = {name: references[kind.parameters, "validation"]["$ref"] for name, kind in kinds.items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "scaleplan fabric file",
        "description": "A cluster as a design (a kind and its parameters) or as an explicit graph.",
        "type": "object",
        "required": ["schema_version", "kind", "name"],
        "discriminator": {"propertyName": "kind", "mapping": by_kind},
        "oneOf": [{"$ref": reference} for reference in by_kind.values()],
        "$defs": schema["$defs"],
    }


if __name__ == "__main__":
    import json
    import sys

    sys.stdout.write(json.dumps(fabric_json_schema(), indent=1, ensure_ascii=False) + "\n")
