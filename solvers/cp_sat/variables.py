"""The variables of the counts model."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from solvers.cp_sat.classes import HostClasses, Request

__all__ = ["Variables", "make_variables"]


@dataclass
class Variables:
    """What CP-SAT decides.

    Attributes
    ----------
    placed
        For each request, how many of its alike jobs are placed.
    chunks
        ``(request, size, class)`` → chunks of that size on hosts of that class.
    touches_leaf_group, touches_pod
        ``(request, group)`` → whether the job uses it; made when asked for.
    spans
        ``request`` → whether the job uses more than one leaf group; made when asked for.
    """

    placed: list[Any] = field(default_factory=list)
    chunks: dict[tuple[int, int, int], Any] = field(default_factory=dict)
    touches_leaf_group: dict[tuple[int, int], Any] = field(default_factory=dict)
    touches_pod: dict[tuple[int, int], Any] = field(default_factory=dict)
    spans: dict[int, Any] = field(default_factory=dict)

    def by_group(self, request: int, group: Any) -> dict[int, list[Any]]:
        """Return the chunk variables of one request by a class attribute such as `HostClasses.leaf_group`."""
        found: dict[int, list[Any]] = defaultdict(list)
        for (r, _, c), variable in self.chunks.items():
            if r == request:
                found[int(group[c])].append(variable)
        return found


def make_variables(model: Any, asked: list[Request], classes: HostClasses) -> Variables:
    """Make a count for every request, and for every chunk size and class that can hold it."""
    variables = Variables()
    for r, request in enumerate(asked):
        variables.placed.append(model.new_int_var(0, len(request.jobs), f"placed[{r}]"))
        job = request.job
        usable = classes.usable[(job.kinds, job.memory_bytes)]
        for size, count in request.chunks:
            most = count * len(request.jobs)
            for c, hosts in enumerate(classes.hosts):
                if usable[c] < size or (job.exclusive and not classes.is_idle[c]):
                    continue
                a_host = 1 if job.exclusive else int(usable[c]) // size
                bound = min(most, len(hosts) * a_host)
                variables.chunks[r, size, c] = model.new_int_var(0, bound, f"chunks[{r},{size},{c}]")
    return variables
