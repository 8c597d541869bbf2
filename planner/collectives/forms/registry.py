"""One registry of the closed forms: (collective, algorithm) → function of (size, ranks, α, β)."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from planner.collectives.definitions import Collective
from planner.collectives.forms import steps, tree
from topologies.errors import InputError

__all__ = ["FORMS", "algorithms", "form_time_s"]

Form = Callable[[npt.ArrayLike, npt.ArrayLike, npt.ArrayLike, npt.ArrayLike], npt.NDArray[np.float64]]

FORMS: MappingProxyType[tuple[Collective, str], Form] = MappingProxyType(
    {
        ("all-reduce", "ring"): steps.ring_all_reduce,
        ("all-reduce", "segmented-ring"): steps.segmented_ring_all_reduce,
        ("all-reduce", "double-binary-tree"): tree.double_binary_tree_all_reduce,
        ("all-reduce", "recursive-doubling"): steps.recursive_doubling_all_reduce,
        ("all-reduce", "halving-doubling"): steps.halving_doubling_all_reduce,
        ("all-reduce", "direct"): steps.direct_all_reduce,
        ("all-reduce", "in-switch"): tree.in_switch_all_reduce,
        ("all-gather", "ring"): steps.ring_one_pass,
        ("all-gather", "recursive-doubling"): steps.halving_doubling_one_pass,
        ("all-gather", "bruck"): steps.bruck_all_gather,
        ("all-gather", "direct"): steps.direct_one_pass,
        ("reduce-scatter", "ring"): steps.ring_one_pass,
        ("reduce-scatter", "recursive-halving"): steps.halving_doubling_one_pass,
        ("reduce-scatter", "direct"): steps.direct_one_pass,
        ("all-to-all", "pairwise"): steps.pairwise_all_to_all,
        ("all-to-all", "bruck"): steps.bruck_all_to_all,
        ("all-to-all", "direct"): steps.direct_one_pass,
        ("all-to-all", "ring"): steps.ring_all_to_all,
        ("broadcast", "binomial"): steps.binomial_broadcast,
        ("broadcast", "chain"): steps.chain_broadcast,
        ("broadcast", "double-binary-tree"): tree.double_binary_tree_broadcast,
        ("broadcast", "scatter-all-gather"): steps.scatter_all_gather_broadcast,
        ("reduce", "binomial"): steps.binomial_broadcast,
        ("reduce", "chain"): steps.chain_broadcast,
        ("reduce", "double-binary-tree"): tree.double_binary_tree_broadcast,
        ("send-recv", "direct"): steps.point_to_point,
    }
)


def algorithms(collective: Collective) -> tuple[str, ...]:
    """Return the algorithms that have a closed form for a collective."""
    return tuple(algorithm for known, algorithm in FORMS if known == collective)


def form_time_s(
    collective: Collective,
    algorithm: str,
    size_bytes: npt.ArrayLike,
    ranks: npt.ArrayLike,
    alpha_s: npt.ArrayLike,
    beta_s: npt.ArrayLike,
) -> npt.NDArray[np.float64]:
    """Return the time of a collective by its closed form; all arguments broadcast.

    Parameters
    ----------
    collective, algorithm
        A key of `FORMS`.
    size_bytes
        As nccl-tests prints it.
    ranks
        Number of ranks.
    alpha_s, beta_s
        Seconds a step and seconds a byte.

    Raises
    ------
    InputError
        If there is no such form.
    """
    form = FORMS.get((collective, algorithm))
    if form is None:
        raise InputError(
            what=f"no closed form of {collective} by this algorithm",
            where="--algorithm",
            found=repr(algorithm),
            allowed=", ".join(algorithms(collective)),
        )
    return form(size_bytes, ranks, alpha_s, beta_s)
