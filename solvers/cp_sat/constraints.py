"""The constraints of the counts model, one method each, named as in docs/placement.md."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

from solvers.cp_sat.classes import HostClasses, Request
from solvers.cp_sat.variables import Variables

__all__ = ["Chunk", "Constraints", "chunk_of"]

_MOST_PATTERNS = 200


class Chunk(NamedTuple):
    """A kind of chunk as a host sees it: how many accelerators go, and the label that may come once a host."""

    taken: int
    label: str


def chunk_of(request: Request, size: int, free: int) -> Chunk:
    """Return what a chunk of a request is to a host with so many free."""
    job = request.job
    label = job.anti_affinity if job.anti_affinity and job.anti_affinity_reach == "host" else ""
    is_alone = job.exclusive or job.isolation == "host"
    return Chunk(free if is_alone else size, label)


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
        """Give a job all its chunks, or as many accelerators in another cut, or none."""
        loose = {r for r, _ in self.variables.loose}
        for r, request in enumerate(self.asked):
            stay = self.variables.stays.get(r)
            placed = self.variables.placed[r] if stay is None else stay.moves
            pieces = self.variables.of_request[r][0 if stay is None else len(stay.pieces) :]
            if r in loose or request.cut == "cover":
                got = sum(size * variable for size, _, variable in pieces)
                wanted = request.job.accelerators * placed
                self.model.add(got >= wanted if request.cut == "cover" else got == wanted)
                continue
            for size, count in request.chunks:
                chunks = [v for s, _, v in pieces if s == size]
                self.model.add(sum(chunks) == count * placed)

    def host_capacity(self) -> None:
        """Keep the chunks on a class to what can be packed into its hosts, by counting the ways to fill one host."""
        on_class: dict[int, dict[Chunk, list[Any]]] = defaultdict(lambda: defaultdict(list))
        loose: dict[int, list[Any]] = defaultdict(list)
        for (r, size, c), variable in self.variables.chunks.items():
            on_class[c][chunk_of(self.asked[r], size, int(self.classes.free[c]))].append(variable)
        for (r, c), variable in self.variables.spares.items():
            each = self.asked[r].job.accelerators_per_host or 0
            on_class[c][chunk_of(self.asked[r], each, int(self.classes.free[c]))].append(variable)
        for (_, c), variable in self.variables.loose.items():
            loose[c].append(variable)
        for r, stay in self.variables.stays.items():
            for c, size, num in stay.pieces:
                chunk = chunk_of(self.asked[r], size, int(self.classes.free[c]))
                on_class[c][chunk].append(num * stay.stays)
        for c in sorted({*on_class, *loose}):
            self._fill(c, on_class[c], loose[c])

    def _fill(self, c: int, by_chunk: dict[Chunk, list[Any]], loose: list[Any]) -> None:
        hosts, free = len(self.classes.hosts[c]), int(self.classes.free[c])
        used = sum(chunk.taken * sum(variables) for chunk, variables in by_chunk.items())
        if loose:  # whatever chunks leave over can hold single accelerators
            self.model.add(used + sum(loose) <= hosts * free)
        if not by_chunk:
            return
        chunks = sorted(by_chunk, reverse=True)
        patterns = list(_fillings(chunks, free, _MOST_PATTERNS + 1))
        if len(patterns) > _MOST_PATTERNS:
            self._loose_capacity(by_chunk, hosts, free)
            return
        if len(patterns) == 1:
            for chunk, most in zip(chunks, patterns[0], strict=True):
                self.model.add(sum(by_chunk[chunk]) <= most * hosts)
            self.variables.fillings[c] = (chunks, [(patterns[0], hosts)])
            return
        filled = [self.model.new_int_var(0, hosts, f"filled[{c},{k}]") for k in range(len(patterns))]
        self.model.add(sum(filled) <= hosts)
        for i, chunk in enumerate(chunks):
            ways = sum(pattern[i] * variable for pattern, variable in zip(patterns, filled, strict=True) if pattern[i])
            self.model.add(sum(by_chunk[chunk]) <= ways)
        self.variables.fillings[c] = (chunks, list(zip(patterns, filled, strict=True)))

    def _loose_capacity(self, by_chunk: dict[Chunk, list[Any]], hosts: int, free: int) -> None:
        """Bound what fits where the ways are too many: total room, and at most k chunks above free/(k+1) a host."""
        self.model.add(sum(chunk.taken * sum(variables) for chunk, variables in by_chunk.items()) <= hosts * free)
        for k in range(1, 5):
            large = [v for chunk, variables in by_chunk.items() if chunk.taken * (k + 1) > free for v in variables]
            if large:
                self.model.add(sum(large) <= k * hosts)
        for label in sorted({chunk.label for chunk in by_chunk if chunk.label}):
            self.model.add(sum(v for chunk, vs in by_chunk.items() if chunk.label == label for v in vs) <= hosts)

    def hosts_apart(self) -> None:
        """Put the chunks and spare hosts of one job on different hosts."""
        for (r, c), variable in self.variables.spares.items():
            each = self.asked[r].job.accelerators_per_host or 0
            chunks = self.variables.chunks.get((r, each, c), 0)
            self.model.add(chunks + variable <= len(self.classes.hosts[c]))

    def same_domain(self) -> None:
        """Put a job that wants one scale-up domain into one."""
        for r, request in enumerate(self.asked):
            if not request.job.same_domain or len(request.jobs) > 1 or request.job.accelerators == 1:
                continue
            inside = []
            wanted = request.job.accelerators
            for domain, pieces in self.variables.by_group(r, self.classes.domain).items():
                if domain < 0:  # a domain no larger than a host: only a chunk that is the whole job
                    inside += [variable for size, variable in pieces if size == wanted]
                    self.model.add(sum(variable for size, variable in pieces if size != wanted) == 0)
                    continue
                chosen = self.model.new_bool_var(f"domain[{r},{domain}]")
                self.model.add(sum(size * variable for size, variable in pieces) == wanted * chosen)
                inside.append(chosen)
            self.model.add(sum(inside) == self.variables.placed[r])

    def domain_groups(self) -> None:
        """Give a job whole groups of ranks in each scale-up domain."""
        for r, request in enumerate(self.asked):
            group = request.job.domain_group
            if group == 1:
                continue
            for domain, pieces in self.variables.by_group(r, self.classes.domain).items():
                if domain < 0:
                    self.model.add(sum(v for size, v in pieces if size % group) == 0)
                    continue
                times = self.model.new_int_var(0, request.job.accelerators // group, f"groups[{r},{domain}]")
                self.model.add(sum(size * variable for size, variable in pieces) == group * times)

    def segments(self) -> None:
        """Use a multiple of a segment's hosts in each leaf group."""
        for r, request in enumerate(self.asked):
            segment = request.job.segment_hosts
            if segment is None or segment == 1:
                continue
            for g, pieces in self.variables.by_group(r, self.classes.leaf_group).items():
                each = request.job.accelerators_per_host or 1
                times = self.model.new_int_var(0, request.num_chunks // segment, f"segments[{r},{g}]")
                self.model.add(sum(size * variable for size, variable in pieces) == each * segment * times)

    def spread_limits(self) -> None:
        """Keep a job to as many leaf groups and pods as it allows."""
        for r, request in enumerate(self.asked):
            job = request.job
            for limit, group, touched, label in (
                (job.max_leaf_groups, self.classes.leaf_group, self.variables.touches_leaf_group, "leaf"),
                (job.max_pods, self.classes.pod, self.variables.touches_pod, "pod"),
            ):
                if limit is None or (request.num_chunks == 1 and not self._has_loose(r)):
                    continue
                self.touch(r, group, touched, label)
                used = [variable for (q, _), variable in touched.items() if q == r]
                self.model.add(sum(used) <= limit)

    def spare_hosts(self) -> None:
        """Hold so many idle hosts in each leaf group or pod that a job uses."""
        for r, request in enumerate(self.asked):
            job = request.job
            if not job.spare_hosts:
                continue
            touched = self.variables.touches_leaf_group if job.spare_reach == "leaf" else self.variables.touches_pod
            group = self.classes.group(job.spare_reach)
            self.touch(r, group, touched, job.spare_reach)
            held: dict[int, list[Any]] = defaultdict(list)
            for (q, c), variable in self.variables.spares.items():
                if q == r:
                    held[int(group[c])].append(variable)
            for (q, g), is_used in list(touched.items()):
                if q == r:
                    self.model.add(sum(held[g]) >= job.spare_hosts * is_used)

    def isolation(self) -> None:
        """Keep other tenants out of the leaf groups and pods of a job that wants isolation."""
        for reach in ("leaf", "pod"):
            if not any(request.job.isolation == reach for request in self.asked):
                continue
            present: dict[tuple[int, str], Any] = {}
            sealed: dict[int, Any] = {}
            for r, request in enumerate(self.asked):
                job = request.job
                for g, pieces in self._with_spares(r, self.classes.group(reach)).items():
                    most = self._most(r, [size for size, _ in pieces]) * len(request.jobs)
                    most += job.spare_hosts * (job.accelerators_per_host or 0)
                    if (g, job.tenant) not in present:
                        present[g, job.tenant] = self.model.new_bool_var(f"tenant[{reach},{g},{job.tenant}]")
                    size = sum(size * variable for size, variable in pieces)
                    self.model.add(size <= most * present[g, job.tenant])
                    if job.isolation == reach:
                        if g not in sealed:
                            sealed[g] = self.model.new_bool_var(f"sealed[{reach},{g}]")
                        self.model.add(size <= most * sealed[g])
            for g, is_sealed in sealed.items():
                tenants = [variable for (h, _), variable in present.items() if h == g]
                self.model.add(sum(tenants) <= len(tenants) - (len(tenants) - 1) * is_sealed)

    def anti_affinity(self) -> None:
        """Keep jobs of one label in different leaf groups or pods."""
        for reach in ("leaf", "pod"):
            by_label: dict[tuple[str, int], list[Any]] = defaultdict(list)
            touched = self.variables.touches_leaf_group if reach == "leaf" else self.variables.touches_pod
            for r, request in enumerate(self.asked):
                job = request.job
                if not job.anti_affinity or job.anti_affinity_reach != reach:
                    continue
                if request.num_chunks == 1 and not self._has_loose(r):
                    for g, pieces in self.variables.by_group(r, self.classes.group(reach)).items():
                        by_label[job.anti_affinity, g] += [variable for _, variable in pieces]
                    continue
                self.touch(r, self.classes.group(reach), touched, reach)
                mine = {g: variable for (q, g), variable in touched.items() if q == r}
                for g, variable in mine.items():
                    by_label[job.anti_affinity, g].append(variable)
                for g, held in self._spares_by_group(r, self.classes.group(reach)).items():
                    only_spares = self.model.new_bool_var(f"spare[{reach},{r},{g}]")
                    self.model.add(sum(held) <= job.spare_hosts * (only_spares + mine.get(g, 0)))
                    by_label[job.anti_affinity, g].append(only_spares)
            for variables in by_label.values():
                self.model.add(sum(variables) <= 1)

    def _spares_by_group(self, r: int, group: Any) -> dict[int, list[Any]]:
        """Return the variables of one request's spare hosts by group."""
        found: dict[int, list[Any]] = defaultdict(list)
        for (q, c), variable in self.variables.spares.items():
            if q == r:
                found[int(group[c])].append(variable)
        return found

    def _with_spares(self, r: int, group: Any) -> dict[int, list[tuple[int, Any]]]:
        """Return (accelerators, variable) pairs of one request by group, those of its spare hosts too."""
        found = self.variables.by_group(r, group)
        each = self.asked[r].job.accelerators_per_host or 0
        for g, held in self._spares_by_group(r, group).items():
            found.setdefault(g, []).extend((each, variable) for variable in held)
        return found

    def _has_loose(self, r: int) -> bool:
        return self.asked[r].cut == "cover" or any(
            (r, c) in self.variables.loose for _, c, _ in self.variables.of_request[r]
        )

    def _most(self, r: int, sizes: list[int]) -> int:
        """Return how many accelerators a job can take in one group: a cover may be larger than the job."""
        wanted = self.asked[r].job.accelerators
        return wanted + max(sizes) if self.asked[r].cut == "cover" else wanted

    def touch(self, r: int, group: Any, touched: dict[tuple[int, int], Any], label: str) -> None:
        """Say for each group whether the job uses it."""
        for g, pieces in self.variables.by_group(r, group).items():
            if (r, g) not in touched:
                touched[r, g] = self.model.new_bool_var(f"{label}[{r},{g}]")
                most = self._most(r, [size for size, _ in pieces])
                self.model.add(sum(size * variable for size, variable in pieces) <= most * touched[r, g])
                self.model.add(sum(variable for _, variable in pieces) >= touched[r, g])


def _fillings(chunks: list[Chunk], free: int, most: int) -> Iterator[tuple[int, ...]]:
    """Yield the ways to fill one host that leave no room for a further chunk, at most `most` of them.

    A way may hold a label once. Ways in which a label keeps out what there is room for are yielded too.
    """
    num = 0
    has_labels = any(chunk.label for chunk in chunks)
    stack: list[tuple[int, ...]] = [()]
    while stack and num < most:
        head = stack.pop()
        left = free - sum(n * chunk.taken for n, chunk in zip(head, chunks, strict=False))
        if len(head) == len(chunks):
            if has_labels or left < chunks[-1].taken:
                num += 1
                yield head
            continue
        chunk = chunks[len(head)]
        fits = left // chunk.taken
        if chunk.label:
            has_it = any(n and other.label == chunk.label for n, other in zip(head, chunks, strict=False))
            fits = 0 if has_it else min(fits, 1)
        if len(head) == len(chunks) - 1:
            stack.append((*head, fits))
        else:
            stack.extend((*head, n) for n in range(fits + 1))
