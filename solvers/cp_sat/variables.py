"""The variables of the counts model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from solvers.cp_sat.classes import HostClasses, Request

__all__ = ["Stay", "Variables", "make_variables"]


@dataclass(frozen=True)
class Stay:
    """That a running job stays where it is.

    Attributes
    ----------
    stays, moves
        Whether it does, or is placed elsewhere.
    pieces
        ``(class, accelerators on one host, number of such hosts)``.
    """

    stays: Any
    moves: Any
    pieces: tuple[tuple[int, int, int], ...]


@dataclass
class Variables:
    """What CP-SAT decides.

    Attributes
    ----------
    placed
        For each request, how many of its alike jobs are placed.
    chunks
        ``(request, size, class)`` → chunks of that size on hosts of that class.
    loose
        ``(request, class)`` → accelerators of jobs that are cut otherwise.
    spares
        ``(request, class)`` → hosts held idle.
    stays
        ``request`` → whether a job that runs stays.
    touches_leaf_group, touches_pod
        ``(request, group)`` → whether the job uses it; made when asked for.
    spans
        ``request`` → whether the job uses more than one leaf group; made when asked for.
    fillings
        ``class`` → the kinds of chunk, and (how many of each on one host, how many hosts are filled so) pairs.
    """

    placed: list[Any] = field(default_factory=list)
    chunks: dict[tuple[int, int, int], Any] = field(default_factory=dict)
    loose: dict[tuple[int, int], Any] = field(default_factory=dict)
    spares: dict[tuple[int, int], Any] = field(default_factory=dict)
    stays: dict[int, Stay] = field(default_factory=dict)
    touches_leaf_group: dict[tuple[int, int], Any] = field(default_factory=dict)
    touches_pod: dict[tuple[int, int], Any] = field(default_factory=dict)
    spans: dict[int, Any] = field(default_factory=dict)
    fillings: dict[int, tuple[list[Any], list[tuple[tuple[int, ...], Any]]]] = field(default_factory=dict)
    of_request: dict[int, list[tuple[int, int, Any]]] = field(default_factory=lambda: defaultdict(list))

    def by_group(self, request: int, group: Any) -> dict[int, list[tuple[int, Any]]]:
        """Return (accelerators, variable) pairs of one request by a class attribute such as `HostClasses.pod`."""
        found: dict[int, list[tuple[int, Any]]] = defaultdict(list)
        for size, c, variable in self.of_request[request]:
            found[int(group[c])].append((size, variable))
        return found


def make_variables(
    model: Any,
    asked: list[Request],
    classes: HostClasses,
    *,
    with_loose: bool,
    by_place: bool,
    running: Mapping[str, tuple[tuple[int, int, int], ...]],
) -> Variables:
    """Make a count for every request, and for every chunk size and class that can hold it.

    Parameters
    ----------
    with_loose, by_place
        As for `solvers.cp_sat.model.build_model`.
    running
        Job id → pieces, as in `Stay`, of jobs that run and must be placed.
    """
    variables = Variables()
    num_hosts = [len(hosts) for hosts in classes.hosts]
    for r, request in enumerate(asked):
        variables.placed.append(model.new_int_var(0, len(request.jobs), f"placed[{r}]"))
        job = request.job
        if job.id in running:
            pieces = running[job.id]
            stays = model.new_bool_var(f"stays[{r}]")
            variables.stays[r] = Stay(stays, 1 - stays, pieces)
            model.add(variables.placed[r] == 1)
            variables.of_request[r] += [(size * num, c, stays) for c, size, num in pieces]
        usable = classes.usable_by(job).tolist()
        one_a_host = job.exclusive or (job.accelerators_per_host is not None and request.num_chunks > 1)
        if request.cut == "cover":  # hosts as wholes, whatever is free on them
            for c, num in enumerate(num_hosts):
                if usable[c]:
                    variable = model.new_int_var(0, num, f"covers[{r},{c}]")
                    variables.chunks[r, usable[c], c] = variable
                    variables.of_request[r].append((usable[c], c, variable))
            continue
        for size, count in request.chunks:
            most = count * len(request.jobs)
            for c, num in enumerate(num_hosts):
                if usable[c] < size:
                    continue
                bound = min(most, num * (1 if one_a_host else usable[c] // size))
                variable = model.new_int_var(0, bound, f"chunks[{r},{size},{c}]")
                variables.chunks[r, size, c] = variable
                variables.of_request[r].append((size, c, variable))
        for c, num in enumerate(num_hosts):
            fits = not by_place or classes.domain[c] >= 0 or not (job.same_domain or job.domain_group > 1)
            if with_loose and request.cut == "loose" and usable[c] and fits:
                most = min(job.accelerators * len(request.jobs), num * usable[c])
                variables.loose[r, c] = model.new_int_var(0, most, f"loose[{r},{c}]")
                variables.of_request[r].append((1, c, variables.loose[r, c]))
            each = job.accelerators_per_host
            if job.spare_hosts and each is not None and usable[c] >= each:
                variables.spares[r, c] = model.new_int_var(0, num, f"spares[{r},{c}]")
    return variables
