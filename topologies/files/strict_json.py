"""JSON at the speed of the standard library, with the traps of the format refused."""

from __future__ import annotations

import json
import math
import os
import re
from typing import Any

from topologies.errors import InputError
from topologies.files.document import Document
from topologies.files.reading import MAX_JSON_BYTES, decode_text, read_bytes

__all__ = ["load_json", "parse_json"]

_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
_MAX_DIGITS = 19


class _RefusedError(ValueError):
    """A value that JSON allows, or that Python's reader lets through, and we do not."""

    def __init__(self, *, what: str, token: str, allowed: str) -> None:
        super().__init__(what)
        self.what, self.token, self.allowed = what, token, allowed


def load_json(path: str | os.PathLike[str], *, max_bytes: int = MAX_JSON_BYTES) -> Document:
    """Load a JSON file.

    Raises
    ------
    InputError
        If the file cannot be read or is not one well-formed JSON value with unique keys and finite numbers.
    """
    name = os.fspath(path)
    return parse_json(decode_text(read_bytes(path, max_bytes=max_bytes), name), name)


def parse_json(text: str, name: str) -> Document:
    """Read JSON text; `name` stands for the file in messages. Raises as `load_json`."""
    try:
        root = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_float=_finite,
            parse_int=_bounded,
            parse_constant=_no_constant,
        )
        if _SURROGATE_ESCAPE.search(text):
            json.dumps(root, ensure_ascii=False).encode("utf-8")
    except json.JSONDecodeError as error:
        found = repr(text[error.pos : error.pos + 20]) if error.pos < len(text) else "the end of the file"
        raise InputError(
            what=f"not well-formed JSON: {error.msg[:1].lower()}{error.msg[1:]}",
            where=f"{name}:{error.lineno}:{error.colno}",
            found=found,
            fix="mend the file at that column",
        ) from None
    except UnicodeEncodeError:
        raise InputError(
            what="a \\u escape is half of a surrogate pair", where=name, allowed="whole characters"
        ) from None
    except _RefusedError as refused:
        raise InputError(
            what=refused.what,
            where=name + _place_of_token(text, refused.token),
            found=refused.token[:80],
            allowed=refused.allowed,
        ) from None
    except RecursionError:
        raise InputError(what="nested too deeply", where=name, fix="flatten the document") from None
    return Document(name=name, root=root, text=text)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _RefusedError(
                    what="a key stands twice in one object",
                    token=json.dumps(key, ensure_ascii=False),
                    allowed="each key once",
                )
            seen.add(key)
    return mapping


def _finite(token: str) -> float:
    value = float(token)
    if not math.isfinite(value):
        raise _RefusedError(what="a number is out of range", token=token, allowed="finite numbers")
    return value


def _bounded(token: str) -> int:
    if len(token) > _MAX_DIGITS + 1 or not -(2**63) <= int(token) < 2**63:
        raise _RefusedError(what="a number is out of range", token=token, allowed="whole numbers from -2^63 to 2^63-1")
    return int(token)


def _no_constant(token: str) -> float:
    raise _RefusedError(what="a number is not finite", token=token, allowed="finite numbers")


def _place_of_token(text: str, token: str) -> str:
    """Return ``:line`` of a refused token where that is certain: a number in its one place, a key in its second."""
    wanted = 2 if token.startswith('"') else 1
    after = r"(?=\s*:)" if token.startswith('"') else r"(?![\w.])"
    places = [m.start() for m in re.finditer(re.escape(token) + after, text)][: wanted + 1]
    return f":{text.count(chr(10), 0, places[-1]) + 1}" if len(places) == wanted else ""
