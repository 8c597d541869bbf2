"""Remedies for what stands in a job's way, each tried out: the job is placed with it and held against every rule."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from planner.advice import Obstacle, Remedy
from planner.job import Job
from planner.placement import Placement
from planner.problem import Problem
from planner.state import Availability, ClusterState
from solvers.advisors.eviction import EvictionModel, groups_to_try
from solvers.cp_sat.expand import expand
from solvers.cp_sat.model import build_model
from solvers.fitting import fit
from solvers.inventory import Inventory, Taken
from solvers.policies import BestFit
from solvers.room import could_fit
from topologies.fabric import Int64s

if TYPE_CHECKING:
    from solvers.advisors.why import Trial

__all__ = ["JOB_FAMILIES", "STATE_FAMILIES", "remedies"]

_STRANGER = 10_000  # price of a host with somebody on it who is not in the batch: above that of any job on one
_SINGLE_S, _SEVERAL_S, _MODEL_S = 0.12, 0.12, 0.1  # time for looking at jobs one by one, at sets, and for one check
_MOST_GROUPS = 4
_MOST_BACK = 12  # hosts that are tried to be left out of those to bring back
_Change = tuple[str, object]
_NONE = np.empty(0, np.int64)

# Rules of the job itself: what it is without them.
JOB_FAMILIES: Mapping[str, Mapping[str, object]] = {
    "kinds": {"kinds": (), "preferred_kinds": ()},
    "memory_bytes": {"memory_bytes": 0},
    "same_domain": {"same_domain": False},
    "domain_group": {"domain_group": 1},
    "segment_hosts": {"segment_hosts": None},
    "max_leaf_groups": {"max_leaf_groups": None},
    "max_pods": {"max_pods": None},
    "isolation": {"isolation": None},
    "anti_affinity": {"anti_affinity": ""},
    "exclusive": {"exclusive": False},
    "spare_hosts": {"spare_hosts": 0},
    "accelerators_per_host": {"accelerators_per_host": None, "segment_hosts": None, "spare_hosts": 0},
}
STATE_FAMILIES: Mapping[str, Availability] = {
    "drained": Availability.DRAINED,
    "broken": Availability.BROKEN,
    "reserved": Availability.RESERVED,
}


def remedies(trial: Trial, obstacles: Iterable[Obstacle]) -> Iterator[Remedy]:
    """Yield remedies for what stands in the way, each only if the job then fits by every rule."""
    told: set[str] = set()
    for obstacle in obstacles:
        families = obstacle.families
        if families == ("occupied",):
            found = _make_room(trial)
        elif len(families) == 1 and families[0] in JOB_FAMILIES:
            found = _ask_less(trial, families[0])
        else:
            found = _clear(trial, families)
        for remedy in found:
            if remedy.text not in told and _holds(trial, remedy, families):
                told.add(remedy.text)
                yield remedy
                break


def _holds(trial: Trial, remedy: Remedy, families: tuple[str, ...]) -> bool:
    """Place the job, and those that move for it, with the remedy; tell whether no rule is broken."""
    gone = set(remedy.job_ids)
    stay = trial.others.only(set(trial.others) - gone)
    job = replace(trial.job, **dict(remedy.changes))
    problem = replace(
        trial.problem,
        state=_brought_back(trial.problem, remedy.hosts, families),
        jobs=tuple(job if other.id == job.id else other for other in trial.problem.jobs),
        running={job_id: ranks for job_id, ranks in trial.problem.running.items() if job_id in stay},
    )
    inventory = Inventory(problem, stay)
    ranks, spares = dict(stay.ranks), dict(stay.spares)
    moved = sorted(
        (problem.jobs[problem.job_idx[job_id]] for job_id in gone - set(remedy.ended)), key=lambda j: -j.accelerators
    )
    for comes in (job, *moved):
        taken = _placed(inventory, comes)
        if taken is None:
            return False
        ranks[comes.id], spares[comes.id] = taken.ranks, taken.spares
    return not Placement(ranks, spares).faults(problem)


def _placed(inventory: Inventory, job: Job) -> Taken | None:
    """Place one job: best-fit, or if that finds nothing, the counts model."""
    here = fit(inventory, job, BestFit())
    if here is not None:
        return inventory.take(job, here.hosts, here.counts, here.spare_hosts)
    if job.is_part or not could_fit(inventory, job):
        return None
    model = build_model(inventory, [job])
    counts = model.solve(time_limit_s=_MODEL_S, seed=0)
    found = Placement() if counts is None else expand(counts, model, inventory)
    return Taken(found.ranks[job.id], found.spares.get(job.id, _NONE)) if job.id in found else None


def _brought_back(problem: Problem, hosts: Iterable[str], families: tuple[str, ...]) -> ClusterState:
    """Return the state in which what some families keep away is free on some hosts."""
    fabric, state = problem.fabric, problem.state
    here = np.isin(fabric.accelerator_host, [fabric.host_idx(name) for name in hosts])
    away = [STATE_FAMILIES[name] for name in families if name in STATE_FAMILIES]
    away += [Availability.TAKEN] if "occupied" in families else []
    freed = state.with_accelerators(np.flatnonzero(here & np.isin(state.availability, away)), Availability.FREE)
    return (
        freed.with_used(np.flatnonzero(here), 0.0) if "occupied" in families and state.used_frac is not None else freed
    )


# ---- the job asks for less -----------------------------------------------------------------------------------------


def _ask_less(trial: Trial, family: str) -> Iterator[Remedy]:
    """Yield changes of one of the job's own limits, the smallest first."""
    for change in _changes(trial, family):
        if could_fit(trial.inventory, replace(trial.job, **dict(change))):  # type: ignore[arg-type]
            yield Remedy(f"with {_in_words(change)} it would fit", changes=change)


