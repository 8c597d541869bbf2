"""Walk a JSON Schema beside a value, to say which keys would have been right at a place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

__all__ = ["property_names"]

_Schema = dict[str, Any]


def property_names(schema: _Schema, root: Any, path: Sequence[str | int]) -> list[str]:
    """Return the keys that `schema` knows at a key path, in the order of the schema.

    Where the schema is a union with a discriminator, only the branch that the value at that place names counts.
    """
    definitions = schema.get("$defs", {})
    branches, value = list(_branches(schema, definitions, root)), root
    for key in path:
        value = value[key]
        inner = [sub for branch in branches for sub in _step(branch, key)]
        branches = [found for sub in inner for found in _branches(sub, definitions, value)]
    names: dict[str, None] = {}
    for branch in branches:
        names.update(dict.fromkeys(branch.get("properties", {})))
    return list(names)


def _branches(schema: _Schema, definitions: dict[str, _Schema], value: Any) -> Iterator[_Schema]:
    """Return the plain schemas that may apply to `value`, references and unions resolved."""
    if "$ref" in schema:
        yield from _branches(definitions[schema["$ref"].rsplit("/", 1)[-1]], definitions, value)
        return
    discriminator = schema.get("discriminator")
    if discriminator and isinstance(value, dict):
        chosen = discriminator["mapping"].get(value.get(discriminator["propertyName"]))
        if chosen is not None:
            yield from _branches({"$ref": chosen}, definitions, value)
            return
    unions = [sub for word in ("anyOf", "oneOf", "allOf") for sub in schema.get(word, ())]
    for sub in unions:
        yield from _branches(sub, definitions, value)
    if not unions:
        yield schema


def _step(schema: _Schema, key: str | int) -> list[_Schema]:
    if isinstance(key, int):
        items = schema.get("items")
        return [items] if isinstance(items, dict) else []
    found = schema.get("properties", {}).get(key)
    others = [schema.get("additionalProperties"), *schema.get("patternProperties", {}).values()]
    return [sub for sub in ([found] if found else others) if isinstance(sub, dict)]
