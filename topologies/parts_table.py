"""The parts catalogue as a page of the docs: ``python -m topologies.parts_table > docs/parts.md``."""

from __future__ import annotations

import sys
from typing import get_args

from topologies.part_attributes import ATTRIBUTES, Attribute
from topologies.parts import Part, PartClass
from topologies.parts_catalog import load_parts

__all__ = ["parts_markdown"]

_HEAD = """# Parts

Made by `python -m topologies.parts_table` from `topologies/catalog/parts/*.yaml`; the test suite checks that it is
current. Every value has its source there. A value in *italics* was not checked against a source. Rates are those of one
direction.

A parts file of your own has the same form; it adds parts, and overrides the attributes it names of parts that are here:

```yaml
schema_version: 1
parts:
  qm9700:
    class: switch
    attributes:
      price_usd: {value: 21000, source: "offer of May 2026"}
```

`SCALEPLAN_PARTS=FILE` in the environment makes every command take it; `scaleplan fabric bill` has `--parts FILE` too.
"""

_TITLES: dict[PartClass, str] = {
    "accelerator": "Accelerators",
    "switch": "Switches",
    "scale-up switch": "Scale-up switches",
    "nic": "NICs",
    "optic": "Optics",
    "cable": "Cables",
    "host": "Hosts",
    "system": "Systems",
}


def parts_markdown() -> str:
    """Return the page: one table a class of parts, and the sources of each."""
    parts = list(load_parts().values())
    sections = [_HEAD]
    for part_class in get_args(PartClass):
        of_class = [part for part in parts if part.part_class == part_class]
        if of_class:
            sections.append(_section(_TITLES[part_class], of_class))
    return "\n".join(sections)


def _section(title: str, parts: list[Part]) -> str:
    columns = [a for a in ATTRIBUTES if any(_has(part, a) for part in parts)]
    head = ["part", "what", *(f"{a.meaning}{f', {a.unit}' if a.unit else ''}" for a in columns)]
    rows = [head, ["---", "---", *("--:" for _ in columns)]]
    for part in parts:
        vendor = f"{part.vendor} " if part.vendor and not part.description.startswith(part.vendor) else ""
        rows.append([f"`{part.id}`", vendor + part.description, *(_cell(part, a) for a in columns)])
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    sources = dict.fromkeys(source for part in parts for source in part.sources.values())
    listed = "\n".join(f"- {_linked(source)}" for source in sources)
    return f"## {title}\n\n{table}\n\nSources:\n\n{listed}\n"


def _has(part: Part, attribute: Attribute) -> bool:
    is_scale_up = part.part_class == "scale-up switch"
    return attribute.name in part.values and (
        attribute.name != "port_bytes_per_s" or is_scale_up == (attribute.file_name == "port_gb_per_s")
    )


def _cell(part: Part, attribute: Attribute) -> str:
    if not _has(part, attribute):
        return ""
    value = attribute.outside(part.values[attribute.name])
    text = value if isinstance(value, str) else f"{value:.6g}"
    return f"*{text}*" if attribute.name in part.unverified else text


def _linked(source: str) -> str:
    return " ".join(f"<{word}>" if word.startswith("https://") else word for word in source.split(" "))


if __name__ == "__main__":
    sys.stdout.write(parts_markdown())
