"""Rail-only against rail-optimized networks: counts by hand."""

from __future__ import annotations

import pytest

from topologies.bill.rail_only import compare


def test_32768_accelerators_on_switches_of_64_ports() -> None:
    # Clos: 1,024 leaves and spines, 512 cores. Rail-only: a rail joins 128 domains of 256 by 4 leaves and 2 spines.
    row = compare(32_768, 64)
    assert (row.clos_switches, row.rail_switches) == (1024 + 1024 + 512, 256 * 6)
    assert (row.clos_cables, row.rail_cables) == (3 * 32_768, 2 * 32_768)
    # 40 % of the switches and a third of the transceivers go: the saving is their mean, by the switches' share
    share = row.switch_price_frac
    assert row.price_saved_frac == pytest.approx(0.4 * share + (1 - share) / 3)
    share = row.switch_power_frac
    assert row.power_saved_frac == pytest.approx(0.4 * share + (1 - share) / 3)
