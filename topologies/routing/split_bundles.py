"""Bundles cut into parts, where broken cables keep a bundle from standing for its links as a whole.

One broken cable makes its leaf spread unlike the others: what it sends loads some links of the bundles above more than
the rest. The links that all users of a bundle still load in the same proportions are taken together as a *part*, and
a part is a channel. There are a handful of parts where a bundle has a thousand links.
"""

from __future__ import annotations

import numpy as np

from topologies.routing.channels import Channels, PlaneChannels
from topologies.routing.clos import ClosTables
from topologies.routing.rows import Float64s, Int64s, count_at, running_total, spans, sum_at
from topologies.routing.search import SplitWays

__all__ = ["SplitBundles"]

_ALIKE = 1e-9  # relative difference of two fingerprints that are the same but for rounding


class SplitBundles:
    """The parts of the bundles that share links with one another, or with ways found by search.

    Two links belong to one part if every user, be it a bundle or a pair of groups routed by search, loads them in one
    proportion. That is told by fingerprints: two sums of the users' shares with random weights, whose quotient is the
    same for links that are loaded in one proportion, and for others with a probability of some 10⁻⁹ only.

    Parameters
    ----------
    clos, numbers
        Tables and channels of the network.
    channels
        What there is so far; the parts are added at its end.
    ways
        Of the pairs that are routed by search; None if there are none.

    Attributes
    ----------
    channels
        With the parts.
    is_cut
        ``(2 × bundles,)`` whether a bundle is used by parts, upwards and then downwards.
    """

    def __init__(self, clos: ClosTables, numbers: PlaneChannels, channels: Channels, ways: SplitWays | None) -> None:
        num_links, users = channels.fabric.num_links, 2 * clos.num_bundles
        owner = np.repeat(np.arange(clos.num_bundles), np.diff(clos.bundle_start))
        link = np.concatenate((clos.bundle_link, clos.bundle_link ^ 1))
        user = np.concatenate((owner, owner + clos.num_bundles))
        share = np.concatenate((clos.bundle_share, clos.bundle_share))
        self.is_cut = np.concatenate((numbers.shared, numbers.shared))
        if ways is not None:
            searched = np.zeros(num_links, bool)
            searched[ways.link] = True
            self.is_cut[user[searched[link]]] = True
        kept = self.is_cut[user]
        link, user, share = link[kept], user[kept], share[kept]
        self._is_part = np.zeros(num_links, bool)
        self._is_part[link] = True
        first_user = np.full(num_links, users, np.int64)
        np.minimum.at(first_user, link, user)
        if ways is not None:
            inside = self._is_part[ways.link]
            pair = np.repeat(np.arange(ways.num_pairs), np.diff(ways.pair_start))[inside]
            link, share = np.append(link, ways.link[inside]), np.append(share, ways.share_frac[inside])
            user = np.append(user, users + pair)
            users += ways.num_pairs
        part, weight = self._parts(link, user, share, first_user, users)
        self._first = channels.num_channels
        order = np.argsort(part, kind="stable")[np.count_nonzero(part < 0) :]
        size = count_at(part[order], int(part.max(initial=-1)) + 1)
        self.channels = channels.with_rows(size, order, weight[order])
        key, inverse = np.unique(user * max(size.size, 1) + part[link], return_inverse=True)
        self._share = sum_at(inverse.ravel(), share, key.size)
        self._part = key % max(size.size, 1)
        self._start = running_total(count_at(key // max(size.size, 1), users))

    @staticmethod
    def _parts(link: Int64s, user: Int64s, share: Float64s, first_user: Int64s, users: int) -> tuple[Int64s, Float64s]:
        """Return the part of each link of the fabric, −1 for others, and its proportion of the part's load."""
        num_links = first_user.size
        random = np.random.default_rng(0).uniform(0.5, 1.5, (2, users))
        load = sum_at(link, random[0][user] * share, num_links)
        other = sum_at(link, random[1][user] * share, num_links)
        part, weight = np.full(num_links, -1, np.int64), np.zeros(num_links)
        used = np.flatnonzero(load)
        quotient = other[used] / load[used]
        order = np.lexsort((quotient, first_user[used]))
        used, quotient = used[order], quotient[order]
        begins = (np.diff(first_user[used], prepend=-1) != 0) | (np.diff(quotient, prepend=0.0) > _ALIKE)
        number = np.cumsum(begins) - 1
        part[used] = number
        weight[used] = load[used] / sum_at(number, load[used], int(begins.sum()))[number]
        return part, weight

    def of_bundles(self, row: Int64s) -> tuple[Int64s, Int64s, Float64s]:
        """Return how many parts each row of `is_cut` has, and their channels and shares one after the other."""
        size = self._start[row + 1] - self._start[row]
        entry = spans(self._start[row], size)
        return size, self._first + self._part[entry], self._share[entry]

    def merged(self, ways: SplitWays) -> SplitWays:
        """Return `ways` with parts in place of their links."""
        rows = self.is_cut.size + np.arange(ways.num_pairs)
        size, channel, share = self.of_bundles(rows)
        single = ~self._is_part[ways.link]
        pair = np.repeat(np.arange(ways.num_pairs), np.diff(ways.pair_start))[single]
        return ways.with_entries(
            np.append(pair, np.repeat(np.arange(ways.num_pairs), size)),
            np.append(ways.link[single], channel),
            np.append(ways.share_frac[single], share),
        )
