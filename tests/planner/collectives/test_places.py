"""An all-to-all counted by place puts the same bytes on every link as one with all its pairs listed."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pytest

import planner.collectives.traffic
from planner.collectives.traffic import Demand, job_flows
from planner.congestion.loads import loads_of
from planner.congestion.maxmin import link_rate
from tests.topologies.fabrics import fabric_from
from topologies.errors import InputError
from topologies.fabric import Fabric, Float64s, LinkKind
from topologies.routing.spray import Spray

# Six hosts of four accelerators on each set of four leaves, 2:1.
CLOS = """schema_version: 1
kind: rail-optimized
name: clos
hosts: {accelerator: h100-sxm, nic: connectx-7-400g, accelerators: 4, nics: 4, count: COUNT}
network: {leaf: qm9700, hosts_a_leaf: 6, uplinks: 3}
"""


def link_bytes(fabric: Fabric, ranks: Sequence[npt.ArrayLike]) -> Float64s:
    flows = job_flows(fabric, ranks, [Demand(8e6, "all-to-all")] * len(ranks))
    loads = loads_of(fabric, flows, Spray())
    return loads.channels.to_links(link_rate(loads.incidence, loads.row_bytes))


def listed_and_counted(
    monkeypatch: pytest.MonkeyPatch, fabric: Fabric, ranks: Sequence[npt.ArrayLike]
) -> tuple[Float64s, Float64s]:
    listed = link_bytes(fabric, ranks)
    monkeypatch.setattr(planner.collectives.traffic, "_MAX_LISTED", 1)
    return listed, link_bytes(fabric, ranks)


@pytest.fixture
def clos() -> Callable[[int], Fabric]:
    return lambda hosts: fabric_from(CLOS.replace("COUNT", str(hosts)))


def test_full_leaves_come_out_to_the_last_bit(monkeypatch: pytest.MonkeyPatch, clos: Callable[[int], Fabric]) -> None:
    fabric = clos(24)
    listed, counted = listed_and_counted(monkeypatch, fabric, [np.arange(96)])
    assert listed.max() > 0
    np.testing.assert_allclose(counted, listed, rtol=1e-12)


def test_two_jobs_of_odd_sizes(monkeypatch: pytest.MonkeyPatch, clos: Callable[[int], Fabric]) -> None:
    # 5 + 3 units on two leaves sets, and half-used hosts beside whole ones
    fabric = clos(12)
    ranks = [np.r_[0:20, 24:36], np.r_[20:22, 36:48]]
    listed, counted = listed_and_counted(monkeypatch, fabric, ranks)
    above = (fabric.link_kind == LinkKind.SCALE_OUT) & (fabric.link_tier > 1)
    np.testing.assert_allclose(counted[above], listed[above], rtol=1e-12)
    nics = (fabric.link_kind == LinkKind.SCALE_OUT) & (fabric.link_tier == 1)
    assert counted[nics].sum() == pytest.approx(listed[nics].sum())
    # 8 units, places of 5 and 3: off by less than twice 5/8 of what a NIC carries
    assert np.abs(counted[nics] - listed[nics]).max() < 2 * 5 / 8 * listed[nics].max()


def test_too_many_even_when_counted(monkeypatch: pytest.MonkeyPatch, clos: Callable[[int], Fabric]) -> None:
    monkeypatch.setattr(planner.collectives.traffic, "_MAX_LISTED", 1)
    monkeypatch.setattr(planner.collectives.traffic, "_MAX_PASSAGES", 10)
    with pytest.raises(InputError, match="pairs of a unit and a set of leaves"):
        link_bytes(clos(12), [np.arange(48)])
