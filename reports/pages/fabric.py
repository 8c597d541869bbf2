"""The page of a fabric: what it is made of, and its drawing."""

from __future__ import annotations

from planner.report import FabricStudy
from reports.explorer import explorer_json
from reports.figures.tiers import TierLinks, tiers_of
from reports.markdown import render_markdown
from reports.page import Block, Page, Table, Tile, render_page
from reports.pages.bill import bill_blocks, bill_tiles
from reports.pages.collectives import collectives_blocks
from topologies.bill.bill import bill_of
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
        bill = bill_of(fabric)
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
            *bill_blocks(bill),
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
            tiles=[*_tiles(fabric, tiers), *bill_tiles(bill)],
            made=made,
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
