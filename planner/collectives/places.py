"""Pairs of units counted by the leaves they are on, for exchanges among more units than can be listed in pairs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from planner.collectives.groups import Visits
from topologies.fabric import Fabric, LinkKind
from topologies.routing.rows import Int64s, count_at, running_total, spans

__all__ = ["pairs_by_place"]


def pairs_by_place(
    fabric: Fabric, seen: Visits, rows: npt.NDArray[np.bool_], most: int
) -> tuple[Int64s, Int64s, Int64s] | None:
    """Return pairs that stand for every ordered pair of different units of each marked job.

    A *place* is a set of leaves, with the rails they are on and the number of accelerators behind them. Seen from a
    unit, all units of one place are alike: the unit sends to one of them what it has for all, and units take turns in
    whom they send to. What each leaf and each link above carries stays exact under spraying. So does what each NIC
    carries if every place of the job has the same number of units; else a NIC is off by less than twice the part that
    its place is of the job.

    Parameters
    ----------
    rows
        ``(J,)`` which jobs.
    most
        More pairs than this are not listed.

    Returns
    -------
    tuple or None
        ``(P,)`` each: sending visit, receiving visit, how many pairs it stands for. None if there are more than `most`.
    """
    visit = np.flatnonzero(rows[seen.job])
    place, job = _places(fabric, seen)[visit], seen.job[visit]
    order = np.lexsort((visit, place, job))
    visit, place, job = visit[order], place[order], job[order]
    is_first = np.diff(place, prepend=-1) != 0
    is_first |= np.diff(job, prepend=-1) != 0
    start = np.append(np.flatnonzero(is_first), visit.size)
    size, number = np.diff(start), np.cumsum(is_first) - 1
    places_of_job = running_total(count_at(job[start[:-1]], rows.size))
    num_places = np.diff(places_of_job)[job]
    if int(num_places.sum()) > most:
        return None
    sender = np.repeat(np.arange(visit.size), num_places)
    target = spans(places_of_job[job], num_places)
    own = target == number[sender]
    # Turns are by place in the job; a unit passes itself over.
    turn = np.where(own, sender - start[number[sender]] + 1, sender)
    receiver = start[target] + turn % size[target]
    times = size[target] - own
    keep = times > 0
    return visit[sender[keep]], visit[receiver[keep]], times[keep]


def _places(fabric: Fabric, seen: Visits) -> Int64s:
    """Return the place of each visit, ``(V,)``, numbered from 0."""
    is_out = (fabric.link_kind == LinkKind.SCALE_OUT) & (fabric.node_tier[fabric.link_target] == 1)
    link = np.flatnonzero(is_out)
    leaf_of = np.full(fabric.num_nodes, -1, np.int64)
    leaf_of[fabric.link_source[link]] = fabric.link_target[link]
    is_host = (fabric.link_kind == LinkKind.HOST) & (fabric.link_source < fabric.num_accelerators)
    inside = np.flatnonzero(is_host)
    holder, nic = fabric.link_source[inside].astype(np.int64), fabric.link_target[inside].astype(np.int64)
    by_holder = np.argsort(holder, kind="stable")
    port_start = running_total(count_at(holder, fabric.num_accelerators))
    leaf_of_port = leaf_of[nic[by_holder]]
    known: dict[tuple[bytes, bytes], int] = {}
    place = np.empty(seen.job.size, np.int64)
    for v in range(seen.job.size):
        members = seen.member[seen.member_start[v] : seen.member_start[v + 1]]
        sizes = port_start[members + 1] - port_start[members]
        ports = leaf_of_port[spans(port_start[members], sizes)]
        own = leaf_of[members]  # of accelerators that hang on the network themselves
        place[v] = known.setdefault((np.sort(ports).tobytes(), np.sort(own).tobytes()), len(known))
    return place
