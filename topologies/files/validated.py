"""Check a loaded file against a pydantic model; a fault is one line that points at file, line and key."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from topologies.files.document import Document, describe
from topologies.files.reading import nearest
from topologies.files.schema_walk import property_names

__all__ = ["RuleError", "StrictModel", "validate"]

_ModelT = TypeVar("_ModelT")
_Path = tuple[str | int, ...]


class StrictModel(BaseModel):
    """Base of every model of a file: unknown keys refused, nothing converted, not changeable."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False, hide_input_in_errors=True)


class RuleError(ValueError):
    """What a validator of a model raises when values do not fit each other.

    Parameters
    ----------
    what, found, allowed, fix
        As in `topologies.errors.ScaleplanError`.
    key
        The key the message should point at, relative to the model whose validator raises.
    """

    def __init__(
        self, *, what: str, found: object = "", allowed: object = "", fix: object = "", key: Sequence[str | int] = ()
    ) -> None:
        super().__init__(what)
        self.what, self.found, self.allowed, self.fix, self.key = what, found, allowed, fix, tuple(key)


def validate(model: type[_ModelT], document: Document, *, at: Sequence[str | int] = ()) -> _ModelT:
    """Return an instance of `model` made from a document, or from the part of it at the key path `at`.

    Parameters
    ----------
    model
        A `StrictModel`, or any type pydantic can check.
    document
        What `load_document` returned.
    at
        Key path of the part to check.

    Raises
    ------
    InputError
        Naming the first fault, and how many further ones there are.
    """
    value = document.root
    for key in at:
        value = value[key]
    adapter = TypeAdapter(model)
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        schema = adapter.json_schema()
        faults = _faults(error, document, tuple(at), value, schema)
    first, num_more = faults[0], len(faults) - 1
    more = f" (and {num_more} further fault{'s' if num_more > 1 else ''} in this file)" if num_more else ""
    raise document.error(
        first.path, what=first.what + more, found=first.found, allowed=first.allowed, fix=first.fix
    ) from None


class _Fault:
    """One fault in the words of this project."""

    def __init__(self, path: _Path, what: str, found: object = "", allowed: object = "", fix: object = "") -> None:
        self.path, self.what, self.found, self.allowed, self.fix = path, what, found, allowed, fix
        self.rank = 1


def _faults(error: ValidationError, document: Document, at: _Path, value: Any, schema: dict[str, Any]) -> list[_Fault]:
    faults: dict[_Path, _Fault] = {}
    for details in error.errors(include_url=False):
        path, found = _locate(value, details["loc"], is_missing=details["type"] == "missing")
        fault = _in_words(dict(details), path, found, value, schema)
        fault.path = at + fault.path
        faults.setdefault(fault.path, fault)
    return sorted(faults.values(), key=lambda fault: (fault.rank, document.line(fault.path)))


def _locate(value: Any, loc: Sequence[str | int], *, is_missing: bool) -> tuple[_Path, Any]:
    """Return the key path of a fault, without the union tags that pydantic puts in between, and what stands there."""
    path: list[str | int] = []
    for position, key in enumerate(loc):
        if _holds(value, key):
            value = value[key]
        elif is_missing and position == len(loc) - 1:
            return (*path, key), None
        else:
            continue
        path.append(key)
    return tuple(path), value


def _holds(value: Any, key: str | int) -> bool:
    if isinstance(value, dict):
        return key in value
    return isinstance(value, list) and isinstance(key, int) and 0 <= key < len(value)


def _in_words(details: dict[str, Any], path: _Path, found: Any, root: Any, schema: dict[str, Any]) -> _Fault:
    kind, context = details["type"], details.get("ctx", {})
    rule = context.get("error")
    if isinstance(rule, RuleError):
        return _Fault(path + rule.key, rule.what, rule.found, rule.allowed, rule.fix)
    if kind == "missing":
        return _missing(path, root, schema)
    if kind == "extra_forbidden":
        return _unknown(path, root, schema)
    if kind == "union_tag_not_found" and isinstance(found, dict):
        key = context["discriminator"].strip("'")
        return _Fault(path, f"the key {key} is missing", describe(found), "", f"add {key}")
    if kind in ("union_tag_invalid", "literal_error", "enum"):
        return _not_a_choice(kind, context, path, found)
    words = _WORDS.get(kind)
    if words is None:
        message = str(details["msg"]).removeprefix("Value error, ")
        return _Fault(path, message[:1].lower() + message[1:], describe(found))
    what, allowed = words(context)
    fix = "take the quotes off" if isinstance(found, str) and _is_number(found) and "number" in what else ""
    if kind == "string_type" and isinstance(found, int | float):
        fix = f'write "{found}" in quotes'
    return _Fault(path, what, describe(found), allowed, fix)


