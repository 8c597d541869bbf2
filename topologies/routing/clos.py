"""Up-and-down tables of folded Clos networks, found from the graph and proved on it, not taken from the kind's name.

In a folded Clos a flow climbs to the lowest tier where its two ends meet and comes down again. What it loads then falls
apart into a part that depends on the source alone and one that depends on the destination alone:

* From each group of endpoints, an even split at every switch *reaches* certain switches of tier h with certain shares.
  Groups that reach the same are one *class* at height h.
* Two groups meet at the lowest height where they are one class. The links between heights k and k + 1 that a class
  spreads over are its *bundle*; every link of a bundle has a fixed share of what passes, up and, mirrored, down.

This holds only where the graph is regular enough, which is checked class by class: the way down must split as the way
up does, and no switch may be reached by two classes of one height (else the groups of both are *entangled*, and a pair
from different classes goes to the general search). So one broken cable sends only the pairs it touches there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from topologies.routing.plane import Plane
from topologies.routing.rows import Float64s, Int64s, count_at, running_total, spans, sum_at

__all__ = ["GENERAL", "ClosTables"]

GENERAL = -1
"""Height of a pair that has to be routed by the general search."""

_SHARE_DIGITS = 12


@dataclass(frozen=True, eq=False)
class _Reach:
    """For each class the switches it reaches and with what share, in compressed rows."""

    start: Int64s
    switch: Int64s
    share: Float64s

    @property
    def num_classes(self) -> int:
        return len(self.start) - 1

    def entry_class(self) -> Int64s:
        return np.repeat(np.arange(self.num_classes), np.diff(self.start))


@dataclass(frozen=True, eq=False)
class ClosTables:
    """Classes and bundles of one plane.

    Attributes
    ----------
    group_class
        ``(heights, groups)``: class of each group at height ``h`` (row ``h − 1``); −1 where it cannot climb that high.
    group_tangle
        Same shape: groups with one number here are tied by shared switches at that height; −1 as above.
    bundle_of
        Same shape: the bundle between heights ``h`` and ``h + 1`` of each group's class; −1 if there is none.
    bundle_start, bundle_link, bundle_share
        Compressed rows: upward links of each bundle, and the share of what passes that each carries.
    up_start, up_link
        Compressed rows: upward links of each switch.
    down_key, down_link
        Downward links sorted by ``bundle × switches + upper switch``.
    """

    group_class: Int64s
    group_tangle: Int64s
    bundle_of: Int64s
    bundle_start: Int64s
    bundle_link: Int64s
    bundle_share: Float64s
    up_start: Int64s
    up_link: Int64s
    down_key: Int64s
    down_link: Int64s

    @property
    def num_heights(self) -> int:
        """Number of heights, 1 for a single tier."""
        return len(self.group_class)

    @property
    def num_bundles(self) -> int:
        """Number of bundles."""
        return len(self.bundle_start) - 1

    @property
    def is_disjoint(self) -> bool:
        """Whether no link belongs to two bundles, so that a bundle can stand for its links."""
        return len(np.unique(self.bundle_link)) == len(self.bundle_link)

    def heights(self, source_group: Int64s, target_group: Int64s) -> Int64s:
        """Return the height where each pair of groups meets, `GENERAL` where the tables do not tell."""
        height = np.full(source_group.shape, GENERAL, np.int64)
        open_pair = np.arange(source_group.size)
        for h in range(self.num_heights):
            a, b = source_group[open_pair], target_group[open_pair]
            can = (self.group_class[h, a] >= 0) & (self.group_class[h, b] >= 0)
            tied = self.group_tangle[h, a] == self.group_tangle[h, b]
            meets = can & (self.group_class[h, a] == self.group_class[h, b])
            height[open_pair[meets]] = h + 1
            open_pair = open_pair[can & ~tied]
        return height

    @staticmethod
    def of(plane: Plane) -> ClosTables | None:
        """Return the tables of a plane, None if its switches do not stand in tiers with links between neighbours."""
        fabric, first = plane.fabric, plane.num_endpoints
        tier = fabric.node_tier[first:].astype(np.int64)
        lower = np.repeat(tier, np.diff(plane.trunk_start))
        upper = tier[plane.switch_of(plane.trunk_link)]
        if plane.num_groups == 0 or np.any(np.abs(upper - lower) != 1) or np.any(tier[plane.group_switch] > 1):
            return None
        is_up = upper > lower
        up_start = running_total(is_up)[plane.trunk_start]
        up_link = plane.trunk_link[is_up]
        return _climb(plane, up_start, up_link)


def _with_bare_leaves(plane: Plane) -> _Reach:
    """Return groups as classes of height 1, and one for each leaf without endpoints, which ties spines as well."""
    tier = plane.fabric.node_tier[plane.num_endpoints :]
    bare = np.ones(plane.num_switches, bool)
    bare[plane.group_switch] = False
    bare &= (tier <= 1) & (np.diff(plane.trunk_start) > 0)
    extra = np.flatnonzero(bare)
    start = np.concatenate((plane.group_start, plane.group_start[-1] + 1 + np.arange(extra.size)))
    return _Reach(
        start, np.concatenate((plane.group_switch, extra)), np.concatenate((plane.group_share, np.ones(extra.size)))
    )


def _tangles(reach: _Reach, num_switches: int) -> Int64s:
    """Return the knot that each class belongs to: classes that reach one switch are in one knot."""
    owners = count_at(reach.switch, num_switches)
    if not owners.size or owners.max() <= 1:
        return np.arange(reach.num_classes)
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    size = reach.num_classes + num_switches
    ends = (reach.entry_class(), reach.num_classes + reach.switch)
    graph = coo_array((np.ones(reach.switch.size, np.int8), ends), shape=(size, size)).tocsr()
    _, label = connected_components(graph, directed=False)
    return np.asarray(label[: reach.num_classes], np.int64)


def _climb(plane: Plane, up_start: Int64s, up_link: Int64s) -> ClosTables:
    """Follow the even split up, height by height, as long as some class can climb."""
    reach = _with_bare_leaves(plane)
    class_of_group = np.arange(plane.num_groups)
    usable = np.ones(reach.num_classes, bool)
    rows: list[tuple[Int64s, Int64s, Int64s]] = []
    bundles: list[tuple[Int64s, Int64s, Float64s]] = []
    num_bundles = 0
    while np.any(usable[class_of_group] & (class_of_group >= 0)):
        step = _climb_once(plane, reach, usable, up_start, up_link)
        good = (class_of_group >= 0) & usable[class_of_group]
        opens = good & (step.next_class[class_of_group] >= 0)
        opens[opens] = step.usable[step.next_class[class_of_group[opens]]]
        tangle = _tangles(reach, plane.num_switches)
        rows.append(
            (
                np.where(good, class_of_group, -1),
                np.where(good, tangle[class_of_group], -1),
                np.where(opens, num_bundles + class_of_group, -1),
            )
        )
        bundles.append((step.size, step.link, step.share))
        num_bundles += reach.num_classes
        class_of_group = np.where(class_of_group >= 0, step.next_class[class_of_group], -1)
        reach, usable = step.above, np.append(step.usable, False)  # the last one answers for class −1
    bundle_start = running_total(np.concatenate([b[0] for b in bundles]))
    bundle_link = np.concatenate([b[1] for b in bundles])
    bundle_share = np.concatenate([b[2] for b in bundles])
    key = np.repeat(np.arange(num_bundles), np.diff(bundle_start)) * plane.num_switches + plane.switch_of(bundle_link)
    order = np.argsort(key, kind="stable")
    return ClosTables(
        np.array([r[0] for r in rows]),
        np.array([r[1] for r in rows]),
        np.array([r[2] for r in rows]),
        bundle_start,
        bundle_link,
        bundle_share,
        up_start,
        up_link,
        key[order],
        bundle_link[order] ^ 1,
    )


@dataclass(frozen=True, eq=False)
class _Step:
    """One height up: the bundles' sizes, links and shares; what is reached above, and each class's class there."""

    size: Int64s
    link: Int64s
    share: Float64s
    above: _Reach
    next_class: Int64s
    usable: npt.NDArray[np.bool_]


def _climb_once(plane: Plane, reach: _Reach, usable: npt.NDArray[np.bool_], up_start: Int64s, up_link: Int64s) -> _Step:
    """Spread every class over the upward links of the switches it reaches."""
    num_classes, num_switches = reach.num_classes, plane.num_switches
    fan = np.diff(up_start)[reach.switch]
    owner = reach.entry_class()
    stuck = ~usable[:num_classes]
    stuck[owner[fan == 0]] = True
    link = up_link[spans(up_start[reach.switch], fan)]
    link_owner = np.repeat(owner, fan)
    link_share = np.repeat(reach.share / np.maximum(fan, 1), fan)

    key = link_owner * num_switches + plane.switch_of(link)
    top, where, count = np.unique(key, return_inverse=True, return_counts=True)
    top_share = sum_at(where.ravel(), link_share, top.size)
    uneven = ~np.isclose(link_share, (top_share / np.maximum(count, 1))[where.ravel()], rtol=1e-9, atol=0.0)
    stuck[link_owner[uneven]] = True  # the way down would not split as the way up does

    switch, rounded = top % num_switches, np.round(top_share, _SHARE_DIGITS)
    row = np.searchsorted(top // num_switches, np.arange(num_classes + 1))
    next_class = np.full(num_classes, -1, np.int64)
    seen: dict[bytes, int] = {}
    first: list[int] = []
    for c in np.flatnonzero(np.diff(row)):
        span = slice(row[c], row[c + 1])
        number = seen.setdefault(stuck[c].tobytes() + switch[span].tobytes() + rounded[span].tobytes(), len(seen))
        if number == len(first):
            first.append(int(c))
        next_class[c] = number
    chosen = np.array(first, np.int64)
    size = np.diff(row)[chosen]
    pick = spans(row[chosen], size)
    above = _Reach(running_total(size), switch[pick], top_share[pick])
    return _Step(count_at(link_owner, num_classes), link, link_share, above, next_class, ~stuck[chosen])
