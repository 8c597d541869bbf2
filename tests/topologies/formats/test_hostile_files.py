"""Every format beside files that are cut, mixed, changed, hostile: one clear line leaves, and nothing half imported."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.cli.main import run
from tests.topologies.formats.test_cable_lists import CABLES
from tests.topologies.formats.test_fabric_text import STATED
from tests.topologies.formats.test_host_inside import MATRIX, SWITCHED, xml
from tests.topologies.formats.test_infragraph import SMALL
from tests.topologies.formats.test_scheduler_formats import GRAPH, MODEL
from tests.topologies.formats.test_simulator_formats import NS3, SIMAI
from tests.topologies.formats.texts import DATA, source
from topologies.errors import InputError
from topologies.formats.importing import export_fabric, import_sources
from topologies.formats.registry import fabric_format, fabric_formats
from topologies.formats.source import MAX_TEXT_BYTES, Source, read_sources

FT16 = DATA / "infiniband" / "ft16_ftree"
CONF = "SwitchName=l1 Nodes=n[1-2]\nSwitchName=l2 Nodes=n[3-4]\nSwitchName=t Switches=l[1-2]\n"
YAML = """\
- topology: a
  cluster_default: true
  tree:
    switches:
      - {switch: t, children: "l[1-2]"}
      - {switch: l1, nodes: "n[1-2]"}
      - {switch: l2, nodes: "n[3-4]"}