def _missing(path: _Path, root: Any, schema: dict[str, Any]) -> _Fault:
    fault = _Fault(path, "the key is missing", fix=f"add {path[-1]}" if path else "")
    holder = _at(root, path[:-1])
    known = property_names(schema, root, path[:-1])
    if isinstance(holder, dict):
        fault.found = f"keys {_listed(list(holder))}" if holder else "no keys"
        fault.rank = 2 if any(key not in known for key in holder) else 1
    return fault


def _unknown(path: _Path, root: Any, schema: dict[str, Any]) -> _Fault:
    known = property_names(schema, root, path[:-1])
    free = [name for name in known if name not in _at(root, path[:-1])]
    match = nearest(str(path[-1]), free) or nearest(str(path[-1]), known)
    fault = _Fault(
        path,
        "unknown key",
        found=path[-1],
        allowed=_listed(known),
        fix=f"did you mean {match}?" if match else "take it out",
    )
    fault.rank = 0
    return fault


def _not_a_choice(kind: str, context: dict[str, Any], path: _Path, found: Any) -> _Fault:
    allowed = str(context["expected_tags"] if kind == "union_tag_invalid" else context["expected"])
    allowed = allowed.replace("'", "").replace(" or ", ", ")
    choices = [choice.strip() for choice in allowed.split(",")]
    if kind == "union_tag_invalid":
        key = context["discriminator"].strip("'")
        path, found = (*path, key), found.get(key, found) if isinstance(found, dict) else found
    match = nearest(found, choices) if isinstance(found, str) else ""
    return _Fault(
        path, "not one of the choices", describe(found), _listed(choices), f"did you mean {match}?" if match else ""
    )


def _at(value: Any, path: _Path) -> Any:
    for key in path:
        value = value[key]
    return value


def _listed(names: Sequence[str], most: int = 30) -> str:
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _plain(what: str, allowed: str) -> Callable[[dict[str, Any]], tuple[str, str]]:
    return lambda context: (what, allowed)


def _bound(word: str, key: str) -> Callable[[dict[str, Any]], tuple[str, str]]:
    return lambda context: ("out of range", f"{word} {context[key]:g}")


def _length(what: str, word: str, key: str) -> Callable[[dict[str, Any]], tuple[str, str]]:
    return lambda context: (what, f"{word} {context[key]}")


_WORDS: dict[str, Callable[[dict[str, Any]], tuple[str, str]]] = {
    "int_type": _plain("not a whole number", "a whole number"),
    "int_parsing": _plain("not a whole number", "a whole number"),
    "int_from_float": _plain("not a whole number", "a whole number"),
    "float_type": _plain("not a number", "a number"),
    "float_parsing": _plain("not a number", "a number"),
    "finite_number": _plain("the number is not finite", "a finite number"),
    "string_type": _plain("not text", "text"),
    "bool_type": _plain("not true or false", "true or false"),
    "list_type": _plain("not a list", "a list"),
    "dict_type": _plain("not a mapping", "a mapping of keys to values"),
    "model_type": _plain("not a mapping", "a mapping of keys to values"),
    "union_tag_not_found": _plain("not a mapping", "a mapping of keys to values"),
    "model_attributes_type": _plain("not a mapping", "a mapping of keys to values"),
    "none_required": _plain("nothing may stand here", "no value"),
    "greater_than": _bound("above", "gt"),
    "greater_than_equal": _bound("at least", "ge"),
    "less_than": _bound("below", "lt"),
    "less_than_equal": _bound("at most", "le"),
    "multiple_of": _bound("a multiple of", "multiple_of"),
    "too_short": _length("too few items", "at least", "min_length"),
    "too_long": _length("too many items", "at most", "max_length"),
    "string_too_short": _length("the text is too short", "characters, at least", "min_length"),
    "string_too_long": _length("the text is too long", "characters, at most", "max_length"),
    "string_pattern_mismatch": _length("the text has another form", "text that matches", "pattern"),
}
