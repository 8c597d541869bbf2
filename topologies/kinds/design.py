"""The parameters that fabric files of several kinds share."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from topologies.files.validated import RuleError, StrictModel

__all__ = [
    "Count",
    "DesignFile",
    "HostBase",
    "HostSpec",
    "NetworkSpec",
    "NotNegative",
    "Positive",
    "Ratio",
    "ScaleUpSpec",
]

Count = Annotated[int, Field(gt=0, le=10_000_000)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]

_RATIO = re.compile(r"(\d{1,6}(?:\.\d{1,6})?)\s*:\s*(\d{1,6}(?:\.\d{1,6})?)", re.ASCII)


def _ratio(value: Any) -> Any:
    """Read ``4:1`` as 4.0; numbers stay as they are."""
    if not isinstance(value, str):
        return value
    match = _RATIO.fullmatch(value.strip())
    if match is None or not float(match.group(2)):
        raise RuleError(what="not a ratio", found=value, allowed="a number, or two as in 4:1", fix="write 4 or 4:1")
    return float(Fraction(match.group(1)) / Fraction(match.group(2)))


Ratio = Annotated[
    float,
    BeforeValidator(_ratio),
    Field(gt=0),
    WithJsonSchema(
        {"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "string", "pattern": "^[0-9.]+ *: *[0-9.]+$"}]}
    ),
]


class DesignFile(StrictModel):
    """What stands in every fabric file."""

    schema_version: Annotated[Literal[1], Field(description="Version of the fabric language.")]
    kind: str
    name: Annotated[str, Field(min_length=1, max_length=200, description="Name of the fabric.")]
    description: Annotated[str, Field(description="For people.")] = ""
    source: Annotated[str, Field(description="Where the figures come from.")] = ""
    licence: Annotated[str, Field(description="Licence of the data, if it is somebody's.")] = ""
    assumptions: Annotated[
        list[str], Field(description="What was assumed and is not in the source; shown with every result.")
    ] = Field(default_factory=list)

    @property
    def full_description(self) -> str:
        """The description with source and licence."""
        parts = [self.description.strip()]
        parts += [f"Source: {self.source}"] if self.source else []
        parts += [f"Licence: {self.licence}"] if self.licence else []
        return "\n".join(part for part in parts if part)


class ScaleUpSpec(StrictModel):
    """How the accelerators of a scale-up domain are joined."""

    form: Annotated[
        Literal["auto", "switch", "mesh", "none"],
        Field(
            description="switch: through scale-up switches; mesh: a direct link between every two; none: no links. "
            "auto: mesh if the part's rate to one peer times the peers makes its whole rate, else switch."
        ),
    ] = "auto"
    switches: Annotated[
        Count, Field(description="Scale-up switches a domain; each accelerator links to all, its rate split evenly.")
    ] = 1
    switch: Annotated[str | None, Field(description="Part id of the scale-up switch.")] = None
    gb_per_s: Annotated[
        Positive | None,
        Field(description="Scale-up rate of an accelerator, one direction, 10⁹ bytes/s; else the part's."),
    ] = None
    latency_us: Annotated[
        NotNegative | None, Field(description="From accelerator to accelerator in a domain, one way; else 3.33.")
    ] = None


class HostBase(StrictModel):
    """What a host holds."""

    part: Annotated[str | None, Field(description="Part id of the host; gives what the next four keys leave out.")] = (
        None
    )
    accelerator: Annotated[str | None, Field(description="Part id of the accelerators.")] = None
    accelerators: Annotated[Count | None, Field(description="Accelerators a host.")] = None
    nic: Annotated[str | None, Field(description="Part id of the NICs.")] = None
    nics: Annotated[int | None, Field(ge=0, le=10_000, description="Compute NICs a host.")] = None
    nic_ports: Annotated[Count, Field(description="Cables a NIC has, its rate split evenly.")] = 1
    host_link_gbps: Annotated[
        Positive | None,
        Field(description="Rate between an accelerator and its NIC inside the host, one direction; else the NIC's."),
    ] = None
    host_link_latency_us: Annotated[
        NotNegative | None, Field(description="From accelerator to its NIC, one way; else by the network: 0.95 or 0.8.")
    ] = None
    scale_up: ScaleUpSpec = ScaleUpSpec()


class HostSpec(HostBase):
    """Alike hosts."""

    count: Annotated[Count, Field(description="Number of hosts.")]
    a_rack: Annotated[Count | None, Field(description="Hosts in a rack.")] = None
    names: Annotated[
        str | None,
        Field(
            description="Template of host names with one number, as in dgx-{:03d}.",
            pattern=r"^[^{}\[\]]*\{(:0?[0-9]{0,2}d?)?\}[^{}\[\]]*$",
        ),
    ] = None
    first: Annotated[int, Field(ge=0, description="First number in the names.")] = 0


class NetworkSpec(StrictModel):
    """The switches of a Clos network."""

    tiers: Annotated[
        Literal[1, 2, 3] | None,
        Field(description="1: leaves only; 2: leaves and spines; 3: and cores. Else the fewest, from 2, that fit."),
    ] = None
    leaf: Annotated[str, Field(description="Part id of the leaf switches.")]
    spine: Annotated[str | None, Field(description="Part id of the spine switches; else as the leaves.")] = None
    core: Annotated[str | None, Field(description="Part id of the core switches; else as the spines.")] = None
    hosts_a_leaf: Annotated[
        Count | None, Field(description="Hosts on one leaf; else as many as ports and oversubscription allow.")
    ] = None
    oversubscription: Annotated[Ratio, Field(description="Of the leaves: rate down over rate up, as 4 or 4:1.")] = 1.0
    uplinks: Annotated[
        Count | None, Field(description="Cables from each leaf to the spines; else from the oversubscription.")
    ] = None
    uplink_gbps: Annotated[
        Positive | None,
        Field(description="Rate of a cable from leaf to spine, splitting ports on both sides; else the slower port."),
    ] = None
    spine_oversubscription: Annotated[Ratio, Field(description="3 tiers: of the spines.")] = 1.0
    spine_uplinks: Annotated[
        Count | None, Field(description="3 tiers: cables from each spine to the cores; else from the oversubscription.")
    ] = None
    spine_uplink_gbps: Annotated[
        Positive | None, Field(description="3 tiers: rate of a cable from spine to core; else the slower port.")
    ] = None
    leaf_links: Annotated[
        Count | None, Field(description="1 tier: cables between every two leaves, in place of spines.")
    ] = None
    spines: Annotated[
        Count | None, Field(description="Spines (with 3 tiers: a pod; by-rail: a rail); else the fewest that fit.")
    ] = None
    pods: Annotated[
        Literal["by-group", "by-rail"],
        Field(
            description="3 tiers: the spines of a pod join whole leaf groups, or by-rail: all leaves of one rail; "
            "cores join the pods."
        ),
    ] = "by-group"
    bundles: Annotated[
        Literal["auto", "whole", "fewest-spines"],
        Field(
            description="whole: as many spines as give every leaf-spine pair the same number of cables; fewest-spines: "
            "no more than their ports need, bundles may differ by one; auto: whole, unless that takes more than half "
            "as many spines again."
        ),
    ] = "auto"
    cores: Annotated[Count | None, Field(description="Cores in all (by-rail: a rail); else the fewest that fit.")] = (
        None
    )
    leaf_groups_a_pod: Annotated[
        Count | None, Field(description="3 tiers: leaf groups in a pod; else as many as the spines can take.")
    ] = None
    planes: Annotated[
        Literal["together", "by-rail"],
        Field(description="by-rail: the leaves of each rail have spines (and cores) of their own."),
    ] = "together"
    link_latency_us: Annotated[
        NotNegative | None,
        Field(description="Of each scale-out link and its switch, one way; else 0.45 for InfiniBand, 1 for Ethernet."),
    ] = None
