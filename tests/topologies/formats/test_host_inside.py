"""NCCL's XML and nvidia-smi's matrix: the inside of a host, alone and beside a network."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.topologies.formats.test_infragraph import network
from tests.topologies.formats.texts import DATA, refusal, source
from topologies.errors import InputError
from topologies.formats.importing import import_fabric, import_sources
from topologies.formats.registry import ReadOptions
from topologies.formats.source import read_sources


# Two sockets; under each a PCIe switch with two A100 and one NIC, and a storage NIC on the first socket.
def gpu(bus: str, dev: int, links: str) -> str:
    inside = f'<gpu dev="{dev}" sm="80" rank="{dev}" gdr="1">{links}</gpu>'
    return f'<pci busid="0000:{bus}:00.0" class="0x030200">{inside}</pci>\n'


def net(bus: str, name: str, dev: int, speed: int = 200000) -> str:
    return (
        f'<pci busid="0000:{bus}:00.0" class="0x020700"><nic>'
        f'<net name="{name}" dev="{dev}" speed="{speed}" port="1" guid="0x{dev}" gdr="1"/></nic></pci>\n'
    )


SWITCHED = "".join(f'<nvlink target="0000:c{k}:00.0" count="2" tclass="0x068000"/>' for k in range(4, 10))


def xml(links: list[str]) -> str:
    return (
        '<system version="1">\n<cpu numaid="0" arch="x86_64" vendor="AuthenticAMD" familyid="143" modelid="49">\n'
        f'<pci busid="0000:01:00.0" class="0x060400">\n{gpu("07", 0, links[0])}{net("0c", "mlx5_0", 0)}'
        f"{gpu('0f', 1, links[1])}</pci>\n{net('61', 'mlx5_4', 4, 100000)}</cpu>\n"
        '<cpu numaid="1" arch="x86_64" vendor="AuthenticAMD" familyid="143" modelid="49">\n'
        f'<pci busid="0000:41:00.0" class="0x060400">\n{gpu("47", 3, links[3])}{gpu("4e", 2, links[2])}'
        f"{net('4b', 'mlx5_1', 1)}</pci>\n</cpu>\n</system>\n"
    )


MATRIX = """\
\tGPU0\tGPU1\tGPU2\tGPU3\tNIC0\tNIC1\tCPU Affinity\tNUMA Affinity
GPU0\t X \tNV12\tNV12\tNV12\tPXB\tSYS\t0-31\t0
GPU1\tNV12\t X \tNV12\tNV12\tPXB\tSYS\t0-31\t0
GPU2\tNV12\tNV12\t X \tNV12\tSYS\tPXB\t32-63\t1
GPU3\tNV12\tNV12\tNV12\t X \tSYS\tPXB\t32-63\t1
NIC0\tPXB\tPXB\tSYS\tSYS\t X \tSYS\t\t
NIC1\tSYS\tSYS\tPXB\tPXB\tSYS\t X \t\t

Legend:

  X    = Self
  NV#  = Connection traversing a bonded set of # NVLinks

NIC Legend:

  NIC0: mlx5_0
  NIC1: mlx5_1
