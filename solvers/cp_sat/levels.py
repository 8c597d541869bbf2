"""The levels of the objective that counts tell exactly, while jobs are put here and there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from planner.evaluate import group_spread
from planner.job import Job
from planner.placement import Placement
from planner.problem import Problem
from solvers.fgd import stranded_by_room
from solvers.inventory import Inventory, Taken
from topologies.fabric import Int64s

__all__ = ["Levels"]


class Levels:
    """What `planner.evaluate` would say of placements of a problem, but for the network.

    Parameters
    ----------
    problem
        Whose.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        fabric = problem.fabric
        taken = np.bincount(
            fabric.host_leaf_group[fabric.accelerator_host[~problem.state.free]], minlength=fabric.num_leaf_groups
        )
        self._was_free = taken == 0
        self._stranded = stranded_by_room(problem, popular_frac=1.0)
        self._is_preferred = {
            kinds: _of_kinds(problem, kinds) for kinds in {job.preferred_kinds for job in problem.jobs}
        }

    def of_counts(self, inventory: Inventory, now: Mapping[str, Taken]) -> dict[str, float]:
        """Return the components that counts tell.

        Parameters
        ----------
        inventory
            In which just these jobs have their places.
        now
            Job id → what it has.
        """
        problem, fabric = self.problem, self.problem.fabric
        busy = np.bincount(fabric.host_leaf_group, weights=inventory.host_busy, minlength=fabric.num_leaf_groups) > 0
        free = fabric.host_num_accelerators - inventory.host_busy
        placed = [job for job in problem.jobs if job.id in now]
        return {
            "unpreferred_accelerators": float(
                sum(
                    int(np.count_nonzero(~self._is_preferred[job.preferred_kinds][now[job.id].ranks]))
                    for job in placed
                    if job.preferred_kinds
                )
            ),
            "opened_leaf_groups": float(np.count_nonzero(busy & self._was_free)),
            "stranded_accelerators": round(float(self._stranded[free].sum()), 9),
            "max_group_spread": self._group_spread(placed, now),
            "moves": sum(
                problem.jobs[problem.job_idx[job_id]].move_cost * len(before)
                for job_id, before in problem.running.items()
                if not same(before, now[job_id].ranks)
            ),
        }

    def _group_spread(self, placed: list[Job], now: Mapping[str, Taken]) -> float:
        if "max_group_spread" not in self.problem.objective.levels or all(job.pipeline == 1 for job in placed):
            return 0.0
        placement = Placement({job.id: now[job.id].ranks for job in placed})
        return max(group_spread(self.problem, placement, job) for job in placed)

    def alone(self, job: Job) -> Problem:
        """Return the problem of one job, nobody else of the batch being there."""
        return replace(self.problem, jobs=(job,), running={})


def same(one: Int64s, other: Int64s) -> bool:
    """Tell whether two lists hold the same accelerators, in whatever order."""
    return len(one) == len(other) and np.array_equal(np.sort(one), np.sort(other))


def _of_kinds(problem: Problem, kinds: tuple[str, ...]) -> npt.NDArray[np.bool_]:
    """Return which accelerators are of some kinds, ``(num_accelerators,)``."""
    fabric = problem.fabric
    is_kind = np.array([part.id in kinds for part in fabric.parts] + [False])
    return np.asarray(is_kind[fabric.node_part[: fabric.num_accelerators]], np.bool_)