def _changes(trial: Trial, family: str) -> Iterator[tuple[_Change, ...]]:
    fabric, job = trial.problem.fabric, trial.job
    if family == "max_leaf_groups":
        for limit in range((job.max_leaf_groups or 0) + 1, fabric.num_leaf_groups + 1):
            yield ((family, limit),)
    elif family == "max_pods":
        for limit in range((job.max_pods or 0) + 1, fabric.num_pods + 1):
            yield ((family, limit),)
    elif family == "kinds":
        for kind in sorted({part.id for part in fabric.parts} - set(job.kinds)):
            yield ((family, (*job.kinds, kind)),)
    elif family == "memory_bytes":
        memory = np.unique(fabric.accelerator_memory_bytes)
        for least in memory[memory < job.memory_bytes][::-1].tolist():
            yield ((family, int(least)),)
    elif family == "spare_hosts":
        for number in range(job.spare_hosts - 1, -1, -1):
            yield ((family, number),)
    yield tuple(JOB_FAMILIES[family].items())


def _in_words(change: Iterable[_Change]) -> str:
    """Return changes as people read them."""
    words = []
    for name, value in change:
        if name == "memory_bytes":
            words.append(f"memory_gib {int(str(value)) / 2**30:g}")
        elif isinstance(value, tuple):
            words.append(f"{name} {', '.join(value) or 'any'}")
        else:
            words.append(f"no {name}" if value in (None, False, "") else f"{name} {value}")
    return ", ".join(words)


# ---- hosts come back, or others leave ------------------------------------------------------------------------------


