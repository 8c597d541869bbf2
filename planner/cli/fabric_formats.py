"""``scaleplan fabric import``, ``export`` and ``formats``: files of other tools in and out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from planner.cli.fabric import FabricArgument, JsonOption
from planner.cli.output import print_json, print_lines, print_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from topologies.formats.registry import Imported, ReadOptions

__all__ = ["register"]

FilesArgument = Annotated[
    list[str],
    typer.Argument(metavar="FILE...", help="Files or folders of one fabric, as `scaleplan fabric formats` lists them."),
]
NameOption = Annotated[str, typer.Option("--name", help="Name of the fabric; else the file's.")]
AcceleratorsOption = Annotated[int | None, typer.Option("--accelerators", min=1, max=10_000, help="In each host.")]
AcceleratorOption = Annotated[str | None, typer.Option("--accelerator", help="Their part id, as h100-sxm.")]
NicsOption = Annotated[int | None, typer.Option("--nics", min=1, max=10_000, help="In each host, where none is named.")]
NicRateOption = Annotated[float | None, typer.Option("--nic-gbps", help="Rate of a NIC, where the file has none.")]
UplinkOption = Annotated[
    float | None, typer.Option("--uplink-gbps", help="Rate of a cable between switches, where the file has none.")
]
OversubscriptionOption = Annotated[
    float | None, typer.Option("--oversubscription", help="Of leaf switches, for files that know no cables.")
]
TopologyOption = Annotated[str, typer.Option("--topology", help="Which of several in a file, or tree or block.")]
HostsOption = Annotated[str, typer.Option("--hosts", help="Regular expression that hosts with accelerators match.")]


def register(app: typer.Typer) -> None:
    """Add the commands to ``scaleplan fabric``."""
    app.command("import")(import_files)
    app.command("export")(export)
    app.command("formats")(formats)


def import_files(
    files: FilesArgument,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write the fabric file.")] = None,
    format: Annotated[str | None, typer.Option("--format", help="Of the first file; else found from it.")] = None,
    name: NameOption = "",
    accelerators: AcceleratorsOption = None,
    accelerator: AcceleratorOption = None,
    nics: NicsOption = None,
    nic_gbps: NicRateOption = None,
    uplink_gbps: UplinkOption = None,
    oversubscription: OversubscriptionOption = None,
    topology: TopologyOption = "",
    hosts: HostsOption = "",
    as_json: JsonOption = False,
) -> None:
    """Read what other tools wrote as one fabric; tell what was guessed and left out, and write the fabric file."""
    from topologies.formats.importing import export_fabric, import_fabric
    from topologies.formats.registry import ReadOptions

    options = ReadOptions(
        name=name,
        accelerators=accelerators,
        accelerator=accelerator,
        nics=nics,
        nic_gbps=nic_gbps,
        uplink_gbps=uplink_gbps,
        oversubscription=oversubscription,
        topology=topology,
        hosts=hosts,
    )
    check_rates(options)
    imported = import_fabric(files, format=format, options=options)
    losses: Sequence[str] = ()
    if output is not None:
        from planner.files.writing import write_text

        exported = export_fabric(imported, "fabric")
        losses = [
            *exported.losses,
            *(["static routes; give the folder of the files to use them"] * bool(imported.routes)),
        ]
        write_text(output, exported.text)
    if as_json:
        print_json(imported_as_dict(imported, output, losses))
        return
    fabric = imported.fabric
    print_lines(
        [
            f"{fabric.name}, read as {imported.format}: {fabric.num_accelerators:,} accelerators on "
            f"{fabric.num_hosts:,} hosts, {fabric.num_nics:,} NICs, {fabric.num_switches:,} switches, "
            f"{fabric.num_links // 2:,} links"
        ]
    )
    if imported.routes is not None:
        print_lines(
            [f"static routes to {imported.routes.destination.size:,} destinations; use them by --routing static"]
        )
    print_lines(f"guessed: {text}" for text in imported.guesses)
    print_lines(f"left out: {text}" for text in imported.left_out)
    if output is not None:
        print_lines(f"not in the file: {text}" for text in losses)
        print_lines([f"written: {output}"])


def export(
    fabric: FabricArgument,
    format: Annotated[str, typer.Option("--format", help="A format that is written.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="The file, or folder; else standard output.")
    ] = None,
    topology: TopologyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Write a fabric for another tool; tell what its format cannot hold."""
    import sys

    from planner.cli.output import printable
    from planner.files.writing import write_folder, write_text
    from topologies.errors import InputError
    from topologies.formats.importing import export_fabric, open_fabric

    exported = export_fabric(open_fabric(fabric), format, topology=topology)
    if output is None and exported.files:
        raise InputError(what=f"{format} is a folder of files", where="-o", fix="name a new folder by -o")
    if output is not None:
        if exported.files:
            write_folder(output, exported.files)
        else:
            write_text(output, exported.text)
    if as_json:
        told: dict[str, Any] = {
            "schema": "scaleplan/fabric-export/1",
            "format": format,
            "losses": list(exported.losses),
        }
        print_json({**told, "file": str(output)} if output is not None else {**told, "text": exported.text})
        return
    report = [f"not in the file: {text}" for text in exported.losses] or ["nothing is lost: it reads back the same"]
    if output is not None:
        print_lines([*report, f"written: {output}"])
        return
    sys.stdout.write(exported.text)
    sys.stderr.write("".join(f"{printable(line)}\n" for line in report))


def formats(as_json: JsonOption = False) -> None:
    """List the file formats of other tools, and which way they go."""
    from topologies.formats.registry import fabric_formats

    found = fabric_formats().items()
    if as_json:
        print_json(
            {
                "schema": "scaleplan/fabric-formats/1",
                "formats": [
                    {"name": name, "reads": f.reads, "writes": f.writes, "companion": f.companion, "summary": f.summary}
                    for name, f in found
                ],
            }
        )
        return
    print_table(["format", "in", "out", "what"], [[name, f.reads, f.writes, f.summary] for name, f in found])


def check_rates(options: ReadOptions) -> None:
    """Refuse rates that are not positive and finite.

    Raises
    ------
    InputError
        Naming the option.
    """
    from topologies.errors import InputError

    for key in ("nic_gbps", "uplink_gbps", "oversubscription"):
        value = getattr(options, key)
        if value is not None and not 0 < value < 1e9:
            raise InputError(
                what="not a usable number",
                where=f"--{key.replace('_', '-')}",
                found=value,
                allowed="above 0 and below 10⁹",
            )


def imported_as_dict(imported: Imported, output: Path | None, losses: Sequence[str]) -> dict[str, Any]:
    """Return what was imported as plain data."""
    fabric = imported.fabric
    return {
        "schema": "scaleplan/fabric-import/1",
        "name": fabric.name,
        "format": imported.format,
        "accelerators": fabric.num_accelerators,
        "hosts": fabric.num_hosts,
        "nics": fabric.num_nics,
        "switches": fabric.num_switches,
        "links": fabric.num_links // 2,
        "static_route_destinations": 0 if imported.routes is None else int(imported.routes.destination.size),
        "guesses": list(imported.guesses),
        "left_out": list(imported.left_out),
        "not_in_the_file": list(losses),
        "file": None if output is None else str(output),
        "fingerprint": fabric.fingerprint,
    }
