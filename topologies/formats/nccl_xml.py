"""NCCL's topology XML (``NCCL_TOPO_DUMP_FILE``): accelerators, NICs and NVLinks of one host."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from topologies.formats.host_inside import nearest_nics, nvlink_rate, one_host
from topologies.formats.inside import HostInside
from topologies.formats.registry import BaseFormat, Imported, ReadOptions
from topologies.formats.safe_xml import Element, parse_xml
from topologies.formats.source import Source, only_one
from topologies.units import from_gbps

__all__ = ["NcclXmlFormat"]

_SWITCH_CLASS = "0x068"
"""PCI class of an NVSwitch (bridge, other), as NCCL writes ``tclass``."""

_MAX_DEVICES = 1_000


class NcclXmlFormat(BaseFormat):
    """Registers ``nccl-xml``."""

    name = "nccl-xml"
    summary = "NCCL's topology XML (NCCL_TOPO_DUMP_FILE): the inside of a host"
    reads = True
    companion = "inside"

    def sniff(self, source: Source) -> int:
        """Look for its root element."""
        return 95 if re.match(r"\s*(<\?xml[^>]*>\s*)?<system\b", source.head) else 0

    def read(self, sources: Sequence[Source], options: ReadOptions) -> Imported:
        """Return the host alone; see `FabricFormat.read`."""
        return one_host(_inside(sources, options), sources, options, self.name)

    def tell(self, sources: Sequence[Source], options: ReadOptions) -> ReadOptions:
        """Return the options with what a host looks like inside."""
        return replace(options, inside=_inside(sources, options))


def _inside(sources: Sequence[Source], options: ReadOptions) -> HostInside:
    source = only_one(sources, "the insides of two hosts")
    root = parse_xml(source)
    if root.tag != "system":
        raise source.error(root.line, what="not NCCL's topology", found=f"<{root.tag[:40]}>", allowed="<system>")
    paths = _paths(root)
    gpus = [(e, path) for e, path in paths if e.tag == "gpu"]
    nets = [(e, path) for e, path in paths if e.tag == "net" and e.attributes.get("coll", "0") != "1"]
    if not gpus:
        raise source.error(root.line, what="no <gpu> in the system", fix="give the whole file")
    if max(len(gpus), len(nets)) > _MAX_DEVICES:
        raise source.error(root.line, what="too many devices in a host", allowed=f"at most {_MAX_DEVICES}")
    devs = [_whole(source, e, "dev") for e, _ in gpus]
    gpus = [gpu for _, gpu in sorted(zip(devs, gpus, strict=True), key=lambda pair: pair[0])]
    for e, _ in gpus:
        if devs.count(_whole(source, e, "dev")) > 1:
            raise source.error(e.line, what="two accelerators of one number", found=f"dev {e.attributes['dev']}")
    names = [_net_name(source, e) for e, _ in nets]
    twice = next((i for i, name in enumerate(names) if name in names[:i]), None)
    if twice is not None:
        raise source.error(nets[twice][0].line, what="two NICs of one name", found=names[twice])
    guesses: list[str] = []
    switched, pairs = _nvlinks(source, gpus, _buses(root), options, guesses)
    return HostInside(
        accelerators=[f"gpu{_whole(source, e, 'dev')}" for e, _ in gpus],
        nics=names,
        nic_bytes_per_s=[
            from_gbps(_whole(source, e, "speed") / 1000) if "speed" in e.attributes else 0.0 for e, _ in nets
        ],
        nearest=nearest_nics(len(gpus), len(nets), lambda g, n: _distance(gpus[g][1], nets[n][1])),
        pairs=pairs,
        switched_bytes_per_s=switched,
        guesses=guesses,
    )


def _paths(root: Element) -> list[tuple[Element, tuple[int, ...]]]:
    """Return each element with its path from the root, as child numbers."""
    found: list[tuple[Element, tuple[int, ...]]] = []
    waiting: list[tuple[Element, tuple[int, ...]]] = [(root, ())]
    while waiting:
        element, path = waiting.pop()
        found.append((element, path))
        waiting += [(child, (*path, i)) for i, child in enumerate(element.children)][::-1]
    return found


def _distance(a: tuple[int, ...], b: tuple[int, ...]) -> int:
    """Return how far apart two devices are in the PCI tree: by the depth at which their ways part, then the length."""
    common = 0
    for x, y in zip(a, b, strict=False):
        if x != y:
            break
        common += 1
    return -1_000 * common + len(a) + len(b)


def _whole(source: Source, element: Element, key: str) -> int:
    text = element.attributes.get(key, "")
    if not text.isdecimal() or len(text) > 9:
        raise source.error(
            element.line,
            what=f"{key} of <{element.tag}> is not a whole number",
            found=repr(text[:40]),
            fix="give the whole file",
        )
    return int(text)


def _net_name(source: Source, element: Element) -> str:
    name = element.attributes.get("name") or f"net{element.attributes.get('dev', '')}"
    if not re.fullmatch(r"[\w.:+-]{1,200}", name):
        raise source.error(element.line, what="not the name of a NIC", found=repr(name[:60]))
    return name


def _nvlinks(
    source: Source,
    gpus: Sequence[tuple[Element, tuple[int, ...]]],
    buses: Mapping[int, str],
    options: ReadOptions,
    guesses: list[str],
) -> tuple[float, list[tuple[int, int, float]]]:
    """Return the rate of each accelerator into NVSwitches, and the direct links."""
    by_bus = {bus: i for i, (e, _) in enumerate(gpus) if (bus := buses.get(id(e), ""))}
    into_switch = [0] * len(gpus)
    direct: dict[tuple[int, int], int] = {}
    total = [0] * len(gpus)
    for i, (gpu, _) in enumerate(gpus):
        for link in gpu.children:
            if link.tag != "nvlink":
                continue
            count = _whole(source, link, "count")
            total[i] += count
            target = link.attributes.get("target", "").lower()
            other = by_bus.get(target)
            if other is not None and other != i:
                direct[min(i, other), max(i, other)] = max(count, direct.get((min(i, other), max(i, other)), 0))
            elif link.attributes.get("tclass", _SWITCH_CLASS).startswith(_SWITCH_CLASS):
                into_switch[i] += count
            else:
                guesses.append(
                    f"NVLinks to {target or 'an unknown device'} (class {link.attributes.get('tclass')}) are left out"
                )
    if not any(total):
        return 0.0, []
    sm = gpus[0][0].attributes.get("sm", "")
    rate = nvlink_rate(
        options, links=max(total), sm=int(sm) if sm.isdecimal() and len(sm) < 5 else None, guesses=guesses
    )
    if any(into_switch) and min(into_switch) != max(into_switch):
        guesses.append(
            f"accelerators have {min(into_switch)} to {max(into_switch)} NVLinks into switches: the fewest count"
        )
    return min(into_switch) * rate, [(a, b, count * rate) for (a, b), count in sorted(direct.items())]


def _buses(root: Element) -> dict[int, str]:
    """Return the PCI address of each accelerator, which stands at the element around it."""
    return {
        id(child): (child.attributes.get("busid") or element.attributes.get("busid", "")).lower()
        for element in root.walk()
        for child in element.children
        if child.tag == "gpu"
    }