"""


@pytest.mark.parametrize("text", [xml([SWITCHED] * 4), MATRIX])
def test_both_say_the_same_of_one_host(text: str) -> None:
    options = ReadOptions(name="dgx", nic_gbps=200)
    imported = import_sources([source(text, "host.txt")], options=options)
    assert network(imported.fabric) == {
        **{(f"dgx/gpu{i}", "dgx/nvs0", 12 * 25 * 8.0, 1.665e-6): 1 for i in range(4)},
        **{(f"dgx/gpu{i}", f"dgx/mlx5_{i // 2}", 200.0, 0.8e-6): 1 for i in range(4)},
        **{(f"dgx/mlx5_{i}", "network", 200.0, 1e-6): 1 for i in range(2)},
    }
    assert any("25 GB/s a direction" in guess for guess in imported.guesses)
    assert any("stands for the network" in guess for guess in imported.guesses)
    assert imported.left_out == (("NICs that are the nearest of no accelerator: mlx5_4",) if "<" in text else ())


def test_direct_links_between_pairs() -> None:
    # GPU0–GPU1 by four NVLinks, GPU2–GPU3 by two: 12.5 GB/s × 8 = 25 GB/s a link
    def to(bus: str, count: int) -> str:
        return f'<nvlink target="0000:{bus}:00.0" count="{count}" tclass="0x030200"/>'

    imported = import_sources([source(xml([to("0f", 4), to("07", 4), to("47", 2), to("4e", 2)]), "h.xml")])
    found = network(imported.fabric)
    assert found["h/gpu0", "h/gpu1", 800.0, 3.33e-6] == 1
    assert found["h/gpu2", "h/gpu3", 400.0, 3.33e-6] == 1
    assert imported.fabric.num_domains == 2
    mesh = MATRIX.replace("NV12", "NV4")  # 4 links to each of 3 peers: 12, as A100 has; no switch
    direct = network(import_sources([source(mesh, "m.txt")]).fabric)
    assert sum(count for key, count in direct.items() if key[2] == 800.0) == 6


def test_without_nvlink_there_is_no_scale_up() -> None:
    imported = import_sources([source(MATRIX.replace("NV12", "SYS"), "m.txt")])
    assert imported.fabric.num_domains == 4
    assert not any("NVLink" in guess for guess in imported.guesses)


def test_the_part_gives_the_rate() -> None:
    imported = import_sources([source(MATRIX, "m.txt")], options=ReadOptions(accelerator="h100-sxm"))
    assert imported.fabric.accelerator_scale_up_bytes_per_s.tolist() == [450e9] * 4
    assert "450 GB/s of NVLink an accelerator, by part h100-sxm" in imported.guesses


def test_the_inside_beside_a_network() -> None:
    conf = source("SwitchName=l1 Nodes=a,b\nSwitchName=l2 Nodes=c,d\nSwitchName=t Switches=l[1-2]\n", "t.conf")
    fabric = import_sources([conf, source(MATRIX)]).fabric
    assert (fabric.num_accelerators, fabric.num_nics, fabric.num_domains) == (16, 8, 4)
    assert ("a/gpu3", "a/mlx5_1", 400.0, 0.95e-6) in network(fabric)
    with pytest.raises(InputError, match=r"--accelerators: the inside of a host has another number"):
        import_sources([conf, source(MATRIX)], options=ReadOptions(accelerators=8))
    with pytest.raises(InputError, match="the insides of two hosts"):
        import_sources([conf, source(MATRIX), source(MATRIX, "other.txt")])


def test_nics_of_other_names_are_matched_in_order_and_told() -> None:
    network_file = read_sources([DATA / "infiniband" / "ft16_ftree" / "ibnetdiscover.txt"])
    imported = import_sources([*network_file, source(MATRIX)])
    assert (imported.fabric.num_accelerators, imported.fabric.num_nics) == (64, 16)
    assert any("matched in order" in guess for guess in imported.guesses)
    assert any("leaves alone are dealt in order" in guess for guess in imported.guesses)


def test_colours_of_a_terminal_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "topo.txt"
    path.write_text("\t\x1b[4mGPU0\t" + MATRIX[MATRIX.index("GPU1") :].replace("\n", "\x1b[0m\n", 1))
    assert import_fabric([path]).fabric.num_accelerators == 4


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("GPU3\tNV12\tNV12\tNV12\t X \tSYS\tPXB\t32-63\t1\n", "", "no row of GPU3"),
        (
            "GPU2\tNV12\tNV12\t X \tNV12\tSYS\tPXB\t32-63\t1",
            "GPU2\tNV12\tNV12",
            "file.txt:4: a row of the matrix is cut short",
        ),
        ("GPU1\tNV12\t X \tNV12", "GPU1\tNV12\t X \tNV6", "does not mirror itself"),
        ("GPU1\tNV12\t X ", "GPU1\tNW12\t X ", "file.txt:3: not an entry of the matrix; found: 'NW12'"),
        ("\tGPU0\tGPU1", "\tGPU0\tGPU0", "file.txt:1: a device stands twice"),
        ("\nGPU2\t", "\nGPU1\t", "file.txt:4: two rows of GPU1"),
    ],
)
def test_faults_of_a_matrix_name_their_line(old: str, new: str, words: str) -> None:
    assert old in MATRIX
    assert words in refusal(MATRIX.replace(old, new, 1), "smi-topo")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('dev="0" sm', 'dev="x" sm', "file.txt:4: dev of <gpu> is not a whole number"),
        ('dev="1" sm', 'dev="0" sm', "two accelerators of one number"),
        ('count="2"', 'count="many"', "count of <nvlink> is not a whole number"),
        ('name="mlx5_1"', 'name="mlx5_0"', "two NICs of one name"),
        ("</system>", "", "not well-formed XML"),
        ("<system", '<!DOCTYPE x [<!ENTITY a "b">]>\n<system', "file.txt:1: a document type or entity declaration"),
        ("<gpu", "<cpu2", "not well-formed XML"),
        ('speed="200000"', 'speed="fast"', "speed of <net> is not a whole number"),
    ],
)
def test_faults_of_xml_name_their_line(old: str, new: str, words: str) -> None:
    text = xml([SWITCHED] * 4)
    assert old in text
    assert words in refusal(text.replace(old, new, 1), "nccl-xml")


@given(st.integers(0, len(MATRIX)), st.text("GPUNIC0123\t XSYNV\n", max_size=40))
@settings(max_examples=120, deadline=None)
def test_any_text_is_read_or_refused(at: int, more: str) -> None:
    assert "\n" not in refusal(MATRIX[:at] + more, "smi-topo")
    assert "\n" not in refusal(MATRIX[:at] + more + MATRIX[at:], "smi-topo")
    text = xml([SWITCHED] * 4)
    assert "\n" not in refusal(text[: at % len(text)] + more + text[at % len(text) :], "nccl-xml")
