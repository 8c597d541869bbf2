"""Bandwidth forms against the collective model on real fabrics, and groups that domains cut."""

from __future__ import annotations

import numpy as np
import pytest

from planner.workloads.fabric_pricing import FabricPricer
from planner.workloads.machine import machine_of_fabric
from planner.workloads.pricing import BandwidthPricer
from tests.planner.workloads.machines import machine
from topologies.errors import InputError
from topologies.files.fabric_file import load_fabric


@pytest.mark.parametrize(("count", "step"), [(8, 1), (8, 8), (4, 64), (64, 1), (16, 4)])
@pytest.mark.parametrize("collective", ["all-reduce", "all-gather", "reduce-scatter", "all-to-all", "send-recv"])
def test_forms_agree_with_the_fabric(collective: str, count: int, step: int) -> None:
    fabric = load_fabric("dgx-h100-superpod-1su")
    one = np.array([float(count)]), np.array([float(step)]), np.array([2.0**30])
    pricer = FabricPricer.of(fabric, 240)
    if count * step > 240:
        with pytest.raises(InputError, match="reaches past"):
            pricer.time_s(collective, *one)  # type: ignore[arg-type]
        return
    exact = pricer.time_s(collective, *one)[0]  # type: ignore[arg-type]
    by_bandwidth = BandwidthPricer(machine_of_fabric(fabric)).time_s(collective, *one)[0]  # type: ignore[arg-type]
    assert by_bandwidth == pytest.approx(exact, rel=0.06)


def test_a_group_that_a_domain_cuts_pays_for_it() -> None:
    # Sixteen ranks in domains of 72: every ninth group has 8 of them in the next domain, and leaves by 8 NICs.
    price = BandwidthPricer(machine("gb200", 576, domain=72)).time_s
    size = np.array([2.0**30])
    whole, cut = (price("all-gather", np.array([p]), np.array([1.0]), size)[0] for p in (18.0, 16.0))
    assert cut == pytest.approx(15 / 16 * size[0] / (8 * 50e9 * 0.93), rel=0.03)
    assert cut > 1.5 * whole


def test_oversubscription_hits_what_leaves_the_leaf() -> None:
    size = np.array([2.0**30])
    times = [
        BandwidthPricer(machine(count=256, leaf_accelerators=64, oversubscription=ratio)).time_s(
            "all-to-all", np.array([p]), np.array([8.0]), size
        )[0]
        for p in (8.0, 32.0)
        for ratio in (1.0, 4.0)
    ]
    assert times[0] == times[1]  # eight ranks, eight apart: all under one leaf
    # 32 ranks: 24 of 32 parts leave by a quarter of the rate, instead of 31 of 32 by the whole.
    assert times[3] / times[2] == pytest.approx(24 / 32 * 4 / (31 / 32), rel=0.02)


def test_nothing_is_sent_by_one_or_of_nothing() -> None:
    price = BandwidthPricer(machine()).time_s
    assert price("all-reduce", np.array([1.0, 8.0]), np.array([1.0, 1.0]), np.array([1e9, 0.0])).tolist() == [0, 0]
