"""Why a job is not placed, from counts of what is left: the first limit that stands in the way, in words."""

from __future__ import annotations

from planner.job import Job
from planner.result import Refusal
from solvers.fitting import sums_by
from solvers.inventory import Inventory

__all__ = ["refusal"]


def refusal(inventory: Inventory, job: Job) -> Refusal:
    """Return why a job does not fit into what is free now."""
    return Refusal(job.id, f"needs {_asked(job)}; {_obstacle(inventory, job)}")


def _asked(job: Job) -> str:
    each = job.accelerators_per_host
    text = f"{job.accelerators} accelerators" if each is None else f"{job.accelerators // each} hosts with {each} free"
    limits = [
        f"of {' or '.join(job.kinds)}" if job.kinds else "",
        f"with {job.memory_bytes / 2**30:g} GiB each" if job.memory_bytes else "",
        "in one scale-up domain" if job.same_domain else "",
        "on hosts of its own" if job.exclusive else "",
        f"on at most {job.max_leaf_groups} leaf group{'s' * (job.max_leaf_groups > 1)}" if job.max_leaf_groups else "",
        f"in at most {job.max_pods} pod{'s' * (job.max_pods > 1)}" if job.max_pods else "",
    ]
    return " ".join([text, *filter(None, limits)])


def _obstacle(inventory: Inventory, job: Job) -> str:
    fabric = inventory.fabric
    num_free = int(inventory.free.sum())
    if num_free < job.accelerators:
        return f"{num_free} are free"
    num_accepted = int((inventory.free & inventory.problem.accepts(job)).sum())
    if num_accepted < job.accelerators:
        return f"{num_free} are free, {num_accepted} of a kind and memory it accepts"
    usable = inventory.usable(job)
    if int(usable.sum()) < job.accelerators:
        return f"{num_accepted} are free, {int(usable.sum())} of them on hosts without other jobs"
    give = inventory.chunk(job, usable)
    each = job.accelerators_per_host
    if int(give.sum()) < job.accelerators and each is not None:
        return f"{num_accepted} are free, but only {int((give > 0).sum())} hosts have {each}"
    if job.same_domain:
        largest = int(sums_by(fabric.host_domain, give, fabric.num_domains).max(initial=0))
        if largest < job.accelerators:
            return f"the scale-up domain with most room has {largest} free"
    for group, limit, what in (
        (fabric.host_leaf_group, job.max_leaf_groups, "leaf group"),
        (fabric.host_pod, job.max_pods, "pod"),
    ):
        if limit is not None:
            room = sorted(sums_by(group, give, int(group.max()) + 1).tolist(), reverse=True)[:limit]
            if sum(room) < job.accelerators:
                return (
                    f"the {limit} {what}{'s' * (limit > 1)} with most room {'have' if limit > 1 else 'has'} {sum(room)}"
                )
    return "no hosts were found that meet all its limits at once"
