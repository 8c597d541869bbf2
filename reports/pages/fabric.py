"""The page of a fabric: what it is made of, and its drawing."""

from __future__ import annotations

import numpy as np

from planner.report import FabricStudy
from reports.figures.topology import topology_figure
from reports.page import Block, Table, render_page
from topologies.fabric import LinkKind
from topologies.units import to_gbps

__all__ = ["FabricPage"]

_TIERS = {1: "NIC to leaf", 2: "leaf to spine", 3: "spine to core"}


class FabricPage:
    """Renders a `FabricStudy`."""

    def render(self, study: FabricStudy) -> str:
        """Return the page."""
        fabric = study.fabric
        words = (
            f"{fabric.num_accelerators:,} accelerators on {fabric.num_hosts:,} hosts, in {fabric.num_domains:,} "
            f"scale-up domains, {fabric.num_leaf_groups:,} leaf groups and {fabric.num_pods:,} pods."
        )
        rows = []
        for tier in np.unique(fabric.link_tier[fabric.link_kind == LinkKind.SCALE_OUT]).tolist():
            mask = (fabric.link_kind == LinkKind.SCALE_OUT) & (fabric.link_tier == tier)
            total = float(fabric.link_capacity_bytes_per_s[mask].sum()) / 2
            rows.append([_TIERS.get(tier, f"tier {tier}"), int(mask.sum()) // 2, to_gbps(total) / 1e3])
        blocks = [
            Block(
                "fabric",
                "The fabric by tiers",
                fabric.description,
                topology_figure(fabric),
                f"Drawing of {fabric.name} by tiers.",
                Table(["cables", "count", "total Tbit/s each way"], rows),
            )
        ]
        if fabric.assumptions:
            blocks.append(Block("assumed", "What was assumed", "Not in the sources.", notes=fabric.assumptions))
        return render_page(study.title, [words], blocks, study.provenance)
