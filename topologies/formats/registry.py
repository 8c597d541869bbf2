"""Which file formats there are: every class registered in the entry point group ``scaleplan.formats``.

A format is one file and one line of registration; see ``docs/formats.md``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from topologies.errors import InputError
from topologies.fabric import Fabric
from topologies.files.reading import nearest
from topologies.formats.ports import CablePorts
from topologies.formats.source import Source

if TYPE_CHECKING:
    from topologies.formats.inside import HostInside
    from topologies.parts import Part
    from topologies.routing.static import NextHops

__all__ = ["GROUP", "Exported", "FabricFormat", "Imported", "ReadOptions", "fabric_format", "fabric_formats"]

GROUP = "scaleplan.formats"


@dataclass(frozen=True)
class ReadOptions:
    """What a reader is told beside the files. What stays open, the reader guesses, and says so.

    Attributes
    ----------
    name
        Of the fabric; else the file's.
    accelerators
        In each host.
    accelerator
        Part id of the accelerators; gives their scale-up rate.
    nics
        In each host, for files that do not name NICs.
    nic_gbps
        Rate of a NIC, for files without rates, 10⁹ bit/s.
    uplink_gbps
        Rate of a cable between switches, for files without rates, 10⁹ bit/s.
    oversubscription
        Rate down over rate up of leaf switches, for files that know switches and no cables.
    topology
        Which one of a file that holds several.
    hosts
        A regular expression that the names of hosts with accelerators match; other hosts are left out.
    gpus_of
        Accelerators of each host by name, as a file beside the others says.
    gpu_type_of
        What Slurm calls their kind, by host.
    inside
        What a host looks like inside, as a file beside the others says.
    parts
        Parts by id; the catalogue's own if left out.
    """

    name: str = ""
    accelerators: int | None = None
    accelerator: str | None = None
    nics: int | None = None
    nic_gbps: float | None = None
    uplink_gbps: float | None = None
    oversubscription: float | None = None
    topology: str = ""
    hosts: str = ""
    gpus_of: Mapping[str, int] = field(default_factory=dict)
    gpu_type_of: Mapping[str, str] = field(default_factory=dict)
    inside: HostInside | None = None
    parts: Mapping[str, Part] | None = None


@dataclass(frozen=True, eq=False)
class Imported:
    """A fabric that was read, and what to know about it.

    Attributes
    ----------
    fabric
        The fabric; its `assumptions` hold the guesses.
    format
        Name of the format.
    guesses
        What the file does not say and was guessed.
    left_out
        What the file says and the fabric does not hold.
    ports
        Port labels, where the file names ports.
    routes
        Static routes, where a file holds forwarding tables.
    addresses
        Node name by address (``guid:0x…``, ``lid:7``), where the file has addresses.
    rate_is_guessed
        ``(num_links / 2,)`` whether the rate of each cable is a guess; empty if none is.
    """

    fabric: Fabric
    format: str
    guesses: Sequence[str] = ()
    left_out: Sequence[str] = ()
    ports: CablePorts | None = None
    routes: NextHops | None = None
    addresses: Mapping[str, str] = field(default_factory=dict)
    rate_is_guessed: Sequence[bool] = ()


@dataclass(frozen=True)
class Exported:
    """A fabric as text.

    Attributes
    ----------
    text
        What goes into the file.
    losses
        What the fabric has and the text does not say; empty if reading it back gives the same fabric.
    files
        Text by file name, for formats of several files, which make a folder; `text` is empty then.
    """

    text: str
    losses: Sequence[str] = ()
    files: Mapping[str, str] = field(default_factory=dict)


class FabricFormat(Protocol):
    """A file format.

    Attributes
    ----------
    name
        As on the command line.
    summary
        One line for people.
    reads, writes
        What it can do.
    companion
        Empty for a format that holds a fabric. ``nodes`` or ``inside`` for one that tells more of the hosts of another
        file (and a fabric of its own if it stands alone), ``routes`` for one that is read onto a fabric.
    """

    name: str
    summary: str
    reads: bool
    writes: bool
    companion: str

    def sniff(self, source: Source) -> int:
        """Return how sure it is, 0 to 100, that a file is of this format, by its name and `Source.head` alone."""
        ...

    def read(self, sources: Sequence[Source], options: ReadOptions) -> Imported:
        """Return the fabric of files of this format.

        Raises
        ------
        InputError
            Naming file and line.
        """
        ...

    def tell(self, sources: Sequence[Source], options: ReadOptions) -> ReadOptions:
        """Return the options with what the files of a companion format tell of hosts."""
        ...

    def add_to(self, imported: Imported, sources: Sequence[Source]) -> Imported:
        """Return what was imported with the routes of the files."""
        ...

    def write(self, fabric: Fabric, ports: CablePorts | None, topology: str) -> Exported:
        """Return the fabric as text; `topology` picks a variant where the format has several.

        Raises
        ------
        InputError
            If the format cannot hold the fabric.
        """
        ...


class BaseFormat:
    """What a format is unless it says otherwise: neither reads nor writes."""

    name = ""
    summary = ""
    reads = False
    writes = False
    companion = ""

    def sniff(self, source: Source) -> int:
        """Return 0: not this format."""
        return 0

    def read(self, sources: Sequence[Source], options: ReadOptions) -> Imported:
        """Refuse to read."""
        raise InputError(what=f"{self.name} is written, not read", where=sources[0].name)

    def tell(self, sources: Sequence[Source], options: ReadOptions) -> ReadOptions:
        """Return the options as they are."""
        return options

    def add_to(self, imported: Imported, sources: Sequence[Source]) -> Imported:
        """Return what was imported as it is."""
        return imported

    def write(self, fabric: Fabric, ports: CablePorts | None, topology: str) -> Exported:
        """Refuse to write."""
        raise InputError(what=f"{self.name} is read, not written", where=fabric.name)


@cache
def fabric_formats() -> Mapping[str, FabricFormat]:
    """Return every registered format by name, sorted."""
    entries = sorted(metadata.entry_points(group=GROUP), key=lambda entry: entry.name)
    return MappingProxyType({entry.name: entry.load()() for entry in entries})


def fabric_format(name: str) -> FabricFormat:
    """Return the format called `name`.

    Raises
    ------
    InputError
        If there is none.
    """
    formats = fabric_formats()
    if name not in formats:
        match = nearest(name, list(formats))
        raise InputError(
            what="no such file format",
            where="--format",
            found=repr(name),
            allowed=", ".join(formats),
            fix=f"did you mean {match}?" if match else "",
        )
    return formats[name]
