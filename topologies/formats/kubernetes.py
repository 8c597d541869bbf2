"""Kubernetes schedulers: Kueue's Topology with the labels of nodes, and Volcano's HyperNodes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from topologies.errors import InputError
from topologies.fabric import Fabric
from topologies.formats.levels import Level, levels_of
from topologies.formats.ports import CablePorts
from topologies.formats.registry import BaseFormat, Exported

__all__ = ["KueueFormat", "VolcanoFormat"]

_LABEL_PREFIX = "network.topology.nvidia.com/"
"""Prefix of the labels that NVIDIA's Topograph puts on nodes; leaf, spine, core and accelerator are its words."""

_HOSTNAME = "kubernetes.io/hostname"
_NODE_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_LOSSES = ("accelerators, NICs, rails, switches and cables", "rates, latencies and parts", "racks")


class KueueFormat(BaseFormat):
    """Registers ``kueue``."""

    name = "kueue"
    summary = "Kueue's Topology (kueue.x-k8s.io/v1beta2), and the labels of the nodes that it needs"
    writes = True

    def write(self, fabric: Fabric, ports: CablePorts | None, topology: str) -> Exported:
        """Return a Topology and a manifest of each node with its labels, for ``kubectl apply --server-side``."""
        levels, notes = _checked(fabric)
        keys = [*(f"{_LABEL_PREFIX}{level.word}" for level in levels), _HOSTNAME]
        name = _kube_name(fabric.name)
        lines = [
            f"# Written by scaleplan: the levels of {json.dumps(fabric.name)} from the widest to the host.",
            "apiVersion: kueue.x-k8s.io/v1beta2",
            "kind: Topology",
            f"metadata: {{name: {name}}}",
            "spec:",
            "  levels:",
            *(f"  - nodeLabel: {key}" for key in keys),
        ]
        for i, host in enumerate(fabric.host_names):
            labels = {key: _value(level.group[i]) for key, level in zip(keys, levels, strict=False)}
            text = ", ".join(f"{key}: {json.dumps(value)}" for key, value in labels.items())
            lines += ["---", "apiVersion: v1", "kind: Node", f"metadata: {{name: {host}, labels: {{{text}}}}}"]
        return Exported("\n".join(lines) + "\n", (*_LOSSES, *notes))


class VolcanoFormat(BaseFormat):
    """Registers ``volcano``."""

    name = "volcano"
    summary = "Volcano's HyperNodes (topology.volcano.sh/v1alpha1)"
    writes = True

    def write(self, fabric: Fabric, ports: CablePorts | None, topology: str) -> Exported:
        """Return a HyperNode for each group of hosts, from the narrowest level up."""
        levels, notes = _checked(fabric)
        narrow_first = levels[::-1] or [Level("leaf", ["all"] * fabric.num_hosts)]
        documents: list[str] = []
        below: Sequence[str] = [str(host) for host in fabric.host_names]
        kind = "Node"
        for tier, level in enumerate(narrow_first, start=1):
            names = _unique([f"{level.word}-{name}" for name in dict.fromkeys(level.group)])
            name_of = dict(zip(dict.fromkeys(level.group), names, strict=True))
            members: dict[str, dict[str, None]] = {}
            for group, member in zip(level.group, below, strict=True):
                members.setdefault(name_of[group], {})[member] = None
            documents += ["\n".join(_hyper_node(name, tier, kind, inside)) for name, inside in members.items()]
            below = [name_of[group] for group in level.group]
            kind = "HyperNode"
        return Exported("\n---\n".join(documents) + "\n", (*_LOSSES, *notes))


def _hyper_node(name: str, tier: int, kind: str, members: dict[str, None]) -> Iterator[str]:
    yield from ("apiVersion: topology.volcano.sh/v1alpha1", "kind: HyperNode", f"metadata: {{name: {name}}}", "spec:")
    yield from (f"  tier: {tier}", "  members:")
    for member in members:
        yield f"  - {{type: {kind}, selector: {{exactMatch: {{name: {json.dumps(member)}}}}}}}"


def _checked(fabric: Fabric) -> tuple[list[Level], list[str]]:
    bad = next((host for host in fabric.host_names if not _NODE_NAME.fullmatch(host)), None)
    if bad is not None:
        raise InputError(
            what="not a name of a Kubernetes node",
            where=fabric.name,
            found=repr(bad),
            allowed="small letters, digits, '.' and '-'",
            fix="name the fabric's hosts as Kubernetes names its nodes",
        )
    return levels_of(fabric)


def _kube_name(text: str) -> str:
    """Return a name for an object: small letters, digits, dashes, at most 63."""
    name = re.sub(r"[^a-z0-9-]+", "-", text.lower()).strip("-")[:63].strip("-")
    return name or "fabric"


def _unique(names: Sequence[str]) -> list[str]:
    """Return object names, those alike after the change told apart by a number."""
    taken: dict[str, None] = {}
    for text in names:
        name, i = _kube_name(text), 1
        while name in taken:
            i += 1
            name = f"{_kube_name(text)[:56].strip('-')}-{i}"
        taken[name] = None
    return list(taken)


def _value(text: str) -> str:
    """Return a label's value: letters, digits, '-', '_', '.', at most 63, with a letter or digit at both ends."""
    if re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?", text):
        return text
    import hashlib

    short = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:50].strip("-._") or "x"
    return f"{short}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"
