"""Groups of accelerators as collectives see them: ranks gathered by unit, and the ports each unit sends through.

A *unit* is what has fast links inside: a scale-up domain, or a host where the domain is smaller than the host. NCCL
visits each unit once, in the order of its first rank, whatever the order of ranks inside; so do these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from topologies.errors import InputError
from topologies.fabric import Fabric, LinkKind
from topologies.routing.router import router_for
from topologies.routing.rows import Int64s, count_at, running_total, spans

__all__ = ["Crossings", "Visits", "all_pairs", "crossings", "next_visits", "visits"]


@dataclass(frozen=True, eq=False)
class Visits:
    """The units that each job's ranks lie in, job after job.

    Attributes
    ----------
    job_start
        ``(J + 1,)``: visits ``job_start[j]`` to ``job_start[j + 1] − 1`` are job j's, in the order of their first rank.
    job
        ``(V,)`` job of each visit.
    member_start, member
        Compressed rows: the accelerators of each visit, in rank order.
    """

    job_start: Int64s
    job: Int64s
    member_start: Int64s
    member: Int64s

    @property
    def num_members(self) -> Int64s:
        """Accelerators in each visit, ``(V,)``."""
        return np.diff(self.member_start)

    @property
    def num_visits(self) -> Int64s:
        """Units of each job, ``(J,)``."""
        return np.diff(self.job_start)


def _unit_of_accelerator(fabric: Fabric) -> Int64s:
    """Return the unit of each accelerator, ``(A,)``: its domain if its whole host is in it, else its host."""
    domain, host = fabric.accelerator_domain.astype(np.int64), fabric.accelerator_host.astype(np.int64)
    first = domain[fabric.host_accelerator_start[:-1]]
    split = np.zeros(fabric.num_hosts, bool)
    split[host[domain != first[host]]] = True
    return np.where(split[host], fabric.num_domains + host, domain)


def visits(fabric: Fabric, ranks: Sequence[npt.ArrayLike]) -> Visits:
    """Gather the ranks of each job by unit.

    Parameters
    ----------
    ranks
        For each job its accelerators in rank order.

    Raises
    ------
    InputError
        If a group is empty, an accelerator does not exist, or stands twice in one group.
    """
    groups = [np.asarray(r, dtype=np.int64).ravel() for r in ranks]
    size = np.array([g.size for g in groups], np.int64)
    member = np.concatenate([*groups, np.zeros(0, np.int64)])
    job = np.repeat(np.arange(len(groups)), size)
    _check(fabric, size, member, job)
    unit = _unit_of_accelerator(fabric)[member]
    key = job * (int(unit.max(initial=0)) + 1) + unit
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    order = np.argsort(first)
    number = np.empty(first.size, np.int64)
    number[order] = np.arange(first.size)
    visit = number[inverse.ravel()]
    visit_job = job[first[order]]
    return Visits(
        running_total(count_at(visit_job, len(groups))),
        visit_job,
        running_total(count_at(visit, first.size)),
        member[np.argsort(visit, kind="stable")],
    )


def _check(fabric: Fabric, size: Int64s, member: Int64s, job: Int64s) -> None:
    if size.size and size.min() == 0:
        raise InputError(what="a group without members", where=f"group {int(np.argmin(size))}", allowed="1 or more")
    bad = np.flatnonzero((member < 0) | (member >= fabric.num_accelerators))
    if bad.size:
        raise InputError(
            what="a group names an accelerator that does not exist",
            where=f"group {int(job[bad[0]])}",
            found=int(member[bad[0]]),
            allowed=f"0 to {fabric.num_accelerators - 1}",
        )
    key = np.sort(job * fabric.num_accelerators + member)
    twice = key[1:][key[1:] == key[:-1]]
    if twice.size:
        raise InputError(
            what="a group names an accelerator twice",
            where=f"group {int(twice[0]) // fabric.num_accelerators}",
            found=repr(fabric.node_names[int(twice[0]) % fabric.num_accelerators]),
            allowed="each member once",
        )


@dataclass(frozen=True, eq=False)
class Crossings:
    """Port pairs that carry what goes from one unit to another.

    Attributes
    ----------
    passage
        ``(C,)`` number of the passage from unit to unit that each port pair belongs to.
    source, target
        ``(C,)`` nodes: NICs, or accelerators that hang on the scale-out network themselves.
    share_frac
        ``(C,)`` part of the passage's bytes that the pair carries; adds up to 1 over a passage.
    """

    passage: Int64s
    source: Int64s
    target: Int64s
    share_frac: npt.NDArray[np.float64]


def next_visits(seen: Visits) -> tuple[Int64s, Int64s]:
    """Return the passages of a ring: each unit and the next one of its job, and from the last back to the first.

    Jobs in one unit have none.
    """
    leaves = np.flatnonzero(seen.num_visits[seen.job] > 1)
    enters = leaves + 1
    is_last = enters == seen.job_start[seen.job[leaves] + 1]
    enters[is_last] = seen.job_start[seen.job[leaves[is_last]]]
    return leaves, enters


def all_pairs(start: Int64s, rows: npt.NDArray[np.bool_]) -> tuple[Int64s, Int64s]:
    """Return every ordered pair of different entries of each of the compressed `rows` that are marked."""
    num = np.diff(start)
    row = np.repeat(np.arange(num.size), num)
    partners = np.where(rows, num, 0)[row]
    first = np.repeat(np.arange(start[-1]), partners)
    second = spans(start[row], partners)
    keep = first != second
    return first[keep], second[keep]


def crossings(fabric: Fabric, seen: Visits, leaves: Int64s, enters: Int64s) -> Crossings:
    """Pair the ports of two units: rail by rail, or in order where they have no rail in common.

    A unit sends through the ports of the accelerators that the job has in it, and no others. Where the two sides have
    different numbers of ports on a rail, the fewer are used more than once. Where nothing joins their rails, the pair
    is one of accelerators, and the traffic goes over relays in the scale-up domain (`topologies.routing.relay`).

    Parameters
    ----------
    leaves, enters
        ``(P,)`` visits: a passage leads from one to the other.

    Raises
    ------
    InputError
        If a job has to leave a unit where its accelerators have no port.
    """
    key, start, port = _ports(fabric, seen)
    num_rails = _num_rails(fabric)
    by_visit = np.searchsorted(key // num_rails, np.arange(seen.job.size + 1))
    num_rails_of = np.diff(by_visit)
    ends = np.concatenate((leaves, enters))
    lost = ends[num_rails_of[ends] == 0]
    if lost.size:
        accelerator = int(seen.member[seen.member_start[lost[0]]])
        raise InputError(
            what="a job is spread over units that its accelerators cannot leave",
            where=f"group {int(seen.job[lost[0]])}",
            found=f"{fabric.node_names[accelerator]!r} has no NIC",
            fix="keep the job in one scale-up domain",
        )
    # One entry a (passage, rail of its source side), matched with the same rail on the other side.
    here = spans(by_visit[leaves], num_rails_of[leaves])
    passage = np.repeat(np.arange(leaves.size), num_rails_of[leaves])
    there_key = enters[passage] * num_rails + key[here] % num_rails
    there = np.minimum(np.searchsorted(key, there_key), max(key.size - 1, 0))
    match = key[there] == there_key
    pairs = [_pair(passage[match], here[match], there[match], start)]
    alone = np.ones(leaves.size, bool)
    alone[passage[match]] = False
    pairs.append(_pair(np.flatnonzero(alone), leaves[alone], enters[alone], start[by_visit]))
    passage, source, target = (np.concatenate(column) for column in zip(*pairs, strict=True))
    order = np.argsort(passage, kind="stable")
    passage = passage[order]
    share = 1.0 / count_at(passage, leaves.size)[passage]
    source, target = port[source[order]], port[target[order]]
    if alone.any():
        source, target = _over_relays(fabric, source, target)
    return Crossings(passage, source, target, share)


def _over_relays(fabric: Fabric, source: Int64s, target: Int64s) -> tuple[Int64s, Int64s]:
    """Return port pairs with accelerators in place of NICs that hang on networks that nothing joins."""
    piece = router_for(fabric).relays.piece
    apart = (piece[source] != piece[target]) & (piece[source] >= 0) & (piece[target] >= 0)
    if not apart.any():
        return source, target
    holder = np.arange(fabric.num_nodes)
    inside = np.flatnonzero((fabric.link_kind == LinkKind.HOST) & (fabric.link_source < fabric.num_accelerators))[::-1]
    holder[fabric.link_target[inside]] = fabric.link_source[inside]  # reversed: the first accelerator stays
    return np.where(apart, holder[source], source), np.where(apart, holder[target], target)


def _num_rails(fabric: Fabric) -> int:
    """Return a number that every rail + 1 is below."""
    return max(fabric.num_rails, int(fabric.accelerator_rail.max(initial=-1)) + 1) + 1


def _ports(fabric: Fabric, seen: Visits) -> tuple[Int64s, Int64s, Int64s]:
    """Ports by (visit, rail): sorted key ``visit × rails + rail``, where each starts, and the port nodes."""
    accelerators = fabric.num_accelerators
    visit_of_member = np.repeat(np.arange(seen.job.size), seen.num_members)
    is_host_link = (fabric.link_kind == LinkKind.HOST) & (fabric.link_source < accelerators)
    is_own_port = (fabric.link_kind == LinkKind.SCALE_OUT) & (fabric.link_source < accelerators)
    link = np.flatnonzero(is_host_link | is_own_port)
    holder = fabric.link_source[link].astype(np.int64)
    port = np.where(is_host_link[link], fabric.link_target[link], holder).astype(np.int64)
    order = np.argsort(holder, kind="stable")
    port_start, port = running_total(count_at(holder, accelerators)), port[order]
    size = port_start[seen.member + 1] - port_start[seen.member]
    node = port[spans(port_start[seen.member], size)]
    visit = np.repeat(visit_of_member, size)
    is_nic = node >= accelerators
    rail = np.empty(node.size, np.int64)
    rail[is_nic] = fabric.nic_rail[node[is_nic] - accelerators]
    rail[~is_nic] = fabric.accelerator_rail[node[~is_nic]]
    num_rails = _num_rails(fabric)
    whole = np.unique((visit * num_rails + rail + 1) * fabric.num_nodes + node)
    key, begin = np.unique(whole // fabric.num_nodes, return_index=True)
    return key, np.append(begin, whole.size), whole % fabric.num_nodes


def _pair(passage: Int64s, here: Int64s, there: Int64s, start: Int64s) -> tuple[Int64s, Int64s, Int64s]:
    """Pair the ports of two ranges each, going round the shorter one: ``(passage, source, target)`` places."""
    num_here, num_there = start[here + 1] - start[here], start[there + 1] - start[there]
    num = np.maximum(num_here, num_there)
    owner = np.repeat(np.arange(passage.size), num)
    turn = spans(np.zeros(passage.size, np.int64), num)
    return passage[owner], start[here][owner] + turn % num_here[owner], start[there][owner] + turn % num_there[owner]
