"""Fixtures: the real Slurm, installed by the distribution's package manager when it is missing and we are root."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.slurm.emulator import EmulatedCluster, missing_commands

DATA = Path(__file__).parent / "data"
PACKAGES = ("slurmctld", "slurmd", "slurm-client", "munge", "lua5.1")


def _install() -> None:
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for argv in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *PACKAGES],
    ):
        subprocess.run(argv, env=env, check=False, capture_output=True, timeout=280, stdin=subprocess.DEVNULL)


@pytest.fixture(scope="session")
def slurm_packages() -> None:
    """Slurm's daemons are on this machine, or the test is skipped with the reason."""
    if os.geteuid() != 0:
        pytest.skip("a real Slurm needs root: run as root, or in a container, to test Slurm")
    if missing_commands() and shutil.which("apt-get"):
        _install()
    if missing := missing_commands():
        pytest.skip(f"a real Slurm needs apt-get install {' '.join(PACKAGES)}; missing here: {', '.join(missing)}")


@pytest.fixture(scope="module")
def slurm64(slurm_packages: None) -> Iterator[EmulatedCluster]:
    """64 nodes of 8 GPUs, 8 a leaf, 4 leaves a pod, without any plugin of ours."""
    with EmulatedCluster(num_nodes=64) as cluster:
        yield cluster


@pytest.fixture
def data_text() -> object:
    """Return a reader of the recorded outputs."""
    return lambda name: (DATA / name).read_text()
