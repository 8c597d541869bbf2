"""XML without its traps: no DTD, no entities of the file's own, bounded depth and size, a line for every element."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from xml.parsers import expat

from topologies.errors import InputError
from topologies.formats.source import Source

__all__ = ["MAX_DEPTH", "MAX_ELEMENTS", "Element", "parse_xml"]

MAX_DEPTH = 64
"""Most elements inside each other."""

MAX_ELEMENTS = 20_000_000
"""Most elements of one file."""


@dataclass(slots=True)
class Element:
    """An element with its attributes, the text in it, its children and its line."""

    tag: str
    attributes: Mapping[str, str]
    line: int
    children: list[Element] = field(default_factory=list)
    text: str = ""

    def walk(self) -> Iterator[Element]:
        """Yield this element and all below it, in the order of the file."""
        waiting = [self]
        while waiting:
            element = waiting.pop()
            yield element
            waiting.extend(reversed(element.children))


def parse_xml(source: Source) -> Element:
    """Return the root element of a file; names of elements are without their namespace.

    Raises
    ------
    InputError
        If it is not well-formed, has a DTD, is nested too deeply or has too many elements.
    """
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    root: list[Element] = []
    stack: list[Element] = []
    count = 0

    def refuse_dtd(*_: object) -> None:
        raise source.error(
            parser.CurrentLineNumber,
            what="a document type or entity declaration is not allowed",
            allowed="plain XML",
            fix="take the DOCTYPE out",
        )

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal count
        count += 1
        if len(stack) >= MAX_DEPTH or count > MAX_ELEMENTS:
            what = "nested too deeply" if len(stack) >= MAX_DEPTH else "too many elements"
            raise source.error(
                parser.CurrentLineNumber, what=what, allowed=f"{MAX_DEPTH} levels, {MAX_ELEMENTS} elements"
            )
        element = Element(tag.rpartition(" ")[2], attributes, parser.CurrentLineNumber)
        if stack:
            stack[-1].children.append(element)
        else:
            root.append(element)
        stack.append(element)

    def end(_: str) -> None:
        stack.pop()

    def text(data: str) -> None:
        if stack and (stack[-1].text or not data.isspace()):
            stack[-1].text += data

    parser.StartDoctypeDeclHandler = refuse_dtd
    parser.EntityDeclHandler = refuse_dtd
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    try:
        parser.Parse(source.text.encode("utf-8"), True)
    except expat.ExpatError as error:
        raise InputError(
            what=f"not well-formed XML: {expat.ErrorString(error.code)}",
            where=source.where(error.lineno),
            fix="give the whole file",
        ) from None
    return root[0]