def _clear(trial: Trial, families: tuple[str, ...]) -> Iterator[Remedy]:
    """Yield what several families ask for at once: changes of the job, hosts that come back, others that leave."""
    job, _, inventory = trial.without(families)
    problem, fabric = trial.problem, trial.problem.fabric
    states = [name for name in families if name in STATE_FAMILIES]
    is_away = _hosts_where(problem, [STATE_FAMILIES[name] for name in states])
    price = is_away.astype(np.int64)
    if "occupied" in families:
        price += _occupied_price(trial)
    found = _fewest(inventory, job, price)
    if found is None:
        return
    changes = tuple((name, value) for family in families if family in JOB_FAMILIES for name, value in _without(family))
    cleared = _cleared(trial, job, found) if "occupied" in families else np.isin(np.arange(fabric.num_hosts), found)
    in_way = _jobs_in_way(trial, job, found) if "occupied" in families else []
    strangers = cleared & (price >= _STRANGER)
    back = _names_of(problem, np.flatnonzero(is_away & cleared))
    if not in_way and not strangers.any():
        back = _fewest_back(trial, job, back, families)
    others = _names_of(problem, np.flatnonzero(strangers))
    parts = [f"with {_in_words(changes)}"] if changes else []
    parts += [f"{' and '.join(states)} {_names(back)} back"] if back else []
    parts += [f"others off {_names(others)}"] if others else []
    parts += [f"{_names(tuple(in_way))} ended"] if in_way else []
    hosts = tuple(dict.fromkeys((*back, *others)))
    ending = "it would fit" if changes else "would free it"
    yield Remedy(f"{' and '.join(parts)} {ending}", hosts, tuple(in_way), changes, tuple(in_way))


def _without(family: str) -> list[_Change]:
    return list(JOB_FAMILIES[family].items())


