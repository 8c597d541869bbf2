"""Files as the real tools write them, made from a fabric, for sizes and shapes that no recording has."""

from __future__ import annotations

from pathlib import Path

from topologies.errors import ScaleplanError
from topologies.fabric import Fabric, LinkKind, NodeKind
from topologies.formats.importing import import_sources
from topologies.formats.infiniband import LANE_GBPS
from topologies.formats.ports import numbered_ports
from topologies.formats.registry import ReadOptions
from topologies.formats.source import Source
from topologies.units import to_gbps

DATA = Path(__file__).parent / "data"
SLURM = Path(__file__).parents[2] / "planner" / "slurm" / "data"

_SPEED = {round(4 * gbps, 3): name for name, gbps in LANE_GBPS.items()}


def source(text: str, name: str = "file.txt") -> Source:
    return Source(name, text)


def refusal(text: str, format: str, name: str = "file.txt", options: ReadOptions | None = None) -> str:
    """Return the one line that refuses a text, or nothing if it is read; any other exception goes on."""
    try:
        import_sources([source(text, name)], format=format, options=options)
    except ScaleplanError as error:
        return error.message
    return ""


def ibnetdiscover_text(fabric: Fabric) -> str:
    """Return what ibnetdiscover prints of the scale-out network of a fabric whose rates are those of 4x links."""
    ports = numbered_ports(fabric)
    first, names = fabric.num_accelerators, list(fabric.node_names)
    ends: dict[int, list[tuple[int, int, int, float]]] = {}
    for link in range(fabric.num_links):
        if fabric.link_kind[link] == LinkKind.SCALE_OUT:
            own, far = ports.at(link)
            a, b = int(fabric.link_source[link]), int(fabric.link_target[link])
            ends.setdefault(a, []).append(
                (int(own), b, int(far), to_gbps(float(fabric.link_capacity_bytes_per_s[link])))
            )

    def key(node: int) -> str:
        return f"{'H' if fabric.node_kind[node] == NodeKind.NIC else 'S'}-{0x1000 + 2 * node:016x}"

    def words(node: int) -> str:
        return names[node].replace("/", " ")

    lines = ["#", "# Topology file: generated on Mon Nov 23 19:47:26 2026", "#", ""]
    for node in sorted(ends, key=lambda n: -n):
        is_nic = fabric.node_kind[node] == NodeKind.NIC
        guid = 0x1000 + 2 * node
        rows = sorted(ends[node])
        lines += ["vendid=0x2c9", "devid=0xd2f2", f"sysimgguid=0x{guid:x}"]
        if is_nic:
            lines += [f"caguid=0x{guid:x}", f'Ca\t{len(rows)} "{key(node)}"\t\t# "{words(node)}"']
        else:
            lines += [
                f"switchguid=0x{guid:x}({guid:x})",
                f'Switch\t{len(rows)} "{key(node)}"\t\t# "{words(node)}" enhanced port 0 lid {node} lmc 0',
            ]
        for own, far, far_port, gbps in rows:
            speed = _SPEED[round(gbps, 3)]
            near = f"[{own}]({guid + 1:x}) " if is_nic else f"[{own}]"
            far_guid = f"({0x1001 + 2 * far:x})" if far >= first and fabric.node_kind[far] == NodeKind.NIC else ""
            own_lid = f"lid {node} lmc 0 " if is_nic else ""
            lines.append(f'{near}\t"{key(far)}"[{far_port}]{far_guid}\t\t# {own_lid}"{words(far)}" lid {far} 4x{speed}')
        lines.append("")
    return "\n".join(lines)
