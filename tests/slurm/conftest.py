"""Fixtures of the real Slurm; `needs.toml` says what it needs and how that is installed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.slurm.emulator import EmulatedCluster


@pytest.fixture(scope="module")
def slurm64() -> Iterator[EmulatedCluster]:
    """64 nodes of 8 GPUs, 8 a leaf, 4 leaves a pod, without any plugin of ours."""
    with EmulatedCluster(num_nodes=64) as cluster:
        yield cluster
