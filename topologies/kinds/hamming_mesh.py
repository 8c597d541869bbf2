"""``kind: hamming-mesh``: boards with a small mesh of accelerators, joined along rows and columns by switches.

Hoefler et al., "HammingMesh: A Network Topology for Large-Scale Deep Learning" (SC 2022). A board is a 2-D mesh. All
boards of a row share one switch for each line of accelerators across them, on which both ends of every board hang;
columns likewise. There are no NICs: the whole is one scale-up domain. As in a torus, the router on the chip of each
accelerator is a scale-up switch of its own.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from topologies.builder import FabricBuilder
from topologies.fabric import Fabric, Int64s
from topologies.files.validated import RuleError, StrictModel
from topologies.kinds.clos_plan import SwitchPorts
from topologies.kinds.design import Count, DesignFile, NotNegative, Positive
from topologies.kinds.hosts import SCALE_UP_LATENCY_US, check_size, part_of
from topologies.kinds.registry import BuildContext
from topologies.kinds.torus import add_routers, neighbour_pairs
from topologies.names import NameTemplate
from topologies.units import from_gbps, from_us

__all__ = ["BoardSpec", "HammingMeshDesign", "HammingMeshKind"]


class BoardSpec(StrictModel):
    """Boards in rows and columns."""

    rows: Annotated[Count, Field(description="Rows of boards.")]
    columns: Annotated[Count, Field(description="Columns of boards.")]
    shape: Annotated[list[Count], Field(min_length=2, max_length=2, description="Rows and columns of a board's mesh.")]
    accelerator: Annotated[str, Field(description="Part id of the accelerators.")]
    link_gbps: Annotated[Positive, Field(description="Rate of every link, one direction.")]
    switch: Annotated[str, Field(description="Part id of the row and column switches, of class switch.")]
    latency_us: Annotated[NotNegative | None, Field(description="Of every link, one way; else 1.665.")] = None


class HammingMeshDesign(DesignFile):
    """A HammingMesh."""

    kind: Literal["hamming-mesh"]
    boards: BoardSpec


class HammingMeshKind:
    """Registers ``hamming-mesh``."""

    name = "hamming-mesh"
    summary = "boards with a mesh of accelerators, joined along rows and columns by switches"
    parameters = HammingMeshDesign

    def build(self, design: HammingMeshDesign, context: BuildContext) -> Fabric:
        """Return the fabric of a design; see `topologies.kinds.registry.FabricKind.build`."""
        spec = design.boards
        height, width = spec.shape
        check_size(spec.rows * spec.columns, height * width, 0, ("boards",))
        accelerator = part_of(context.parts, spec.accelerator, "accelerator", ("boards", "accelerator"))
        switch = part_of(context.parts, spec.switch, "switch", ("boards", "switch"))
        rate = from_gbps(spec.link_gbps)
        _check_ports(SwitchPorts.of(switch), spec, rate)
        builder = FabricBuilder(design.name, description=design.full_description, assumptions=design.assumptions)
        names = NameTemplate("board{:03d}-{:03d}", (spec.rows, spec.columns))
        block = builder.add_hosts(names, accelerators=height * width, part=accelerator)
        router = add_routers(builder, names, block.accelerator, 4 * rate)
        place = router.reshape(spec.rows * spec.columns, height, width)
        latency_s = from_us(SCALE_UP_LATENCY_US / 2 if spec.latency_us is None else spec.latency_us)

        def join(a: Int64s, b: Int64s) -> None:
            builder.add_cables(a, b, rate_bytes_per_s=rate, latency_s=latency_s)

        for first, second in neighbour_pairs(place, wrap=False):
            join(first, second)
        board = place.reshape(spec.rows, spec.columns, height, width)
        across = builder.add_switches(
            NameTemplate("row{:03d}/line{:02d}", (spec.rows, height)), scale_up=True, part=switch
        ).reshape(spec.rows, 1, height)
        along = builder.add_switches(
            NameTemplate("column{:03d}/line{:02d}", (spec.columns, width)), scale_up=True, part=switch
        ).reshape(1, spec.columns, width)
        for edge in (0, -1):  # with one accelerator across, both of its ports hang on the switch
            join(board[:, :, :, edge], np.broadcast_to(across, (spec.rows, spec.columns, height)))
            join(board[:, :, edge, :], np.broadcast_to(along, (spec.rows, spec.columns, width)))
        return builder.build()


def _check_ports(ports: SwitchPorts, spec: BoardSpec, rate: float) -> None:
    for boards, what in ((spec.columns, "columns"), (spec.rows, "rows")):
        needed = ports.ports_for(2 * boards, rate, ("boards", "switch"))
        if needed > ports.num_ports:
            raise RuleError(
                what="a row or column switch has too few ports",
                found=f"{boards} {what} of boards with 2 cables each need {needed} ports",
                allowed=f"{ports.num_ports} ports on {ports.name}",
                fix="use fewer or larger boards, or a switch with more ports",
                key=("boards", what),
            )
