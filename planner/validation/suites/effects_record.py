"""One published claim, and how its figures are judged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from planner.collectives.efficiency import UNCALIBRATED
from planner.validation.record import Case
from topologies.errors import InputError

__all__ = ["ClaimTaker", "Effect", "judged", "number", "numbers"]


@dataclass(frozen=True, slots=True)
class Effect:
    """A claim: its set-up and figures as published, and where it stands.

    Attributes
    ----------
    id, kind, where
        For people.
    setup, claims
        As in the file.
    """

    id: str
    kind: str
    setup: Mapping[str, Any]
    claims: Mapping[str, Any]
    where: str

    @property
    def text(self) -> str:
        """All text of the set-up."""
        return " ".join(str(value) for value in self.setup.values() if isinstance(value, str))


# Takes the claims whose keys have its form: the keys taken, and their cases.
ClaimTaker = Callable[[Effect], tuple[Iterable[str], list[Case]]]


def number(value: object, where: str) -> float:
    """Return a claim as a number.

    Raises
    ------
    InputError
        If it is none.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InputError(what="the claim is no number", where=where, found=repr(value))
    return float(value)


def numbers(value: object, where: str) -> dict[str, float]:
    """Return a claim as a mapping of numbers.

    Raises
    ------
    InputError
        If it is none.
    """
    if not isinstance(value, Mapping):
        raise InputError(what="the claim is no mapping", where=where, found=repr(value))
    return {str(key): number(entry, f"{where}: {key}") for key, entry in value.items()}


def judged(
    name: str,
    claimed: float,
    predicted: float,
    unit: str,
    *,
    same_direction: bool = True,
    range_: tuple[float, float] | None = None,
    why: str = "",
) -> Case:
    """Return a case that agrees if the direction does, and the figure lies in its range or in the uncalibrated band.

    `why` is the likely reason if it does not.
    """
    if range_ is None:
        inside = abs(predicted - claimed) <= UNCALIBRATED.error_frac * abs(claimed)
    else:
        inside = range_[0] <= predicted <= range_[1]
    detail: dict[str, object] = {"same_direction": same_direction, "in_range": inside}
    if not (same_direction and inside):
        detail["reason"] = why or "outside the band of uncalibrated figures"
    return Case.of_figures(
        name,
        "claim",
        claimed,
        predicted,
        unit,
        agrees=same_direction and inside,
        detail=detail,
    )
