"""The attributes that parts may have: their names and units in files, and inside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from topologies.units import from_gb_per_s, from_gbps, from_gib, from_ns, from_tflops

__all__ = ["ATTRIBUTES", "Attribute"]

Number = float | int


def _same(value: Number) -> Number:
    return value


def _whole(value: Number) -> Number:
    return int(value)


@dataclass(frozen=True)
class Attribute:
    """One attribute a part may have.

    Attributes
    ----------
    file_name
        Its key in a parts file, with the unit people write.
    name
        Its key in `Part.values`, with the unit used inside.
    unit
        The unit of `file_name`; empty for text.
    meaning
        What it is.
    convert
        From the unit in the file to the unit inside; None for text.
    """

    file_name: str
    name: str
    unit: str
    meaning: str
    convert: Callable[[Number], Number] | None = _same

    def inside(self, value: Number | str) -> Number | str:
        """Return a value of a parts file in the unit used inside."""
        return value if self.convert is None or isinstance(value, str) else self.convert(value)

    def outside(self, value: Number | str) -> Number | str:
        """Return a value inside in the unit of a parts file."""
        return value if self.convert is None or isinstance(value, str) else value / self.convert(1)

    @property
    def is_text(self) -> bool:
        """Whether its value is text, not a number."""
        return self.convert is None

    @property
    def is_count(self) -> bool:
        """Whether its value is a whole number."""
        return self.convert is _whole


ATTRIBUTES: tuple[Attribute, ...] = (
    Attribute("bf16_tflops", "bf16_flops_per_s", "10¹² flop/s", "dense BF16 matrix rate", from_tflops),
    Attribute("fp8_tflops", "fp8_flops_per_s", "10¹² flop/s", "dense FP8 matrix rate", from_tflops),
    Attribute(
        "measured_bf16_tflops",
        "measured_bf16_flops_per_s",
        "10¹² flop/s",
        "highest BF16 matrix rate measured",
        from_tflops,
    ),
    Attribute(
        "measured_fp8_tflops",
        "measured_fp8_flops_per_s",
        "10¹² flop/s",
        "highest FP8 matrix rate measured",
        from_tflops,
    ),
    Attribute("compute_capability", "compute_capability", "", "CUDA compute capability"),
    Attribute("host_cpu", "host_cpu", "", "processor of the usual host (intel, amd, arm)", None),
    Attribute("memory_gib", "memory_bytes", "GiB", "memory of one accelerator", from_gib),
    Attribute("memory_gb_per_s", "memory_bytes_per_s", "10⁹ B/s", "memory bandwidth", from_gb_per_s),
    Attribute(
        "scale_up_gb_per_s",
        "scale_up_bytes_per_s",
        "10⁹ B/s",
        "scale-up bandwidth of one accelerator, one direction",
        from_gb_per_s,
    ),
    Attribute(
        "scale_up_pair_gb_per_s",
        "scale_up_pair_bytes_per_s",
        "10⁹ B/s",
        "what two accelerators of a domain reach alone, one direction",
        from_gb_per_s,
    ),
    Attribute("scale_up_domain", "scale_up_domain", "accelerators", "usual size of a scale-up domain", _whole),
    Attribute(
        "scale_out_gbps",
        "scale_out_bytes_per_s",
        "10⁹ bit/s",
        "NIC rate that a usual host gives each accelerator",
        from_gbps,
    ),
    Attribute("nic_gbps", "nic_bytes_per_s", "10⁹ bit/s", "rate of the whole NIC, one direction", from_gbps),
    Attribute("fabric", "fabric", "", "InfiniBand or Ethernet", None),
    Attribute("num_ports", "num_ports", "ports", "ports at the full port rate", _whole),
    Attribute("port_gbps", "port_bytes_per_s", "10⁹ bit/s", "rate of one port, one direction", from_gbps),
    Attribute(
        "port_gb_per_s", "port_bytes_per_s", "10⁹ B/s", "rate of one scale-up port, one direction", from_gb_per_s
    ),
    Attribute("latency_ns", "latency_s", "ns", "port to port", from_ns),
    Attribute("accelerator", "accelerator", "", "part id of the accelerators in a host", None),
    Attribute("num_accelerators", "num_accelerators", "accelerators", "accelerators in a host", _whole),
    Attribute("nic", "nic", "", "part id of the compute NICs in a host", None),
    Attribute("num_nics", "num_nics", "NICs", "compute NICs in a host", _whole),
    Attribute("rack_units", "rack_units", "U", "height"),
    Attribute("cable_gbps", "cable_bytes_per_s", "10⁹ bit/s", "rate of the cable or optic, one direction", from_gbps),
    Attribute("max_reach_m", "max_reach_m", "m", "longest reach"),
    Attribute("watts", "watts", "W", "most it draws"),
    Attribute("typical_watts", "typical_watts", "W", "what it usually draws"),
    Attribute("watts_per_end", "watts_per_end", "W", "what each end of a cable draws"),
    Attribute("watts_at_200g", "watts_at_200g", "W", "most an optic draws at half its rate"),
    Attribute("head_watts", "head_watts", "W", "what the switch end of an active copper cable draws"),
    Attribute("tail_watts", "tail_watts", "W", "what the other end of an active copper cable draws"),
    Attribute("price_low_usd", "price_low_usd", "USD", "low price"),
    Attribute("price_usd", "price_usd", "USD", "typical price"),
    Attribute("price_high_usd", "price_high_usd", "USD", "high price"),
    Attribute("price_usd_per_m", "price_usd_per_m", "USD/m", "what a metre of the cable adds"),
    Attribute("transceiver_price_usd", "transceiver_price_usd", "USD", "one transceiver; a cable needs two"),
    Attribute("rent_low_usd_per_h", "rent_low_usd_per_h", "USD/h", "lowest rent of one accelerator found"),
    Attribute("rent_high_usd_per_h", "rent_high_usd_per_h", "USD/h", "highest rent of one accelerator found"),
)
"""Every attribute, in the order of the docs."""
