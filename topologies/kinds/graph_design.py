"""What a fabric file of ``kind: graph`` may hold: host types, hosts, switches and links, alike ones in short."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from topologies.files.name_ranges import MAX_NAMES, expand_names
from topologies.files.validated import RuleError, StrictModel
from topologies.kinds.design import Count, DesignFile, HostBase, NotNegative, Positive

__all__ = ["GraphDesign", "GraphHosts", "GraphLinks", "GraphSwitches", "HostType", "NameList", "Tier"]


def _names(value: object) -> object:
    """Expand a name, or a list of names, each with ranges in brackets."""
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not listed or not all(isinstance(text, str) and text for text in listed):
        raise RuleError(what="not names", found=value, allowed="a name or a list of names, as h[0-7] or [h0, h1]")
    names = [name for text in listed for name in expand_names(text)]
    if len(names) > MAX_NAMES:
        raise RuleError(what="too many names", found=len(names), allowed=f"at most {MAX_NAMES}")
    return names


NameList = Annotated[
    list[str],
    BeforeValidator(_names),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "minLength": 1}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
    ),
]


def _whole_tier(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool) and not 1 <= value <= 9:
        raise RuleError(what="out of range", found=value, allowed="leaf, spine, core, scale-up, or 1 to 9")
    return value


Tier = Annotated[Literal["leaf", "spine", "core", "scale-up"] | int, AfterValidator(_whole_tier)]


class HostType(HostBase):
    """What alike hosts hold; NIC j of a host is called host/nicj, accelerator j host/gpuj."""

    inside: Annotated[
        Literal["made", "stated"],
        Field(
            description="made: the links inside a host are made from its parts; stated: they all stand in links, and "
            "parts may be left out."
        ),
    ] = "made"
    accelerator_names: Annotated[
        NameList | None, Field(description="Names of the accelerators in a host, in place of gpu0, gpu1…")
    ] = None
    nic_names: Annotated[NameList | None, Field(description="Names of the NICs in a host, in place of nic0, nic1…")] = (
        None
    )
    nic_rails: Annotated[
        list[Annotated[int, Field(ge=0, le=10_000)]] | None, Field(description="Rail of each NIC, else 0, 1…")
    ] = None

    @model_validator(mode="after")
    def _check_inside(self) -> HostType:
        """Refuse names and rails that are not as many as there are, and a made inside where it is stated."""
        for key, names, count_key, count in (
            ("accelerator_names", self.accelerator_names, "accelerators", self.accelerators),
            ("nic_names", self.nic_names, "nics", self.nics),
            ("nic_rails", self.nic_rails, "nics", self.nics),
        ):
            if names is not None and len(names) != count:
                raise RuleError(
                    what=f"{key} needs as many entries as {count_key} says",
                    found=f"{len(names)} for {count_key}: {count}",
                    key=(key,),
                )
        if self.inside == "stated":
            if self.accelerators is None or self.nics is None:
                raise RuleError(what="inside: stated needs accelerators and nics", fix="add both", key=("inside",))
            made = {"part", "nic_ports", "host_link_gbps", "host_link_latency_us", "scale_up"} & self.model_fields_set
            if made:
                raise RuleError(
                    what="a key that makes links, where all of them are stated",
                    found=sorted(made)[0],
                    fix="take it out, or inside: stated",
                    key=(sorted(made)[0],),
                )
        return self


class GraphHosts(StrictModel):
    """Alike hosts."""

    names: Annotated[NameList, Field(description="Names, with ranges as in h[0000-0007,0012].")]
    type: Annotated[str, Field(description="A key of host_types.")]
    leaf: Annotated[
        NameList | None,
        Field(description="The leaf of all NICs, or a list of leaves that NIC after NIC goes round."),
    ] = None
    rack: Annotated[str | None, Field(description="Name of the rack.")] = None


class GraphSwitches(StrictModel):
    """Alike switches."""

    names: Annotated[NameList, Field(description="Names, with ranges as in spine[1-4].")]
    tier: Annotated[Tier | None, Field(description="Else found by the distance from the NICs.")] = None
    part: Annotated[str | None, Field(description="Part id.")] = None
    pod: Annotated[str | None, Field(description="Label of the pod.")] = None


class GraphLinks(StrictModel):
    """Alike links, both directions."""

    a: Annotated[NameList, Field(description="Nodes on one side.")]
    b: Annotated[NameList, Field(description="Nodes on the other side.")]
    pairing: Annotated[
        Literal["all", "each"], Field(description="all: every a with every b; each: the first with the first, …")
    ] = "all"
    count: Annotated[Count, Field(description="Cables between two nodes.")] = 1
    rate_gbps: Annotated[Positive, Field(description="Of one cable from a to b.")]
    reverse_gbps: Annotated[Positive | None, Field(description="From b to a; else the same.")] = None
    latency_us: Annotated[NotNegative | None, Field(description="One way; else link_latency_us.")] = None
    a_ports: Annotated[
        NameList | None,
        Field(description="Port of each cable at its a end, in the order of the cables; '-' for none. For people."),
    ] = None
    b_ports: Annotated[NameList | None, Field(description="The same at the b end.")] = None
    kind: Annotated[
        Literal["scale-up", "host", "scale-out"] | None,
        Field(description="What the links must be, checked against their ends."),
    ] = None


class GraphDesign(DesignFile):
    """An explicit graph."""

    kind: Literal["graph"]
    link_latency_us: Annotated[
        NotNegative, Field(description="Of every switch link that says nothing else, one way, with its switch.")
    ] = 1.0
    host_types: Annotated[dict[str, HostType], Field(min_length=1, description="What hosts hold, by a name.")]
    hosts: Annotated[list[GraphHosts], Field(min_length=1)]
    switches: list[GraphSwitches] = Field(default_factory=list)
    links: list[GraphLinks] = Field(default_factory=list)