"""
NODES = "NodeName=n1 State=IDLE Gres=gpu:h100:8(S:0-1)\nNodeName=n2 State=IDLE Gres=gpu:h100:8(S:0-1)\n"
_FABRIC = import_sources([Source("t.conf", CONF)])

SAMPLES: Mapping[str, tuple[str, ...]] = {
    "fabric": (STATED,),
    "graphml": (export_fabric(_FABRIC, "graphml").text,),
    "ibnetdiscover": ((FT16 / "ibnetdiscover.txt").read_text(), (FT16 / "ibnetdiscover_ports.txt").read_text()),
    "infragraph": (SMALL,),
    "lldp": ((DATA / "lldp" / "json" / "gpu01.json").read_text(), (DATA / "lldp" / "json0" / "gpu01.json").read_text()),
    "nccl-xml": (xml([SWITCHED] * 4),),
    "netbox": (CABLES,),
    "node-link": (export_fabric(_FABRIC, "node-link").text,),
    "opensm-lfts": ((FT16 / "dump_lfts.txt").read_text(),),
    "simai": (SIMAI, NS3),
    "slurm-conf": (CONF,),
    "slurm-nodes": (NODES,),
    "slurm-yaml": (YAML,),
    "smi-topo": (MATRIX,),
    "topograph": (json.dumps(GRAPH, indent=1), MODEL),
}
NAMES = sorted(SAMPLES)
NETWORK = read_sources([FT16 / "ibnetdiscover.txt"])

BOMBS = {
    "yaml aliases": "a: &a [x,x,x,x,x,x,x,x,x]\n"
    + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(f'*{chr(97 + i)}' for _ in range(9))}]\n" for i in range(9)),
    "xml entities": '<?xml version="1.0"?>\n<!DOCTYPE z [<!ENTITY a "aaaa">'
    + "".join(f'<!ENTITY a{i} "&a{i - 1 if i else ""};&a{i - 1 if i else ""};">' for i in range(20))
    + "]>\n<graphml>&a19;</graphml>",
    "xml from outside": '<!DOCTYPE s [<!ENTITY x SYSTEM "file:///etc/passwd">]><system>&x;</system>',
    "deep json": '{"lldp":' * 5_000 + "{}" + "}" * 5_000,
    "deep lists": "[" * 50_000 + "]" * 50_000,
    "deep yaml": "".join(f"{' ' * i}a:\n" for i in range(1_500)),
    "deep xml": "<system>" * 5_000 + "</system>" * 5_000,
    "brackets": "SwitchName=a Nodes=" + "n[1-9]" * 2_000,
    "a huge range": "SwitchName=a Nodes=n[0-999999999]\n",
    "quotes": '"' * 100_000,
    "one long line": "0 " * 100_000,
    "many lines": "[1]\n" * 50_000,
    "commas": "side_a_device,side_a_name,side_b_device,side_b_name\n" + "," * 100_000,
    "numbers": "9" * 100_000,
    "a huge count": SIMAI.replace("9 2 2 3 10", "9 2 2 3 999999999"),
    "nothing": "\n",
}


def answer(text: str, format: str, name: str = "file.txt") -> str:
    """Return the line that refuses a text, or nothing; anything but an `InputError` goes on."""
    sources = [*NETWORK, source(text, name)] if format == "opensm-lfts" else [source(text, name)]
    try:
        import_sources(sources, format=None if format == "opensm-lfts" else format)
    except InputError as error:
        line = error.message
    else:
        line = ""
    assert "\n" not in line
    return line


def test_there_is_a_sample_of_every_format_that_is_read() -> None:
    assert [name for name, f in fabric_formats().items() if f.reads] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_samples_are_read_and_recognised(name: str) -> None:
    for text in SAMPLES[name]:
        file = "gpu01.json" if name == "lldp" else "sample"
        assert answer(text, name, file) == ""
        scores = {other: f.sniff(source(text, file)) for other, f in fabric_formats().items() if f.reads}
        assert max(scores, key=lambda other: scores[other]) == name, scores


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bomb", BOMBS)
def test_bombs_are_refused_in_one_line(name: str, bomb: str) -> None:
    if name == "opensm-lfts":
        with pytest.raises(InputError) as caught:
            fabric_format(name).add_to(import_sources(NETWORK), [source(BOMBS[bomb], "bomb.txt")])
        message = caught.value.message
    else:
        message = answer(BOMBS[bomb], name, "bomb.txt")
    assert "bomb.txt" in message
    assert len(message) < 2_000


@pytest.mark.parametrize("name", NAMES)
def test_names_of_ten_thousand_characters(name: str) -> None:
    words = {
        "fabric": "h0",
        "graphml": "n1",
        "ibnetdiscover": "node-003",
        "infragraph": "host",
        "lldp": "leaf1",
        "nccl-xml": "mlx5_0",
        "netbox": "leaf1",
        "node-link": "n1",
        "opensm-lfts": "leaf-03",
        "simai": "H20",
        "slurm-conf": "l1",
        "slurm-nodes": "n1",
        "slurm-yaml": "l1",
        "smi-topo": "mlx5_0",
        "topograph": "leaf1",
    }
    for text in SAMPLES[name]:
        for filler in ("x", "é", "[", "\\u0000", "%s", "{}", "1"):
            message = answer(text.replace(words[name], filler * 10_000), name, "gpu01.json")
            assert len(message) < 2_500


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_a_file_cut_or_changed_anywhere(name: str, data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(SAMPLES[name]))
    cut = data.draw(st.integers(0, len(text) - 1))
    kind = data.draw(st.sampled_from(["cut", "character", "line gone", "line twice", "lines swapped", "number"]))
    if kind == "cut":
        changed = text[:cut]
    elif kind == "character":
        changed = text[:cut] + data.draw(st.text(max_size=3)) + text[cut + 1 :]
    elif kind == "number":
        changed = (
            text[:cut]
            + data.draw(st.sampled_from(["-1", "0", "1e308", "nan", "99999999999999999999"]))
            + text[cut + 1 :]
        )
    else:
        lines = text.split("\n")
        at = text.count("\n", 0, cut)
        if kind == "line gone":
            del lines[at]
        elif kind == "line twice":
            lines.insert(at, lines[at])
        else:
            lines[at], lines[-1 - at] = lines[-1 - at], lines[at]
        changed = "\n".join(lines)
    answer(changed, name, "gpu01.json")


@pytest.mark.parametrize("name", NAMES)
@given(other=st.sampled_from(NAMES), at=st.integers(0, 10_000))
@settings(max_examples=8, deadline=None)
def test_two_files_in_one(name: str, other: str, at: int) -> None:
    text, more = SAMPLES[name][0], SAMPLES[other][-1]
    answer(text + "\n" + more, name, "gpu01.json")
    answer(text[: at % len(text)] + more[at % len(more) :], name, "gpu01.json")


@pytest.mark.parametrize("name", NAMES)
def test_a_refused_file_leaves_nothing_behind(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = SAMPLES[name][0]
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "gpu01.json"
    path.write_text(text[: len(text) * 2 // 3] + "\n\x07")
    assert run(["fabric", "import", str(path), "--format", name, "-o", str(tmp_path / "out.yaml")]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "control character U+0007" in err
    assert "Traceback" not in err
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


def test_files_too_large_are_refused_before_they_are_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import gzip

    path = tmp_path / "huge.txt"
    with path.open("wb") as stream:
        stream.truncate(MAX_TEXT_BYTES + 1)
    assert run(["fabric", "import", str(path), "--format", "slurm-conf"]) == 2
    assert "the file is too large" in capsys.readouterr().err
    packed = tmp_path / "cut.txt.gz"
    packed.write_bytes(gzip.compress(CONF.encode() * 100)[:-20])
    assert run(["fabric", "import", str(packed)]) == 2
    assert "not a whole gzip file" in capsys.readouterr().err
