"""Figures of results of one kind, matched by what they are of, so that they can stand side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Difference", "figures_of", "matched"]

_NAMED_BY = (
    ("id",), ("policy",), ("solver",), ("link",), ("job",), ("what",), ("tenant",), ("size_bytes",),
    ("design", "workload", "accelerators"), ("tier", "model"), ("joins", "medium", "length_m"), ("component",),
    ("name",), ("size",),
)  # fmt: skip
"""Keys by which entries of a list are known, the first that all of them have."""
_SKIPPED = frozenset({"schema", "versions", "placement", "fabric_fingerprint", "fingerprint", "run_time_s", "seed"})


@dataclass(frozen=True, slots=True)
class Difference:
    """One figure in every result.

    Attributes
    ----------
    path
        What it is of, from the outermost word in.
    values
        In the order of the results; None where one has not got it.
    """

    path: tuple[str, ...]
    values: tuple[float | None, ...]

    @property
    def change_frac(self) -> float:
        """Last over first, less 1; infinite from 0, or where one has none."""
        first, last = self.values[0], self.values[-1]
        if first is None or last is None:
            return float("inf") if first is not last else 0.0
        return (last - first) / abs(first) if first else (0.0 if last == first else float("inf"))

    @property
    def is_change(self) -> bool:
        """Whether any result differs from the first."""
        return any(value != self.values[0] for value in self.values[1:])


def figures_of(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], float]]:
    """Yield every number of a document with its path; entries of lists by their names, not their places."""
    if isinstance(value, bool) or value is None:
        return
    if isinstance(value, (int, float)):
        yield path, float(value)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if key not in _SKIPPED:
                yield from figures_of(inner, (*path, str(key)))
    elif isinstance(value, list) and value and all(isinstance(entry, Mapping) for entry in value):
        keys = next((k for k in _NAMED_BY if all(set(k) <= entry.keys() for entry in value)), ())
        for place, entry in enumerate(value):
            name = " ".join(str(entry[key]) for key in keys) if keys else str(place)
            rest = {key: inner for key, inner in entry.items() if key not in keys}
            yield from figures_of(rest, (*path, name))


def matched(documents: Sequence[Mapping[str, Any]]) -> list[Difference]:
    """Return every figure that any document has, in the order in which they first come."""
    found: dict[tuple[str, ...], list[float | None]] = {}
    for number, document in enumerate(documents):
        for path, value in figures_of(document):
            found.setdefault(path, [None] * len(documents))[number] = value
    return [Difference(path, tuple(values)) for path, values in found.items()]
