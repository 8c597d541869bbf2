"""The constraints of the counts model, one method each, named as in docs/placement.md."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from solvers.cp_sat.classes import HostClasses, Request
from solvers.cp_sat.variables import Variables

__all__ = ["Constraints"]

_MOST_PATTERNS = 200


class Constraints:
    """Adds constraints to a model.

    Parameters
    ----------
    model, variables, asked, classes
        As made by `solvers.cp_sat.model.build_model`.
    """

    def __init__(self, model: Any, variables: Variables, asked: list[Request], classes: HostClasses) -> None:
        self.model, self.variables, self.asked, self.classes = model, variables, asked, classes

    def all_or_nothing(self) -> None:
        """Give a job all its chunks or none."""
        by_size: dict[tuple[int, int], list[Any]] = defaultdict(list)
        for (r, size, _), variable in self.variables.chunks.items():
            by_size[r, size].append(variable)
        for r, request in enumerate(self.asked):
            for size, count in request.chunks:
                self.model.add(sum(by_size[r, size]) == count * self.variables.placed[r])

    def host_capacity(self) -> None:
        """Keep the chunks on a class to what can be packed into its hosts, by counting the ways to fill one host."""
        on_class: dict[int, dict[int, list[Any]]] = defaultdict(lambda: defaultdict(list))
        for (r, size, c), variable in self.variables.chunks.items():
            taken = int(self.classes.free[c]) if self.asked[r].job.exclusive else size
            on_class[c][taken].append(variable)
        for c, by_size in on_class.items():
            hosts, free = len(self.classes.hosts[c]), int(self.classes.free[c])
            sizes = sorted(by_size, reverse=True)
            patterns = list(_fillings(sizes, free, _MOST_PATTERNS + 1))
            if len(patterns) > _MOST_PATTERNS:
                self._loose_capacity(by_size, hosts, free)
                continue
            if len(patterns) == 1:
                for size, most in zip(sizes, patterns[0], strict=True):
                    self.model.add(sum(by_size[size]) <= most * hosts)
                continue
            filled = [self.model.new_int_var(0, hosts, f"filled[{c},{k}]") for k in range(len(patterns))]
            self.model.add(sum(filled) <= hosts)
            for i, size in enumerate(sizes):
                ways = sum(pattern[i] * variable for pattern, variable in zip(patterns, filled, strict=True))
                self.model.add(sum(by_size[size]) <= ways)

    def _loose_capacity(self, by_size: dict[int, list[Any]], hosts: int, free: int) -> None:
        """Bound what fits where the ways are too many: total room, and at most k chunks above free/(k+1) a host."""
        self.model.add(sum(size * sum(variables) for size, variables in by_size.items()) <= hosts * free)
        for k in range(1, 5):
            large = [v for size, variables in by_size.items() if size * (k + 1) > free for v in variables]
            if large:
                self.model.add(sum(large) <= k * hosts)

    def same_domain(self) -> None:
        """Put the chunks of a job that wants one scale-up domain into one."""
        for r, request in enumerate(self.asked):
            if not request.job.same_domain or request.num_chunks == 1:
                continue
            inside = []
            for domain, variables in self.variables.by_group(r, self.classes.domain).items():
                if domain < 0:
                    self.model.add(sum(variables) == 0)
                    continue
                chosen = self.model.new_bool_var(f"domain[{r},{domain}]")
                self.model.add(sum(variables) == request.num_chunks * chosen)
                inside.append(chosen)
            self.model.add(sum(inside) == self.variables.placed[r])

    def spread_limits(self) -> None:
        """Keep a job to as many leaf groups and pods as it allows."""
        for r, request in enumerate(self.asked):
            for limit, group, touched, label in (
                (request.job.max_leaf_groups, self.classes.leaf_group, self.variables.touches_leaf_group, "leaf"),
                (request.job.max_pods, self.classes.pod, self.variables.touches_pod, "pod"),
            ):
                if limit is None or request.num_chunks == 1:
                    continue
                self.touch(r, group, touched, label)
                used = [variable for (q, _), variable in touched.items() if q == r]
                self.model.add(sum(used) <= limit)

    def touch(self, r: int, group: Any, touched: dict[tuple[int, int], Any], label: str) -> None:
        """Say for each group whether the job uses it."""
        for g, variables in self.variables.by_group(r, group).items():
            if (r, g) not in touched:
                touched[r, g] = self.model.new_bool_var(f"{label}[{r},{g}]")
                self.model.add(sum(variables) <= self.asked[r].num_chunks * touched[r, g])
                self.model.add(sum(variables) >= touched[r, g])


def _fillings(sizes: list[int], free: int, most: int) -> Iterator[tuple[int, ...]]:
    """Yield the ways to fill one host that leave no room for a further chunk, at most `most` of them."""
    num = 0
    stack: list[tuple[int, ...]] = [()]
    while stack and num < most:
        head = stack.pop()
        left = free - sum(n * size for n, size in zip(head, sizes, strict=False))
        if len(head) == len(sizes):
            if left < sizes[-1]:
                num += 1
                yield head
            continue
        size = sizes[len(head)]
        if len(head) == len(sizes) - 1:
            stack.append((*head, left // size))
        else:
            stack.extend((*head, n) for n in range(left // size + 1))
