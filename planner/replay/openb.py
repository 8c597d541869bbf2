"""Reads the node and pod lists of Alibaba's gpu-v2023 trace, as FGD's artifact uses them."""

from __future__ import annotations

import numpy as np

from planner.replay.pool import WHOLE_MILLI, Ask, HostPool
from planner.validation.datadir import DataDir, Row
from topologies.errors import InputError

__all__ = ["read_nodes", "read_pods"]


def read_nodes(data: DataDir, name: str, *, seed: int | None = None) -> HostPool:
    """Return the hosts of a node list, in random order if a seed is given: the order decides ties."""
    rows = data.rows(name, columns=("sn", "cpu_milli", "memory_mib", "gpu", "model"))
    if not rows:
        raise InputError(what="a node list without nodes", where=data.path / name)
    if seed is not None:
        rows = [rows[i] for i in np.random.default_rng(seed).permutation(len(rows))]
    return HostPool(
        [row.integer("gpu") for row in rows],
        cpu_milli=[row.integer("cpu_milli") for row in rows],
        memory_mib=[row.integer("memory_mib") for row in rows],
        models=[row.text("model") for row in rows],
    )


def read_pods(data: DataDir, name: str) -> list[Ask]:
    """Return what the pods of a list ask for, by name; its times are left aside."""
    rows = data.rows(name, columns=("name", "cpu_milli", "memory_mib", "num_gpu", "gpu_milli"))
    return [_ask(row) for row in sorted(rows, key=lambda row: row.text("name"))]


def _ask(row: Row) -> Ask:
    gpus = row.integer("num_gpu")
    models = row.values.get("gpu_spec") or ""
    return Ask(
        gpus,
        row.integer("gpu_milli", minimum=1) if gpus else WHOLE_MILLI,
        row.integer("cpu_milli"),
        row.integer("memory_mib"),
        tuple(model for model in models.split("|") if model),
    )
