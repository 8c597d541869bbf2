"""``scaleplan fabric import``, ``export`` and ``formats`` as a person uses them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from planner.cli.main import run
from topologies.files.fabric_file import load_fabric
from topologies.formats.registry import fabric_formats

IB = Path(__file__).parents[2] / "topologies" / "formats" / "data" / "infiniband" / "ft16_ftree"
TREE = "SwitchName=leaf1 Nodes=n[1-2]\nSwitchName=leaf2 Nodes=n[3-4]\nSwitchName=top Switches=leaf[1-2]\n"


def test_import_writes_a_fabric_file_and_tells_what_it_guessed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "new" / "fabric.yaml"
    assert run(["fabric", "import", str(IB / "ibnetdiscover.txt"), "-o", str(path), "--name", "ft16"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("ft16, read as ibnetdiscover: 16 accelerators on 16 hosts, 16 NICs, 6 switches, 40 links\n")
    assert "guessed: 1 accelerator a host" in out
    assert out.endswith(f"written: {path}\n")
    assert load_fabric(path).num_hosts == 16
    assert run(["fabric", "diff", str(path), str(IB / "ibnetdiscover_ports.txt")]) == 0  # the ports are kept
    assert run(["fabric", "export", str(path), "--format", "netbox"]) == 0
    assert "leaf-03,dcim.interface,6,spine-01,dcim.interface,4," in capsys.readouterr().out


def test_import_tells_programs_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    conf = tmp_path / "t.txt"
    conf.write_text(TREE)
    assert run(["fabric", "import", str(conf), "--json", "--accelerators", "4", "--nic-gbps", "200"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["schema"], told["format"], told["accelerators"], told["file"]) == (
        "scaleplan/fabric-import/1",
        "slurm-conf",
        16,
        None,
    )
    assert any("cable up" in guess for guess in told["guesses"])


@pytest.mark.parametrize(
    ("text", "arguments", "words"),
    [
        (TREE + "SwitchName=", [], "t.txt:4: "),
        ("hello\n", [], "t.txt:1: no format that can be read is like this file; found: 'hello'"),
        (TREE, ["--format", "slurm"], "no such file format; found: 'slurm'; allowed: "),
        (TREE, ["--nic-gbps", "nan"], "--nic-gbps: not a usable number"),
        (TREE, ["--accelerator", "h100"], "h100"),
        (TREE, ["--hosts", "("], "--hosts"),
    ],
)
def test_a_refused_import_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, arguments: list[str], words: str
) -> None:
    conf = tmp_path / "t.txt"
    conf.write_text(text)
    code = run(["fabric", "import", str(conf), "-o", str(tmp_path / "f.yaml"), *arguments])
    err = capsys.readouterr().err
    assert code == 2
    assert err.count("\n") == 1
    assert words in err
    assert not (tmp_path / "f.yaml").exists()


def test_export_tells_its_losses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "topology.conf"
    assert run(["fabric", "export", "leaf-spine-4to1", "--format", "slurm-conf", "-o", str(path)]) == 0
    out = capsys.readouterr().out
    assert "not in the file: rates, latencies and number of cables" in out
    assert path.read_text().count("SwitchName=") > 2
    assert run(["fabric", "export", str(IB / "ibnetdiscover.txt"), "--format", "slurm-conf"]) == 0
    told = capsys.readouterr()
    assert told.out.startswith("# Written by scaleplan")
    assert "not in the file" in told.err
    assert run(["fabric", "export", "leaf-spine-4to1", "--format", "fabric", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["losses"] == []


def test_export_refuses_what_is_only_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["fabric", "export", "leaf-spine-4to1", "--format", "ibnetdiscover"]) == 2
    assert "ibnetdiscover is read, not written" in capsys.readouterr().err


def test_formats_lists_every_registered_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["fabric", "formats", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["formats"]
    assert [row["name"] for row in told] == sorted(fabric_formats())
    assert run(["fabric", "formats"]) == 0
    assert "ibnetdiscover" in capsys.readouterr().out
