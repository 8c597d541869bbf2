"""YAML through a strict door: one document, plain values, no surprises, and a line for everything.

The reader works on parser events, without recursion, so that depth, aliases and size are bounded by counting. Plain
words are read as in YAML 1.2; those on which YAML 1.1 and 1.2 disagree in a harmful way (``no``, ``1e9``, ``010``,
``1_000``) are refused with the spelling on which both agree.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from topologies.errors import InputError
from topologies.files.document import Document, LocatedDict, LocatedList, describe, key_path_text
from topologies.files.plain_scalars import ScalarError, read_plain
from topologies.files.reading import MAX_YAML_BYTES, decode_text, read_bytes

__all__ = ["MAX_DEPTH", "MAX_NODES", "load_yaml", "parse_yaml"]

MAX_NODES = 2_000_000
"""Most keys and values in one document, aliases counted as often as they are used."""

MAX_DEPTH = 64
"""Most mappings and lists inside each other."""

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load_yaml(path: str | os.PathLike[str], *, max_bytes: int = MAX_YAML_BYTES) -> Document:
    """Load a YAML file.

    Raises
    ------
    InputError
        If the file cannot be read, is no well-formed YAML, or uses what is refused here: duplicate keys, keys that are
        not text, tags, several documents, aliases that blow up, deep nesting, ambiguous words, numbers not finite.
    """
    name = os.fspath(path)
    return parse_yaml(decode_text(read_bytes(path, max_bytes=max_bytes), name), name)


def parse_yaml(text: str, name: str) -> Document:
    """Read YAML text; `name` stands for the file in messages. Raises as `load_yaml`."""
    composer = _Composer(name)
    try:
        for event in _events(text):
            composer.take(event)
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, text, name) from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InputError(what="not well-formed YAML", where=name, found=str(error)) from None
    if composer.root is None:
        raise InputError(what="the file holds no document", where=name, fix="write keys and values into it")
    return Document(name=name, root=composer.root)


def _events(text: str) -> Iterator[Any]:
    return iter(yaml.parse(text, Loader=_Loader))


def _syntax_error(error: yaml.MarkedYAMLError, text: str, name: str) -> InputError:
    mark = error.problem_mark or error.context_mark
    line = mark.line if mark else 0
    lines = text.splitlines()
    found = lines[line].strip()[:60] if line < len(lines) else "the end of the file"
    problem = error.problem or "syntax"
    if line < len(lines) and "\t" in lines[line][: len(lines[line]) - len(lines[line].lstrip())]:
        return InputError(
            what="a tab is used for indentation", where=f"{name}:{line + 1}", found=repr(found), fix="indent by spaces"
        )
    return InputError(
        what=f"not well-formed YAML: {problem}",
        where=f"{name}:{line + 1}",
        found=repr(found),
        fix=f"check the {error.context.removeprefix('while ')}" if error.context else "",
    )


@dataclass(slots=True)
class _Frame:
    """A mapping or a list that is still open."""

    container: LocatedDict | LocatedList
    line: int
    anchor: str | None
    num_nodes: int = 1
    key: str | None = None
    key_line: int = 0
    merges: list[Any] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Anchored:
    value: Any
    num_nodes: int


class _Composer:
    """Builds plain values from parser events."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.root: Any = None
        self.num_documents = 0
        self.num_nodes = 0
        self.stack: list[_Frame] = []
        self.anchors: dict[str, _Anchored | None] = {}

    def take(self, event: Any) -> None:
        """Take the next event."""
        kind = type(event)
        if kind is yaml.ScalarEvent:
            self._take_scalar(event)
        elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
            self._open(event, LocatedDict() if kind is yaml.MappingStartEvent else LocatedList())
        elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
            self._close()
        elif kind is yaml.AliasEvent:
            self._take_alias(event)
        elif kind is yaml.DocumentStartEvent:
            self.num_documents += 1
            if self.num_documents > 1:
                raise self._fault(
                    event, "a second document begins", found="---", allowed="one document a file", fix="split the file"
                )

    # ---- events ------------------------------------------------------------------------------------------------

    def _take_scalar(self, event: Any) -> None:
        self._check_node(event)
        text: str = event.value
        line = event.start_mark.line + 1
        plain = event.implicit[0] and event.style in (None, "")
        frame = self.stack[-1] if self.stack else None
        is_key = frame is not None and isinstance(frame.container, LocatedDict) and frame.key is None
        value: Any = text
        if plain and not (is_key and text == "<<"):
            try:
                value = read_plain(text)
            except ScalarError as fault:
                raise self._fault(event, fault.what, found=text[:60], allowed=fault.allowed, fix=fault.fix) from None
        if is_key and frame is not None:
            self._set_key(frame, event, value, line)
            return
        if event.anchor:
            self.anchors[event.anchor] = _Anchored(value, 1)
        self._put(value, line, 1)

    def _open(self, event: Any, container: LocatedDict | LocatedList) -> None:
        self._check_node(event)
        self._check_not_key(event)
        if len(self.stack) >= MAX_DEPTH:
            raise self._fault(
                event, "nested too deeply", allowed=f"{MAX_DEPTH} levels", fix="flatten the document", with_key=False
            )
        if event.anchor:
            self.anchors[event.anchor] = None  # open: an alias to it from inside would be endless
        self.stack.append(_Frame(container, event.start_mark.line + 1, event.anchor))

    def _close(self) -> None:
        frame = self.stack.pop()
        if frame.merges:
            self._merge(frame)
        if frame.anchor:
            self.anchors[frame.anchor] = _Anchored(frame.container, frame.num_nodes)
        self._put(frame.container, frame.line, frame.num_nodes)

    def _take_alias(self, event: Any) -> None:
        self._check_not_key(event)
        if event.anchor not in self.anchors:
            raise self._fault(
                event, "an alias names no anchor above it", found=f"*{event.anchor}", fix="write the value out"
            )
        anchored = self.anchors[event.anchor]
        if anchored is None:
            raise self._fault(event, "an alias points at what contains it", found=f"*{event.anchor}")
        self._count(event, anchored.num_nodes)
        self._put(anchored.value, event.start_mark.line + 1, anchored.num_nodes)

    # ---- structure ---------------------------------------------------------------------------------------------

    def _put(self, value: Any, line: int, num_nodes: int) -> None:
        if not self.stack:
            self.root = value
            return
        frame = self.stack[-1]
        frame.num_nodes += num_nodes
        if isinstance(frame.container, LocatedList):
            frame.container.append(value)
            frame.container.lines.append(line)
        elif frame.key == "<<" and "<<" not in frame.container.lines:
            frame.merges.append((value, frame.key_line))
            frame.key = None
        elif frame.key is not None:
            frame.container[frame.key] = value
            frame.key = None

    def _set_key(self, frame: _Frame, event: Any, key: Any, line: int) -> None:
        container = frame.container
        if not isinstance(key, str):
            raise self._fault(
                event,
                "a key must be text",
                found=describe(key),
                fix=f'write "{event.value}" in quotes' if event.value else "write a word before the colon",
            )
        frame.key, frame.key_line = key, line
        frame.num_nodes += 1
        if key == "<<" and event.style in (None, "") and event.implicit[0]:
            return
        if isinstance(container, LocatedDict):
            if key in container.lines:
                raise self._fault(
                    event,
                    "the key stands twice",
                    found=f"{key} on line {container.lines[key]} and on line {line}",
                    allowed="each key once",
                    fix="take one of them out",
                )
            container.lines[key] = line

    def _merge(self, frame: _Frame) -> None:
        """Bring in the keys of ``<<: *anchor``; a key written out wins, then the first mapping named."""
        container = frame.container
        if not isinstance(container, LocatedDict):  # a list has no keys, so nothing to merge
            return
        for merged, line in frame.merges:
            for source in merged if isinstance(merged, LocatedList) else [merged]:
                if not isinstance(source, LocatedDict):
                    raise InputError(
                        what="<< takes a mapping",
                        where=f"{self.name}:{line}",
                        found=describe(source),
                        fix="name an anchor of a mapping, as in <<: *base",
                    )
                for key, value in source.items():
                    if key not in container:
                        container[key] = value
                        container.lines[key] = source.lines[key]

    # ---- checks ------------------------------------------------------------------------------------------------

    def _check_node(self, event: Any) -> None:
        if event.tag is not None:
            raise self._fault(
                event,
                "tags are not allowed",
                found=event.tag.replace("tag:yaml.org,2002:", "!!"),
                allowed="plain values",
                fix="take the tag out",
            )
        self._count(event, 1)

    def _count(self, event: Any, num_nodes: int) -> None:
        self.num_nodes += num_nodes
        if self.num_nodes > MAX_NODES:
            raise self._fault(
                event,
                "the document is too large once its aliases are written out",
                allowed=f"at most {MAX_NODES} keys and values",
                fix="state it in a shorter form",
                with_key=False,
            )

    def _check_not_key(self, event: Any) -> None:
        frame = self.stack[-1] if self.stack else None
        if frame is not None and isinstance(frame.container, LocatedDict) and frame.key is None:
            raise self._fault(event, "a key must be text", found="a mapping, a list or an alias", fix="write a word")

    def _fault(
        self, event: Any, what: str, *, found: str = "", allowed: str = "", fix: str = "", with_key: bool = True
    ) -> InputError:
        path: list[str | int] = []
        for frame in self.stack if with_key else []:
            if isinstance(frame.container, LocatedList):
                path.append(len(frame.container))
            elif frame.key is not None:
                path.append(frame.key)
        place = f"{self.name}:{event.start_mark.line + 1}"
        where = f"{place}: {key_path_text(path)}" if path else place
        return InputError(what=what, where=where, found=found, allowed=allowed, fix=fix)
