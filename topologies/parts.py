"""Parts: accelerators, switches, NICs and optics, each attribute with its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

__all__ = ["Part", "PartClass"]

PartClass = Literal["accelerator", "switch", "scale-up switch", "nic", "optic", "cable", "host", "system"]


@dataclass(frozen=True, slots=True)
class Part:
    """One kind of thing a fabric is built from.

    Attributes
    ----------
    id
        Short stable name used in fabric files, for example ``h100-sxm-80g``.
    part_class
        What it is.
    vendor, description
        For people.
    values
        Attribute name (with its unit as suffix) to number or text, in inside units: ``memory_bytes``,
        ``memory_bytes_per_s``, ``bf16_flops_per_s`` (dense), ``scale_up_bytes_per_s`` (one direction),
        ``nic_bytes_per_s`` (one direction), ``num_ports``, ``port_bytes_per_s``, ``watts``, ``price_low_usd``,
        ``price_usd``, ``price_high_usd``, ``latency_s``…
    sources
        Attribute name to where its value comes from.
    unverified
        Attributes whose value was not checked against its source.
    """

    id: str
    part_class: PartClass
    vendor: str = ""
    description: str = ""
    values: Mapping[str, float | int | str] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    unverified: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", MappingProxyType(dict(self.values)))
        object.__setattr__(self, "sources", MappingProxyType(dict(self.sources)))

    def number(self, name: str, default: float | None = None) -> float:
        """Return a numeric attribute.

        Raises
        ------
        KeyError
            If the part has no such number and no default is given.
        """
        value = self.values.get(name, default)
        if value is None or isinstance(value, str):
            msg = f"part {self.id!r} has no number {name!r}"
            raise KeyError(msg)
        return float(value)
