"""Which rows load which links: the sparse matrix that every congestion question is asked on.

A *row* is whatever moves at one rate: a whole ring (all of its edges run at the ring's pace) or a single flow of an
all-to-all. The entry of row and link is the *multiplicity*: how many times the row's rate loads that link, so a ring
that crosses one uplink twice has a 2 there, and a flow sprayed over eight uplinks has an eighth on each.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from topologies.errors import InputError
from topologies.routing.rows import frozen, running_total, sizes, spans, sum_at

__all__ = ["Incidence"]


@dataclass(frozen=True)
class Incidence:
    """Rows × links in compressed sparse rows; arrays are read-only.

    Parameters
    ----------
    row_start
        Where each row begins in `link`; int64, shape ``(num_rows + 1,)``, from 0 to ``link.size``, never falling.
    link
        Link index of each entry; int64, shape ``(num_entries,)``. A link may stand twice in a row: entries add up.
    multiplicity
        How many times the row's rate loads the link, > 0; float64, shape ``(num_entries,)``.
    num_links
        Number of links of the fabric.

    Raises
    ------
    InputError
        If the arrays do not fit each other, a link index is out of range, or a multiplicity is not above zero.
    """

    row_start: npt.NDArray[np.int64]
    link: npt.NDArray[np.int64]
    multiplicity: npt.NDArray[np.float64]
    num_links: int

    def __post_init__(self) -> None:
        row_start = frozen(self.row_start, np.int64)
        link = frozen(self.link, np.int64)
        multiplicity = frozen(self.multiplicity, np.float64)
        if row_start.ndim != 1 or row_start.size < 1 or row_start[0] != 0 or row_start[-1] != link.size:
            raise InputError(
                what="row_start does not span the entries", where="Incidence", found=f"{link.size} entries"
            )
        if np.any(sizes(row_start) < 0):
            raise InputError(what="row_start falls", where="Incidence", allowed="a rising sequence")
        if link.shape != multiplicity.shape or link.ndim != 1:
            raise InputError(
                what="link and multiplicity differ in length",
                where="Incidence",
                found=f"{link.shape} and {multiplicity.shape}",
            )
        if link.size and (link.min() < 0 or link.max() >= self.num_links):
            raise InputError(
                what="link index out of range",
                where="Incidence",
                found=f"{int(link.min())}…{int(link.max())}",
                allowed=f"0…{self.num_links - 1}",
            )
        if multiplicity.size and not multiplicity.min() > 0.0:
            raise InputError(what="multiplicity is not above zero", where="Incidence", found=str(multiplicity.min()))
        for name, array in (("row_start", row_start), ("link", link), ("multiplicity", multiplicity)):
            object.__setattr__(self, name, array)

    @property
    def num_rows(self) -> int:
        """Number of rows."""
        return int(self.row_start.size - 1)

    @property
    def num_entries(self) -> int:
        """Number of stored (row, link) pairs."""
        return int(self.link.size)

    def entry_row(self) -> npt.NDArray[np.int64]:
        """Row of each entry, shape ``(num_entries,)``."""
        return np.repeat(np.arange(self.num_rows, dtype=np.int64), sizes(self.row_start))

    def own_load(self) -> npt.NDArray[np.float64]:
        """Return for each entry what its row puts on its link in all, ``(entries,)``: entries of one pair together."""
        row, link = self.entry_row(), self.link
        owner = np.empty(self.num_links, np.int64)
        owner[link] = row
        shared = np.zeros(self.num_links, bool)
        shared[link[owner[link] != row]] = True
        # On a link with one row all entries are that row's; only the others have to be sorted out.
        load = sum_at(link, self.multiplicity, self.num_links)[link]
        contended = np.flatnonzero(shared[link])
        key = row[contended] * self.num_links + link[contended]
        _, place = np.unique(key, return_inverse=True)
        load[contended] = sum_at(place.ravel(), self.multiplicity[contended], key.size)[place.ravel()]
        return load

    def select(self, rows: npt.NDArray[np.int64]) -> Incidence:
        """Keep `rows` only, in the order given."""
        begin = self.row_start[rows]
        size = self.row_start[rows + 1] - begin
        row_start = running_total(size)
        entry = spans(begin, size)
        return Incidence(row_start, self.link[entry], self.multiplicity[entry], self.num_links)

    @staticmethod
    def from_entries(
        row: npt.ArrayLike, link: npt.ArrayLike, multiplicity: npt.ArrayLike, *, num_rows: int, num_links: int
    ) -> Incidence:
        """Build from triples in any order; entries of the same row and link add up.

        Parameters
        ----------
        row, link, multiplicity
            One triple an entry, shape ``(num_triples,)`` each.
        """
        row = np.asarray(row, dtype=np.int64)
        link = np.asarray(link, dtype=np.int64)
        amount = np.asarray(multiplicity, dtype=np.float64)
        if row.size and (row.min() < 0 or row.max() >= num_rows):
            raise InputError(what="row index out of range", where="Incidence", allowed=f"0…{num_rows - 1}")
        key = row * np.int64(max(num_links, 1)) + link
        unique_key, inverse = np.unique(key, return_inverse=True)
        summed = sum_at(inverse, amount, unique_key.size)
        row_of = unique_key // max(num_links, 1)
        row_start = np.searchsorted(row_of, np.arange(num_rows + 1))
        return Incidence(row_start.astype(np.int64), unique_key % max(num_links, 1), summed, num_links)
