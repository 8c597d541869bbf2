"""`Objective`: what "better" means, as levels of which each outranks all that follow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["LEVELS", "Level", "LevelName", "Objective"]

LevelName = Literal[
    "placed_weight",
    "missed_deadlines",
    "worst_slowdown",
    "excess_slowdown",
    "unpreferred_accelerators",
    "opened_leaf_groups",
    "stranded_accelerators",
    "max_group_spread",
    "moves",
]


@dataclass(frozen=True, slots=True)
class Level:
    """One level of the objective.

    Attributes
    ----------
    name
        The component of `Score` it reads.
    sense
        +1 if more is better, −1 if less is.
    ideal
        The value no placement can beat when nothing else is known: a true bound for the senses of −1.
    meaning
        For people.
    """

    name: LevelName
    sense: Literal[1, -1]
    ideal: float
    meaning: str


LEVELS: Mapping[LevelName, Level] = {
    level.name: level
    for level in (
        Level("placed_weight", 1, float("inf"), "priority-weighted accelerators placed"),
        Level("missed_deadlines", -1, 0.0, "jobs that end after their deadline, slowed down as in the expected view"),
        Level("worst_slowdown", -1, 1.0, "communication time of the worst job beside the others, over alone"),
        Level("excess_slowdown", -1, 0.0, "sum over jobs of slow-down − 1"),
        Level("unpreferred_accelerators", -1, 0.0, "accelerators of a kind that their job accepts and does not prefer"),
        Level("opened_leaf_groups", -1, 0.0, "leaf groups that were wholly free and now are not"),
        Level(
            "stranded_accelerators", -1, 0.0, "free accelerators too few on their host for what is expected, on average"
        ),
        Level("max_group_spread", -1, 0.0, "most pods that a data-parallel or pipeline group lies in, both halved"),
        Level("moves", -1, 0.0, "accelerators of running jobs that move, each at its job's cost of a move"),
    )
}


@dataclass(frozen=True, slots=True)
class Objective:
    """Levels in order, the first outranking all others; or one weighted sum.

    Attributes
    ----------
    levels
        Names of components, most important first.
    weights
        If given, the total is Σ weight × component (with its sense) instead of the order of levels.
    """

    levels: tuple[LevelName, ...] = (
        "placed_weight",
        "missed_deadlines",
        "worst_slowdown",
        "excess_slowdown",
        "unpreferred_accelerators",
        "opened_leaf_groups",
        "stranded_accelerators",
        "moves",
    )
    weights: Mapping[LevelName, float] | None = None

    def key(self, components: Mapping[str, float]) -> tuple[float, ...]:
        """Return what two scores are compared by: larger is better."""
        if self.weights is not None:
            return (self.total(components),)
        return tuple(LEVELS[name].sense * components[name] for name in self.levels)

    def total(self, components: Mapping[str, float]) -> float:
        """Return one number, larger is better.

        With weights, their sum. Without, the first level plus each further level squashed into one unit of a thousandth
        of the one before: ``Σ_k sense_k · x_k / (1 + |x_k|) / 1000^k``; the order of two totals follows the levels
        whenever the first level differs by a whole unit.
        """
        if self.weights is not None:
            return sum(w * LEVELS[name].sense * components[name] for name, w in self.weights.items())
        first, *rest = self.levels
        total = LEVELS[first].sense * components[first]
        for k, name in enumerate(rest, start=1):
            x = components[name]
            total += LEVELS[name].sense * x / (1 + abs(x)) / 1000**k
        return total
