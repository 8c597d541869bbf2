"""What hosts have left, in counts: the state that one-job-at-a-time schedulers look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from planner.sharing import mig_fits
from topologies.errors import InputError

__all__ = ["WHOLE_MILLI", "Ask", "Bools", "Grant", "HostPool", "Int64s"]

WHOLE_MILLI = 1000
"""A whole accelerator, in thousandths (the unit of Alibaba's traces)."""

Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Ask:
    """What a job asks of one host.

    Attributes
    ----------
    gpus
        Accelerators; 0 for work that needs none.
    gpu_milli
        Thousandths of each: below 1000 only for one accelerator.
    cpu_milli, memory_mib
        Processor and host memory.
    models
        Accelerator models it accepts; empty accepts all, hosts without accelerators included.
    slices
        Compute and memory slices of a MIG instance; None: no MIG. `gpu_milli` is then the part of the memory.
    """

    gpus: int
    gpu_milli: int = WHOLE_MILLI
    cpu_milli: int = 0
    memory_mib: int = 0
    models: tuple[str, ...] = ()
    slices: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if min(self.gpus, self.cpu_milli, self.memory_mib) < 0:
            raise InputError(what="an ask must not be negative", where="ask", found=str(self))
        if self.gpus and not 0 < self.gpu_milli <= WHOLE_MILLI:
            raise InputError(what="gpu_milli out of range", where="ask", found=self.gpu_milli, allowed="1 to 1000")
        if self.gpus > 1 and self.gpu_milli != WHOLE_MILLI:
            raise InputError(what="parts of several accelerators", where="ask", found=str(self), allowed="parts of one")

    @property
    def is_share(self) -> bool:
        """Whether it wants a part of one accelerator."""
        return self.gpus == 1 and self.gpu_milli < WHOLE_MILLI

    @property
    def total_milli(self) -> int:
        """Thousandths of accelerators in all."""
        return self.gpus * self.gpu_milli if self.gpus else 0


@dataclass(frozen=True, eq=False, slots=True)
class Grant:
    """What a job got of one host: which accelerators, by place in the host."""

    host: int
    gpus: tuple[int, ...]
    ask: Ask


class HostPool:
    """Hosts with accelerators, processors and memory; mutable.

    Parameters
    ----------
    num_gpus
        ``(N,)`` accelerators a host.
    cpu_milli, memory_mib
        ``(N,)`` or one for all; left out, they never run short.
    models
        ``(N,)`` accelerator model of each host.
    leaf, pod
        ``(N,)`` which leaf group and pod each host is in; left out, all in one.

    Attributes
    ----------
    gpu_left
        ``(N, G)`` thousandths left of each accelerator; 0 where a host has no such accelerator.
    cpu_left, memory_left
        ``(N,)``; what there is in all stands in `cpu_size` and `memory_size`.
    whole
        ``(N,)`` accelerators of which nothing is taken.
    largest, left
        ``(N,)`` thousandths left of the freest accelerator, and of all.
    is_up
        ``(N,)`` whether a host takes work.
    closed
        ``(N,)`` hosts that the job now looked at may not use; None if it may use all. Schedulers see them as full.
    changes
        How often anything was taken or given back; `changed_at` says for each host when last.
    """

    def __init__(
        self,
        num_gpus: npt.ArrayLike,
        *,
        cpu_milli: npt.ArrayLike = 2**40,
        memory_mib: npt.ArrayLike = 2**40,
        models: Sequence[str] | None = None,
        leaf: npt.ArrayLike = 0,
        pod: npt.ArrayLike = 0,
    ) -> None:
        self.num_gpus = np.array(num_gpus, np.int64)
        n = self.num_gpus.size
        self.width = int(self.num_gpus.max(initial=1))
        self.cpu_left = np.array(np.broadcast_to(np.asarray(cpu_milli, np.int64), (n,)))
        self.memory_left = np.array(np.broadcast_to(np.asarray(memory_mib, np.int64), (n,)))
        self.cpu_size, self.memory_size = self.cpu_left.copy(), self.memory_left.copy()
        self.leaf = np.array(np.broadcast_to(np.asarray(leaf, np.int64), (n,)))
        self.pod = np.array(np.broadcast_to(np.asarray(pod, np.int64), (n,)))
        names = list(models) if models is not None else [""] * n
        self.model_names = tuple(dict.fromkeys(names))
        place = {name: i for i, name in enumerate(self.model_names)}
        self.model = np.array([place[name] for name in names], np.int64)
        exists = np.arange(self.width) < self.num_gpus[:, None]
        self.exists = exists
        self.gpu_left = np.where(exists, WHOLE_MILLI, 0).astype(np.int64)
        self.whole = self.num_gpus.copy()
        self.largest = np.where(self.num_gpus > 0, WHOLE_MILLI, 0)
        self.left = self.num_gpus * WHOLE_MILLI
        self.is_up = np.ones(n, bool)
        self.closed: Bools | None = None
        self.changes = 0
        self.changed_at = np.zeros(n, np.int64)
        self._cut: dict[tuple[int, int], tuple[tuple[int, int], ...]] = {}
        self._accepts: dict[tuple[str, ...], Bools] = {}

    @property
    def num_hosts(self) -> int:
        """Number of hosts."""
        return int(self.num_gpus.size)

    @property
    def capacity_milli(self) -> int:
        """Thousandths of accelerators in all, those of hosts that are down too."""
        return int(self.num_gpus.sum()) * WHOLE_MILLI

    def accepts(self, models: tuple[str, ...]) -> Bools:
        """Return which hosts have a model the ask accepts, ``(N,)``."""
        mask = self._accepts.get(models)
        if mask is None:
            of_model = np.array([not models or name in models for name in self.model_names], bool)
            mask = self._accepts[models] = of_model[self.model]
        return mask

    def fits(self, ask: Ask) -> Bools:
        """Return which hosts that are not closed could hold the ask now, ``(N,)``."""
        ok = self.has_room(ask)
        if self.closed is not None:
            ok &= ~self.closed
        return ok

    def has_room(self, ask: Ask) -> Bools:
        """Return which hosts could hold the ask now, closed or not, ``(N,)``."""
        ok = self.is_up & (self.cpu_left >= ask.cpu_milli) & (self.memory_left >= ask.memory_mib)
        if ask.models:
            ok &= self.accepts(ask.models)
        if ask.slices is not None:
            ok &= self._has_slices(ask.slices)
        elif ask.is_share:
            ok &= self.largest >= ask.gpu_milli
        elif ask.gpus:
            ok &= self.whole >= ask.gpus
        return ok

    def _has_slices(self, slices: tuple[int, int]) -> Bools:
        """Return which hosts have a whole accelerator, or one cut up with place for another instance, ``(N,)``."""
        ok: Bools = self.whole > 0
        for (host, _), held in self._cut.items():
            if not ok[host] and mig_fits((*held, slices)):
                ok[host] = True
        return ok

    def _cut_gpu(self, host: int, slices: tuple[int, int]) -> int:
        """Return the fullest accelerator of a host with place for an instance, else the first whole one."""
        fits = [
            (-sum(memory for _, memory in held), gpu)
            for (h, gpu), held in self._cut.items()
            if h == host and mig_fits((*held, slices))
        ]
        return min(fits)[1] if fits else int((self.gpu_left[host] == WHOLE_MILLI).argmax())

    def tightest_gpu(self, host: int, milli: int) -> int:
        """Return the accelerator of a host with least left that holds so much, the first of several."""
        row = self.gpu_left[host]
        return int(np.where(row >= milli, row, 2 * WHOLE_MILLI).argmin())

    def grant_on(self, host: int, ask: Ask, gpu: int | None = None) -> Grant:
        """Return what a host would give: the named accelerator or the tightest for a part, else the first whole ones.

        Nothing is taken yet.
        """
        if ask.slices is not None:
            return Grant(host, (self._cut_gpu(host, ask.slices),), ask)
        if ask.is_share:
            return Grant(host, (self.tightest_gpu(host, ask.gpu_milli) if gpu is None else gpu,), ask)
        if not ask.gpus:
            return Grant(host, (), ask)
        free = np.flatnonzero(self.gpu_left[host] == WHOLE_MILLI)[: ask.gpus]
        return Grant(host, tuple(free.tolist()), ask)

    def take(self, grant: Grant) -> None:
        """Take what a grant names.

        Raises
        ------
        InputError
            If it is not there.
        """
        ask, host = grant.ask, grant.host
        row = self.gpu_left[host]
        if (
            len(grant.gpus) != ask.gpus
            or any(row[g] < ask.gpu_milli and not self._has_place(host, g, ask) for g in grant.gpus)
            or self.cpu_left[host] < ask.cpu_milli
            or self.memory_left[host] < ask.memory_mib
        ):
            raise InputError(what="a grant takes what is not there", where=f"host {host}", found=str(ask))
        self._settle(grant, -1)

    def _has_place(self, host: int, gpu: int, ask: Ask) -> bool:
        held = self._cut.get((host, gpu))
        return ask.slices is not None and held is not None and mig_fits((*held, ask.slices))

    def give_back(self, grant: Grant) -> None:
        """Give back what a grant took."""
        self._settle(grant, 1)

    def _settle(self, grant: Grant, sign: int) -> None:
        ask, host = grant.ask, grant.host
        self.cpu_left[host] += sign * ask.cpu_milli
        self.memory_left[host] += sign * ask.memory_mib
        row = self.gpu_left[host]
        for g in grant.gpus:
            if ask.slices is None:
                row[g] += sign * ask.gpu_milli
            else:
                self._cut_up(host, g, ask.slices, sign)
        if grant.gpus:
            self.left[host] += sign * ask.total_milli
            if ask.gpu_milli == WHOLE_MILLI:
                self.whole[host] += sign * ask.gpus
                self.largest[host] = WHOLE_MILLI if self.whole[host] else int(row.max())
            else:
                self.whole[host] = int(np.count_nonzero(row == WHOLE_MILLI))
                self.largest[host] = int(row.max())
        self.changes += 1
        self.changed_at[host] = self.changes

    def _cut_up(self, host: int, gpu: int, slices: tuple[int, int], sign: int) -> None:
        """Add an instance to an accelerator, or take one away; one that is cut up has nothing left for others."""
        held = list(self._cut.pop((host, gpu), ()))
        if sign < 0:
            held.append(slices)
        else:
            held.remove(slices)
        if held:
            self._cut[host, gpu] = tuple(held)
        self.gpu_left[host, gpu] = 0 if held else WHOLE_MILLI