def _hosts_where(problem: Problem, wanted: list[Availability]) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return the hosts that have accelerators of some availability, ``(num_hosts,)``."""
    fabric = problem.fabric
    there = np.isin(problem.state.availability, wanted)
    return np.bincount(fabric.accelerator_host[there], minlength=fabric.num_hosts) > 0


def _fewest_back(trial: Trial, job: Job, names: tuple[str, ...], families: tuple[str, ...]) -> tuple[str, ...]:
    """Leave out hosts that need not come back after all."""
    kept = list(names)
    for name in names[:_MOST_BACK]:
        fewer = [other for other in kept if other != name]
        state = _brought_back(trial.problem, fewer, families)
        if could_fit(Inventory(replace(trial.problem, state=state, running={}), trial.others), job):
            kept = fewer
    return tuple(kept)


def _make_room(trial: Trial) -> Iterator[Remedy]:
    """Yield jobs of the batch that would have to move or end, as little as can be; then others who would have to go."""
    yield from _single(trial)
    chosen = _several(trial)
    if chosen is not None:
        yield _leaving(trial, chosen)
    job, _, inventory = trial.without(("occupied",))
    price = _occupied_price(trial)
    found = _fewest(inventory, job, price)
    if found is None:
        return
    in_way = _jobs_in_way(trial, job, found)
    names = _names_of(trial.problem, np.flatnonzero(_cleared(trial, job, found) & (price >= _STRANGER)))
    if not names:
        yield _leaving(trial, in_way)
        return
    if not in_way:
        yield Remedy(f"others on {_names(names)} would have to leave", names)
    else:
        all_of_them = f"others on {_names(names)} and {_names(tuple(in_way))}"
        yield Remedy(f"{all_of_them} would have to leave", names, tuple(in_way), ended=tuple(in_way))


def _single(trial: Trial) -> Iterator[Remedy]:
    """Yield the cheapest job that makes room by moving; or else the smallest that does by ending."""
    until_s = time.monotonic() + _SINGLE_S
    problem, inventory, job = trial.problem, trial.inventory, trial.job
    there = [other for other in problem.jobs if other.id in trial.others]
    smallest: Job | None = None
    for other in sorted(there, key=lambda other: (_cost(other), other.accelerators)):
        if time.monotonic() > until_s:
            break
        taken = Taken(trial.others.ranks[other.id], trial.others.spares.get(other.id, _NONE))
        inventory.release(other, taken)
        makes_room = could_fit(inventory, job)
        finds_place = False
        if makes_room and (other.movable or other.id not in problem.running):
            here = fit(inventory, job, BestFit())
            if here is not None:
                mine = inventory.take(job, here.hosts, here.counts, here.spare_hosts)
                finds_place = fit(inventory, other, BestFit()) is not None
                inventory.release(job, mine)
        inventory.occupy(other, taken)
        if finds_place:
            yield Remedy(f"moving {_told(trial, other)} would free it", job_ids=(other.id,))
            break
        if makes_room and (smallest is None or other.accelerators < smallest.accelerators):
            smallest = other
    if smallest is not None:
        text = f"ending {_told(trial, smallest, with_cost=False)} would free it"
        yield Remedy(text, job_ids=(smallest.id,), ended=(smallest.id,))


def _several(trial: Trial) -> list[str] | None:
    """Return the cheapest set of jobs whose leaving makes room, by a model of hosts; None if it does not apply."""
    job, problem = trial.job, trial.problem
    if job.isolation or job.anti_affinity or job.spare_hosts or job.domain_group > 1 or job.is_part:
        return None
    able = {
        other.id: trial.others.ranks[other.id]
        for other in problem.jobs
        if other.id in trial.others and not other.is_part and not other.spare_hosts
    }
    price = _occupied_price(trial)
    groups = sorted(groups_to_try(problem, [job]), key=lambda hosts: _least_price(trial, job, price, hosts))
    until_s = time.monotonic() + _SEVERAL_S
    best: tuple[float, list[str]] | None = None
    for hosts in groups[:_MOST_GROUPS]:
        left_s = until_s - time.monotonic()
        if left_s <= 0:
            break
        found = EvictionModel(problem, trial.inventory, able, [job], among=hosts).solve(time_limit_s=left_s, seed=0)
        if found is not None and found.moved and (best is None or found.cost < best[0]):
            best = found.cost, sorted(found.moved)
    return None if best is None else best[1]


def _least_price(trial: Trial, job: Job, price: Int64s, hosts: Int64s) -> float:
    """Return what the cheapest hosts of a group that could hold a job come to."""
    _, problem, _ = trial.without(("occupied",))
    fabric = problem.fabric
    accepts = problem.accepts(job) & problem.state.free
    give = np.bincount(fabric.accelerator_host[accepts], minlength=fabric.num_hosts)[hosts]
    order = np.argsort(price[hosts], kind="stable")
    filled = np.cumsum(give[order])
    num = int(np.searchsorted(filled, job.accelerators)) + 1
    return float(price[hosts][order[:num]].sum()) if len(filled) and filled[-1] >= job.accelerators else np.inf


def _leaving(trial: Trial, in_way: list[str]) -> Remedy:
    """Return the remedy that some jobs leave: those that find another place move, the others end."""
    problem, job = trial.problem, trial.job
    room = Inventory(
        replace(problem, running={i: a for i, a in problem.running.items() if i not in in_way}),
        trial.others.only(set(trial.others) - set(in_way)),
    )
    here = fit(room, job, BestFit())
    ended = []
    if here is not None:
        room.take(job, here.hosts, here.counts, here.spare_hosts)
    jobs = [problem.jobs[problem.job_idx[job_id]] for job_id in in_way]
    for other in sorted(jobs, key=lambda other: -other.accelerators):
        may_move = other.movable or other.id not in problem.running
        there = fit(room, other, BestFit()) if may_move and here is not None else None
        if there is None:
            ended.append(other)
        else:
            room.take(other, there.hosts, there.counts, there.spare_hosts)
    moved = [other for other in jobs if other not in ended]
    parts = [f"moving {_names(tuple(_told(trial, other) for other in moved))}"] if moved else []
    parts += [f"ending {_names(tuple(_told(trial, o, with_cost=False) for o in ended))}"] if ended else []
    text = f"{' and '.join(parts)} would free it"
    return Remedy(text, job_ids=tuple(in_way), ended=tuple(other.id for other in ended))


def _cost(job: Job) -> float:
    return job.move_cost * job.accelerators


def _told(trial: Trial, other: Job, *, with_cost: bool = True) -> str:
    """Return a job's id with its hosts, and what its move costs."""
    ranks = trial.others.ranks[other.id]
    num = len(np.unique(trial.problem.fabric.accelerator_host[ranks]))
    cost = f", cost {_cost(other):g}" if with_cost else ""
    return f"{other.id} ({num} host{'s' * (num > 1)}{cost})"


