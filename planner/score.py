"""`Score`: what `evaluate` says of a placement, as named components and a total."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from topologies.html_table import html_table

if TYPE_CHECKING:
    from planner.congestion.report import CongestionReport

__all__ = ["Score"]


@dataclass(frozen=True, eq=False)
class Score:
    """The judgement of one placement.

    Attributes
    ----------
    components
        Name → value; the names that the objective's levels read, and further ones for people:
        ``placed_accelerators``, ``placed_jobs``, ``cross_leaf_jobs``, ``worst_link_load_frac`` …
    key
        What two scores of one problem are compared by: larger is better.
    total
        One number, larger is better; see `planner.objective.Objective.total`.
    congestion
        Rates, times and link loads behind the congestion components.
    """

    components: Mapping[str, float]
    key: tuple[float, ...]
    total: float
    congestion: CongestionReport

    def __post_init__(self) -> None:
        object.__setattr__(self, "components", MappingProxyType(dict(self.components)))

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the components."""
        return html_table("Score", list(self.components.items()))

    def __getitem__(self, name: str) -> float:
        return self.components[name]
