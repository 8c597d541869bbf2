"""Import and export: find the format of files, read them into a fabric, and write a fabric as text."""

from __future__ import annotations

import gc
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from topologies.errors import InputError
from topologies.fabric import Fabric
from topologies.formats.ports import CablePorts
from topologies.formats.registry import (
    Exported,
    FabricFormat,
    Imported,
    ReadOptions,
    fabric_format,
    fabric_formats,
)
from topologies.formats.source import Source, read_head, read_sources

__all__ = ["export_fabric", "find_format", "import_fabric", "import_sources", "is_foreign", "is_own", "open_fabric"]

_OWN = re.compile(r'^\s*\{?\s*"?schema_version"?\s*:', re.MULTILINE)


def find_format(source: Source) -> FabricFormat:
    """Return the format of a file, from its beginning and its name.

    Raises
    ------
    InputError
        If it is none that can be read.
    """
    best: FabricFormat | None = None
    best_score = 0
    for fabric_format_ in fabric_formats().values():
        score = fabric_format_.sniff(source) if fabric_format_.reads else 0
        if score > best_score:
            best, best_score = fabric_format_, score
    if best is None:
        readable = [name for name, f in fabric_formats().items() if f.reads]
        first = next((line for line in source.head.splitlines() if line.strip()), "")
        raise InputError(
            what="no format that can be read is like this file",
            where=f"{source.name}:1",
            found=repr(first[:60]),
            allowed=", ".join(readable),
            fix="name its format with --format, if it is one of these",
        )
    return best


def import_fabric(
    paths: Iterable[str | os.PathLike[str]], *, format: str | None = None, options: ReadOptions | None = None
) -> Imported:
    """Read a fabric from files that other tools wrote.

    Parameters
    ----------
    paths
        A file or folder of one format, and files that tell more: nodes (``scontrol show nodes``), the inside of a host
        (NCCL's XML, ``nvidia-smi topo -m``), routes (OpenSM's tables).
    format
        Of the first file; found from the files if left out.
    options
        What the files do not say.

    Raises
    ------
    InputError
        One line naming file and line.
    """
    return import_sources(read_sources(paths), format=format, options=options)


def import_sources(
    sources: Sequence[Source], *, format: str | None = None, options: ReadOptions | None = None
) -> Imported:
    """Return the fabric of files already read; see `import_fabric`."""
    options = options or ReadOptions()
    by_format: dict[str, list[Source]] = {}
    for i, source in enumerate(sources):
        found = fabric_format(format) if format is not None and (i == 0 or len(sources) == 1) else find_format(source)
        by_format.setdefault(found.name, []).append(source)
    mains = [name for name in by_format if not fabric_format(name).companion]
    companions = [name for name in by_format if fabric_format(name).companion]
    if not mains and any(fabric_format(name).companion != "routes" for name in companions):
        mains = [next(name for name in companions if fabric_format(name).companion != "routes")]
        companions = [name for name in companions if name not in mains]
    if len(mains) != 1:
        names = ", ".join(f"{by_format[name][0].name} ({name})" for name in mains or companions)
        raise InputError(
            what="several fabrics at once" if mains else "these files tell of a fabric and are none",
            found=names,
            allowed="files of one fabric, with files that tell more of it",
            fix="import one at a time" if mains else "give the file of the network too",
        )
    for name in companions:
        options = fabric_format(name).tell(by_format[name], options)
    with _without_collection():
        imported = fabric_format(mains[0]).read(by_format[mains[0]], options)
    for name in companions:
        imported = fabric_format(name).add_to(imported, by_format[name])
    return imported


@contextmanager
def _without_collection() -> Iterator[None]:
    """Keep the cyclic garbage collector from scanning the millions of records of a large file again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def is_own(source: Source) -> bool:
    """Tell whether a file is like a fabric file of our own."""
    return _OWN.search(source.head) is not None


def is_foreign(path: str | os.PathLike[str]) -> bool:
    """Tell whether a file or folder is like what another tool wrote, and not like a fabric file of our own."""
    if Path(path).is_dir():
        return True
    head = read_head(path)
    if head is None or is_own(head):
        return False
    return any(f.sniff(head) for f in fabric_formats().values() if f.reads)


def open_fabric(name_or_path: str | os.PathLike[str], *, options: ReadOptions | None = None) -> Imported:
    """Return the fabric of a fabric file, of the catalogue, or of a file or folder that another tool wrote.

    Raises
    ------
    InputError
        If it is none of these.
    """
    from topologies.files.fabric_file import fabric_of, find_fabric
    from topologies.files.loading import load_document
    from topologies.formats.fabric_text import ports_of

    path = find_fabric(os.fspath(name_or_path))
    if is_foreign(path):
        return import_fabric([path], options=options)
    document = load_document(path)
    fabric = fabric_of(document, parts=options.parts if options else None)
    return Imported(fabric, "fabric", ports=ports_of(document, fabric))


def export_fabric(
    fabric: Fabric | Imported, format: str, *, ports: CablePorts | None = None, topology: str = ""
) -> Exported:
    """Return a fabric as text of another tool's format, with what the text does not say.

    Parameters
    ----------
    fabric
        The fabric; of an imported one the port labels are kept.
    format
        Name of the format.
    ports
        Port labels; numbered if left out.
    topology
        Which variant, for formats with several (``tree``, ``block``).

    Raises
    ------
    InputError
        If the format cannot hold the fabric.
    """
    if isinstance(fabric, Imported):
        ports = ports or fabric.ports
        fabric = fabric.fabric
    writer = fabric_format(format)
    if not writer.writes:
        writable = [name for name, f in fabric_formats().items() if f.writes]
        raise InputError(
            what=f"{format} is read, not written", where="--format", found=format, allowed=", ".join(writable)
        )
    exported = writer.write(fabric, ports, topology)
    return replace(exported, losses=tuple(exported.losses))
