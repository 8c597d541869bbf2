"""``nvidia-smi topo -m``: the matrix of what joins the accelerators and NICs of a host."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from topologies.formats.host_inside import MOST_NVLINKS, nearest_nics, nvlink_rate, one_host
from topologies.formats.inside import HostInside
from topologies.formats.registry import BaseFormat, Imported, ReadOptions
from topologies.formats.source import Source, only_one

__all__ = ["SmiTopoFormat"]

_HEADER = re.compile(r"^\s*GPU0\b[^\n]*", re.MULTILINE)
_ROW = re.compile(r"^\s*GPU0\s+X\s", re.MULTILINE)
_LEGEND = re.compile(r"^\s*(NIC\d{1,4}): (\S{1,200})\s*$")
_NEARNESS = {"PIX": 0, "PXB": 1, "PHB": 2, "NODE": 3, "SYS": 4, "SOC": 4}
_CELL = re.compile(r"X|NV\d{1,3}|PIX|PXB|PHB|NODE|SYS|SOC|PSB|N/A")


class SmiTopoFormat(BaseFormat):
    """Registers ``smi-topo``."""

    name = "smi-topo"
    summary = "nvidia-smi topo -m: the inside of a host"
    reads = True
    companion = "inside"

    def sniff(self, source: Source) -> int:
        """Look for the matrix's first row."""
        return 90 if _ROW.search(source.head) and _HEADER.search(source.head) else 0

    def read(self, sources: Sequence[Source], options: ReadOptions) -> Imported:
        """Return the host alone; see `FabricFormat.read`."""
        return one_host(_inside(sources, options), sources, options, self.name)

    def tell(self, sources: Sequence[Source], options: ReadOptions) -> ReadOptions:
        """Return the options with what a host looks like inside."""
        return replace(options, inside=_inside(sources, options))


def _inside(sources: Sequence[Source], options: ReadOptions) -> HostInside:
    source = only_one(sources, "the insides of two hosts")
    names, cells, line_of = _matrix(source)
    gpus = [name for name in names if name.startswith("GPU")]
    nics = [name for name in names if not name.startswith("GPU")]
    for a in names:
        for b in names:
            if cells[a, b] != cells[b, a] or (a == b) != (cells[a, b] == "X"):
                raise source.error(
                    line_of[a],
                    what="the matrix does not mirror itself: the file is cut or mixed",
                    found=f"{a}–{b} {cells[a, b]}, {b}–{a} {cells[b, a]}",
                    fix="run nvidia-smi topo -m again and give its whole output",
                )
    legend = {match[1]: match[2] for match in map(_LEGEND.match, source.text.split("\n")) if match}
    guesses: list[str] = []
    switched, pairs = _nvlinks(gpus, cells, options, guesses)
    return HostInside(
        accelerators=[name.lower() for name in gpus],
        nics=[legend.get(name, name.lower() if name.startswith("NIC") else name) for name in nics],
        nic_bytes_per_s=[0.0] * len(nics),
        nearest=nearest_nics(len(gpus), len(nics), lambda g, n: _NEARNESS.get(cells[gpus[g], nics[n]], 5)),
        pairs=pairs,
        switched_bytes_per_s=switched,
        guesses=guesses,
    )


def _matrix(source: Source) -> tuple[list[str], dict[tuple[str, str], str], dict[str, int]]:
    """Return the devices, what joins each two, and the line of each row."""
    names: list[str] = []
    cells: dict[tuple[str, str], str] = {}
    line_of: dict[str, int] = {}
    for number, line in source.lines():
        words = line.split()
        if not names:
            if words[:1] == ["GPU0"] and "X" not in words:
                end = next((i for i, word in enumerate(words) if word in ("CPU", "NUMA", "GPU")), len(words))
                names = words[:end]
                if len(set(names)) != len(names):
                    raise source.error(number, what="a device stands twice in the first line")
            continue
        if not words or words[0] not in names:
            if len(line_of) == len(names):
                break
            if words and (words[0] == "Legend:" or not line_of):
                break
            continue
        row = words[1 : len(names) + 1]
        if words[0] in line_of:
            raise source.error(number, what=f"two rows of {words[0]}", found=f"also on line {line_of[words[0]]}")
        bad = next((word for word in row if not _CELL.fullmatch(word)), None)
        if len(row) < len(names) or bad is not None:
            raise source.error(
                number,
                what="a row of the matrix is cut short" if bad is None else "not an entry of the matrix",
                found=repr(bad if bad is not None else line.strip()[:60]),
                allowed="X, NV#, PIX, PXB, PHB, NODE, SYS",
            )
        line_of[words[0]] = number
        cells.update({(words[0], name): word for name, word in zip(names, row, strict=True)})
    missing = [name for name in names if name not in line_of]
    if not names or missing:
        raise source.error(
            max(line_of.values(), default=1),
            what="the matrix is cut short" if names else "no matrix of nvidia-smi topo -m",
            found=f"no row of {missing[0]}" if missing else "",
            fix="run nvidia-smi topo -m again and give its whole output",
        )
    return names, cells, line_of


def _nvlinks(
    gpus: Sequence[str], cells: dict[tuple[str, str], str], options: ReadOptions, guesses: list[str]
) -> tuple[float, list[tuple[int, int, float]]]:
    """Return the rate of each accelerator into NVSwitches, and the direct links.

    Behind NVSwitches every pair has all links of a GPU; wired directly, a GPU's links are shared among its peers, and
    no GPU has more than `MOST_NVLINKS`.
    """
    count = {
        (i, j): int(cells[a, b][2:])
        for i, a in enumerate(gpus)
        for j, b in enumerate(gpus)
        if i < j and cells[a, b].startswith("NV")
    }
    if not count:
        return 0.0, []
    total = [sum(n for pair, n in count.items() if i in pair) for i in range(len(gpus))]
    if len(set(count.values())) == 1 and max(total) > MOST_NVLINKS:
        links = next(iter(count.values()))
        joined = len(count) == len(gpus) * (len(gpus) - 1) // 2
        if joined:
            guesses.append(f"{links} NVLinks between every two accelerators go through switches")
            return links * nvlink_rate(options, links=links, sm=None, guesses=guesses), []
    rate = nvlink_rate(options, links=max(total), sm=None, guesses=guesses)
    return 0.0, [(i, j, n * rate) for (i, j), n in sorted(count.items())]
