"""The page of a fabric: what it is made of, and its drawing."""

from __future__ import annotations

import numpy as np

from planner.report import FabricStudy
from reports.explorer import explorer_json
from reports.figures.tiers import TierLinks, tiers_of
from reports.markdown import render_markdown
from reports.page import Block, Page, Table, Tile, render_page
from reports.pages.collectives import collectives_blocks
from topologies.fabric import Fabric

__all__ = ["FabricPage"]


class FabricPage:
    """Renders a `FabricStudy`."""

    def render(self, study: FabricStudy) -> str:
        """Return the page as HTML."""
        return render_page(self.page(study))

    def render_markdown(self, study: FabricStudy) -> str:
        """Return the page's words and tables as Markdown."""
        return render_markdown(self.page(study))

    def page(self, study: FabricStudy) -> Page:
        """Return what stands on the page."""
        fabric, tiers = study.fabric, tiers_of(study.fabric)
        words = (
            f"{fabric.num_accelerators:,} accelerators on {fabric.num_hosts:,} hosts, in {fabric.num_domains:,} "
            f"scale-up domains, {fabric.num_leaf_groups:,} leaf groups and {fabric.num_pods:,} "
            f"pod{'s' if fabric.num_pods > 1 else ''}."
        )
        rows = [[t.name, len(t.links) // 2, t.low_gbps, t.high_gbps, t.total_gbps / 1e3] for t in tiers]
        columns = ["tier", "cables", "slowest Gbit/s", "fastest Gbit/s", "total Tbit/s each way"]
        blocks = [
            Block("tiers", "Cables by tier", "Each cable once; rates in one direction.", table=Table(columns, rows)),
            Block(
                "fabric",
                "The fabric by tiers",
                "Hosts below, switches above; go in by a click, down to NICs and accelerators.",
                explorer=explorer_json(fabric),
                short="Fabric",
            ),
            *collectives_blocks(fabric),
            Block("bill", "Bill of parts", _BILL, table=_bill(fabric)),
        ]
        if fabric.assumptions:
            blocks.append(Block("assumed", "What was assumed", "Not in the sources.", notes=fabric.assumptions))
        made = {"fabric": f"{fabric.name}, sha256 {fabric.fingerprint}"}
        return Page(
            study.title,
            [words, *([fabric.description] if fabric.description else [])],
            blocks,
            study.provenance,
            eyebrow="Fabric report",
            tiles=_tiles(fabric, tiers),
            made=made,
        )


_BILL = (
    "Nodes of the graph by part. Power is the part's own figure at most; prices are planning estimates, never quotes. "
    "A dash is a figure that the catalogue does not have."
)


def _tiles(fabric: Fabric, tiers: list[TierLinks]) -> list[Tile]:
    scale_out = [t for t in tiers if t.name != "scale-up"]
    tiles = [
        Tile("Accelerators", f"{fabric.num_accelerators:,}", f"on {fabric.num_hosts:,} hosts"),
        Tile("Scale-up domain", f"{fabric.num_accelerators / fabric.num_domains:,.4g}", "accelerators each"),
        Tile(
            "Leaf groups",
            f"{fabric.num_leaf_groups:,}",
            f"in {fabric.num_pods:,} pod{'s' if fabric.num_pods > 1 else ''}",
        ),
    ]
    if scale_out:
        cables = sum(len(t.links) for t in scale_out) // 2
        tiles.append(Tile("Scale-out cables", f"{cables:,}", f"in {len(scale_out)} tiers"))
    if len(scale_out) > 1:
        ratio = scale_out[0].total_gbps / scale_out[1].total_gbps
        tiles.append(Tile("Oversubscription", f"{ratio:.3g} : 1", f"{scale_out[0].name} over {scale_out[1].name}"))
    return tiles


def _bill(fabric: Fabric) -> Table:
    """Return count, power and price of the nodes by part."""
    rows: list[list[object]] = []
    total_watts = total_usd = 0.0
    for idx in np.unique(fabric.node_part[fabric.node_part >= 0]).tolist():
        part, count = fabric.parts[idx], int(np.count_nonzero(fabric.node_part == idx))
        watts, usd = part.number("watts", 0.0), part.number("price_usd", 0.0)
        total_watts, total_usd = total_watts + count * watts, total_usd + count * usd
        rows.append(
            [part.id, part.description, count, count * watts / 1e3 if watts else "–", count * usd if usd else "–"]
        )
    if len(rows) > 1:
        rows.append(["together, as far as known", "", "", total_watts / 1e3 or "–", total_usd or "–"])
    return Table(["part", "what", "count", "kW", "US$"], rows)
