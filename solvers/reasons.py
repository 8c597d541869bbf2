"""Why a job is not placed, from counts of what is left: the first limit that stands in the way, in words."""

from __future__ import annotations

from planner.job import Job
from planner.result import Refusal
from solvers.fitting import sums_by
from solvers.inventory import Inventory
from solvers.room import most_room

__all__ = ["asked_text", "obstacle_text", "refusal"]


def refusal(inventory: Inventory, job: Job, *, rule: str = "") -> Refusal:
    """Return why a job does not fit into what is free now.

    Parameters
    ----------
    rule
        Where a solver with rules of its own places jobs: named if the job's own rules leave room.
    """
    if rule and most_room(inventory, job) >= job.accelerators:
        return Refusal(job.id, f"needs {asked_text(job)}; there is room by its own rules, but not where {rule}")
    return Refusal(job.id, f"needs {asked_text(job)}; {obstacle_text(inventory, job)}")


def asked_text(job: Job) -> str:
    """Return what a job asks for, in words."""
    each = job.accelerators_per_host
    text = f"{job.accelerators} accelerators" if each is None else f"{job.accelerators // each} hosts with {each} free"
    limits = [
        f"of {' or '.join(job.kinds)}" if job.kinds else "",
        f"with {job.memory_bytes / 2**30:g} GiB each" if job.memory_bytes else "",
        "in one scale-up domain" if job.same_domain else "",
        "on hosts of its own" if job.exclusive else "",
        f"on at most {job.max_leaf_groups} leaf group{'s' * (job.max_leaf_groups > 1)}" if job.max_leaf_groups else "",
        f"in at most {job.max_pods} pod{'s' * (job.max_pods > 1)}" if job.max_pods else "",
        f"in segments of {job.segment_hosts} hosts a leaf group" if job.segment_hosts else "",
        f"with {job.domain_group} ranks at a time in one scale-up domain" if job.domain_group > 1 else "",
        f"with {job.spare_hosts} spare hosts a {job.spare_reach}" if job.spare_hosts else "",
        f"with no other tenant in its {job.isolation}s" if job.isolation else "",
        f"on other {job.anti_affinity_reach}s than jobs labelled {job.anti_affinity}" if job.anti_affinity else "",
        f"with room for {job.mig_profile}" if job.mig_profile else "",
        f"with {job.share_frac:g} of each free" if job.share_frac < 1 else "",
    ]
    return " ".join([text, *filter(None, limits)])


def obstacle_text(inventory: Inventory, job: Job) -> str:
    """Return the first thing that counts show to stand in a job's way, in words with figures."""
    if job.is_part:
        return _part_obstacle(inventory, job)
    fabric = inventory.fabric
    num_free = int(inventory.free.sum())
    if num_free < job.accelerators:
        return f"{num_free} are free" if job.accelerators_per_host is None else f"{num_free} accelerators are free"
    num_accepted = int((inventory.free & inventory.problem.accepts(job)).sum())
    if num_accepted < job.accelerators:
        return f"{num_free} are free, {num_accepted} of a kind and memory it accepts"
    usable = inventory.usable(job)
    if int(usable.sum()) < job.accelerators:
        minds = job.isolation or job.anti_affinity
        where = "where no neighbour is in its way" if minds else "on hosts without other jobs"
        return f"{num_accepted} are free, {int(usable.sum())} of them {where}"
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
    most = most_room(inventory, job)
    if most < job.accelerators:
        return f"{num_accepted} are free, at most {most} of them by all its rules at once"
    return "no hosts were found that meet all its limits at once"


def _part_obstacle(inventory: Inventory, job: Job) -> str:
    room = int(inventory.usable(job).sum())
    if room < job.accelerators:
        return f"{room} accelerators have room for it"
    return f"at most {most_room(inventory, job)} accelerators have room for it by all its rules at once"