def _occupied_price(trial: Trial) -> Int64s:
    """Return what it costs to clear each host: its jobs' accelerators, and much more for others, ``(num_hosts,)``."""
    problem, fabric = trial.problem, trial.problem.fabric
    price = np.bincount(fabric.accelerator_host[trial.others.used], minlength=fabric.num_hosts).astype(np.int64)
    return price + _STRANGER * problem.host_is_used


def _cleared(trial: Trial, job: Job, hosts: Int64s) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return the hosts that nobody else may be on if a job takes some, ``(num_hosts,)``."""
    cleared = np.isin(np.arange(trial.problem.fabric.num_hosts), hosts)
    if job.isolation:
        group = trial.problem.host_group(job.isolation)
        cleared = np.isin(group, group[hosts])
    return cleared


def _jobs_in_way(trial: Trial, job: Job, hosts: Int64s) -> list[str]:
    there = [other for other in trial.problem.jobs if other.id in trial.others]
    return [other.id for other in there if _is_in_way(trial, job, other, hosts)]


def _is_in_way(trial: Trial, job: Job, other: Job, hosts: Int64s) -> bool:
    """Tell whether another job must go if this one takes some hosts."""
    problem = trial.problem
    held = np.concatenate([trial.others.ranks[other.id], trial.others.spares.get(other.id, _NONE)])
    there = problem.fabric.accelerator_host[held]
    if np.isin(there, hosts).any():
        return True
    reaches = [reach for reach in (job.isolation, other.isolation) if reach and other.tenant != job.tenant]
    if job.anti_affinity and job.anti_affinity == other.anti_affinity:
        reaches.append(job.anti_affinity_reach)
    return any(np.isin(group[there], group[hosts]).any() for group in (problem.host_group(reach) for reach in reaches))


def _fewest(inventory: Inventory, job: Job, price: Int64s) -> Int64s | None:
    """Return the hosts of a fit whose prices add up to least, over the scopes that best-fit looks at."""
    best: Int64s | None = None
    least = np.inf
    for scope in ("leaf", "pod", "all"):
        found = fit(inventory, job, _Cheapest(price, scope))
        if found is None:
            continue
        hosts = np.concatenate([found.hosts, found.spare_hosts])
        if price[hosts].sum() < least:
            best, least = hosts, price[hosts].sum()
    return best


class _Cheapest:
    """Looks at scopes of one size, those first whose cheapest hosts cost least."""

    def __init__(self, price: Int64s, scope: str) -> None:
        self._price, self._scope = price, scope

    def scopes(self, inventory: Inventory, job: Job, give: Int64s) -> Iterator[Int64s]:
        """Yield the hosts of each scope, cheap ones first."""
        fabric = inventory.fabric
        ready = np.flatnonzero(give)
        ready = ready[np.argsort(self._price[ready], kind="stable")]
        group = {"leaf": fabric.host_leaf_group, "pod": fabric.host_pod}.get(self._scope)
        if group is None:
            yield ready
            return
        costs = []
        for g in np.unique(group[ready]).tolist():
            hosts = ready[group[ready] == g]
            filled = np.cumsum(give[hosts])
            if len(filled) and filled[-1] >= job.accelerators:
                num = int(np.searchsorted(filled, job.accelerators)) + 1
                costs.append((int(self._price[hosts[:num]].sum()), g))
        for _, g in sorted(costs):
            yield ready[group[ready] == g]


def _names_of(problem: Problem, hosts: Int64s) -> tuple[str, ...]:
    return tuple(problem.fabric.host_names[int(h)] for h in hosts)


def _names(names: tuple[str, ...], most: int = 4) -> str:
    """Return a few names and how many more."""
    shown = ", ".join(names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")
