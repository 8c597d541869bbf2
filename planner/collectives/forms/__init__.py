"""Closed α-β forms of collective algorithms, vectorised over sizes, ranks and dimensions."""

from planner.collectives.forms.hierarchical import hierarchical_all_reduce, hierarchical_one_pass, pipelined_all_reduce
from planner.collectives.forms.registry import FORMS, algorithms, form_time_s

__all__ = [
    "FORMS",
    "algorithms",
    "form_time_s",
    "hierarchical_all_reduce",
    "hierarchical_one_pass",
    "pipelined_all_reduce",
]
