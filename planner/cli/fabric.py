"""``scaleplan fabric``: what fabrics there are, and what one is made of."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from planner.cli import fabric_bill, fabric_draw
from planner.cli.output import print_json, print_lines, print_table

__all__ = ["app", "fabric_as_dict"]

app = typer.Typer(help="Look at fabrics.", no_args_is_help=True, rich_markup_mode=None)
fabric_bill.register(app)
fabric_draw.register(app)

FabricArgument = Annotated[str, typer.Argument(metavar="FABRIC", help="A fabric file, or a name from the catalogue.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_fabrics(as_json: JsonOption = False) -> None:
    """List the fabrics of the catalogue."""
    from topologies.files.fabric_file import list_catalog

    entries = list_catalog()
    if as_json:
        print_json(
            {
                "schema": "scaleplan/fabric-list/1",
                "fabrics": [{"name": e.name, "kind": e.kind, "description": e.description} for e in entries],
            }
        )
        return
    print_table(["name", "kind", "what"], [[e.name, e.kind, e.description] for e in entries])


@app.command()
def show(fabric: FabricArgument, as_json: JsonOption = False) -> None:
    """Show what a fabric is made of."""
    from topologies.files.fabric_file import load_fabric

    facts = fabric_as_dict(load_fabric(fabric))
    if as_json:
        print_json(facts)
        return
    print_lines([facts["name"], *facts["description"].splitlines(), ""])
    print_table(["", "count"], [[name.replace("_", " "), count] for name, count in facts["counts"].items()])
    print_table(
        ["links", "cables", "Gbit/s each way", "total Gbit/s"],
        [[row["what"], row["cables"], row["rate_gbps"], row["total_gbps"]] for row in facts["cables"]],
    )
    if facts["oversubscription"]:
        print_lines(f"oversubscription {tier}: {ratio:.4g} to 1" for tier, ratio in facts["oversubscription"].items())
    print_lines(f"assumed: {text}" for text in facts["assumptions"])
    print_lines([f"fingerprint {facts['fingerprint']}"])


@app.command("validate")
def validate_fabric(
    fabrics: Annotated[list[str], typer.Argument(metavar="FABRIC...", help="Fabric files or catalogue names.")],
    as_json: JsonOption = False,
) -> None:
    """Check fabric files; the first fault is told and ends the command."""
    from topologies.files.fabric_file import load_fabric

    checked = []
    for name in fabrics:
        fabric = load_fabric(name)
        checked.append({"file": name, "name": fabric.name, "accelerators": fabric.num_accelerators})
        if not as_json:
            print_lines([f"{name}: good, {fabric.num_accelerators:,} accelerators on {fabric.num_hosts:,} hosts"])
    if as_json:
        print_json({"schema": "scaleplan/fabric-validate/1", "fabrics": checked})


def fabric_as_dict(fabric: Any) -> dict[str, Any]:
    """Return counts, cables by tier, oversubscription and assumptions of a fabric."""
    import numpy as np

    from topologies.fabric import LinkKind, NodeKind
    from topologies.units import to_gbps

    tiers = {1: "leaf", 2: "spine", 3: "core"}
    is_switch = fabric.node_kind == NodeKind.SWITCH
    counts: dict[str, int] = {
        "accelerators": fabric.num_accelerators,
        "hosts": fabric.num_hosts,
        "NICs": fabric.num_nics,
        "scale-up domains": fabric.num_domains,
        "rails": fabric.num_rails,
        "leaf groups": fabric.num_leaf_groups,
        "pods": fabric.num_pods,
        "racks": len(fabric.rack_names),
    }
    for tier in np.unique(fabric.node_tier[is_switch]).tolist():
        counts[f"{tiers.get(tier, f'tier {tier}')} switches"] = int(
            np.count_nonzero(is_switch & (fabric.node_tier == tier))
        )
    cables, total_by_tier = [], {}
    forward = np.arange(0, fabric.num_links, 2)
    for kind, tier in sorted({*zip(fabric.link_kind.tolist(), fabric.link_tier.tolist(), strict=True)}):
        mask = (fabric.link_kind[forward] == kind) & (fabric.link_tier[forward] == tier)
        capacity = fabric.link_capacity_bytes_per_s[forward[mask]]
        what = _cable_name(LinkKind(kind), tier)
        for rate in np.unique(capacity).tolist():
            count = int(np.count_nonzero(capacity == rate))
            row = {"what": what, "cables": count, "rate_gbps": to_gbps(rate), "total_gbps": count * to_gbps(rate)}
            cables.append(row)
        if kind == LinkKind.SCALE_OUT:
            total_by_tier[tier] = float(capacity.sum())
    oversubscription = {
        f"{tiers.get(tier, f'tier {tier}')}": total_by_tier[tier] / total_by_tier[tier + 1]
        for tier in total_by_tier
        if tier + 1 in total_by_tier
    }
    return {
        "schema": "scaleplan/fabric/1",
        "name": fabric.name,
        "description": fabric.description,
        "counts": counts,
        "cables": cables,
        "oversubscription": oversubscription,
        "parts": [part.id for part in fabric.parts],
        "assumptions": list(fabric.assumptions),
        "fingerprint": fabric.fingerprint,
    }


def _cable_name(kind: Any, tier: int) -> str:
    from topologies.fabric import LinkKind

    if kind == LinkKind.SCALE_UP:
        return "scale-up"
    if kind == LinkKind.HOST:
        return "accelerator to NIC"
    return {1: "NIC to leaf", 2: "leaf to spine", 3: "spine to core"}.get(tier, f"tier {tier}")
