"""OpenSM's forwarding tables: the routes are those of the file, and files that are cut or mixed are refused."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import numpy as np
import pytest

from planner.cli.main import run
from tests.topologies.formats.texts import DATA, source
from topologies.errors import InputError
from topologies.formats.importing import import_fabric, import_sources
from topologies.formats.registry import Imported
from topologies.formats.source import read_sources
from topologies.routing.router import router_for
from topologies.routing.static import Static

FT16 = DATA / "infiniband" / "ft16_ftree"
BROKEN = DATA / "infiniband" / "ft64_missing_cable_ftree"


def ft16() -> Imported:
    return import_fabric([FT16 / "ibnetdiscover.txt", FT16 / "dump_lfts.txt"])


def way(imported: Imported, source: str, target: str) -> list[str]:
    fabric = imported.fabric
    assert imported.routes is not None
    ends = [fabric.node_idx(source)], [fabric.node_idx(target)]
    flows = router_for(fabric).route(*ends, Static(imported.routes))
    return [fabric.link_name(int(link)) for link in flows.link]


def test_routes_are_those_of_the_tables() -> None:
    # By hand: leaf-03 sends LID 1 (node-000) out of port 5, LID 10 (node-003) out of port 6; ibnetdiscover has
    # spine-00 and spine-01 there. Both spines reach leaf-00 by port 1.
    imported = ft16()
    assert imported.left_out == ()
    assert imported.routes is not None
    assert imported.routes.next_link.shape == (6, 16)
    port = {
        text.split("]")[0][1:]: re.search(r'# "(\S+)"', text)[1]  # type: ignore[index]
        for text in (FT16 / "ibnetdiscover.txt").read_text().split("\n\n")[2].splitlines()
        if text.startswith("[")
    }
    assert way(imported, "node-015/nic0", "node-000/nic0") == [
        "node-015/nic0 → leaf-03",
        f"leaf-03 → {port['5']}",
        f"{port['5']} → leaf-00",
        "leaf-00 → node-000/nic0",
    ]
    assert way(imported, "node-015/nic0", "node-003/nic0")[1] == f"leaf-03 → {port['6']}"
    assert way(imported, "node-015/nic0", "node-012/nic0") == ["node-015/nic0 → leaf-03", "leaf-03 → node-012/nic0"]


def test_every_pair_follows_the_file() -> None:
    """An own walk over the two files, line by line, ends where the routing's does, by the same ports."""
    imported = import_fabric([BROKEN / "ibnetdiscover.txt", BROKEN / "dump_lfts.txt.gz"])
    fabric = imported.fabric
    far, lid_of, at = {}, {}, ""
    for line in (BROKEN / "ibnetdiscover.txt").read_text().splitlines():
        if line.startswith(("Switch", "Ca")):
            at = re.search(r'# "([^"]+)"', line)[1]  # type: ignore[index]
        elif line.startswith("["):
            far[at, int(line[1 : line.index("]")])] = re.search(r'"([a-z-]+\d+)" lid', line)[1]  # type: ignore[index]
    out, at = {}, ""
    for line in gzip.decompress((BROKEN / "dump_lfts.txt.gz").read_bytes()).decode().splitlines():
        if line.startswith("Unicast"):
            at = line[line.rindex("(") + 1 : line.rindex(")")]
        elif line.startswith("0x") and "Channel" in line:
            out[at, line.split("'")[1]] = int(line[7:10])
            lid_of[line.split("'")[1]] = int(line[2:6], 16)
    hosts = list(fabric.host_names)
    assert sorted(lid_of) == sorted(hosts)
    for source_name in hosts[::7]:
        for target_name in hosts[::5]:
            if source_name == target_name:
                continue
            path, node = [], far[source_name, 1]
            while node != target_name:
                step = far[node, out[node, target_name]]
                path.append(step)
                node = step
            found = way(imported, f"{source_name}/nic0", f"{target_name}/nic0")
            assert [name.split(" → ")[1].split("/")[0] for name in found[1:]] == path


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t[: len(t) // 2], "cut short"),
        (lambda t: t[: t.rindex("Unicast")], "switches of the network have no table"),
        (lambda t: t.replace("0x0003 005", "0x0003 0x5", 1), "dump_lfts.txt:6: not a line of dump_lfts"),
        (lambda t: t.replace("0x0005 006", "0x0005 033", 1), "port 33 of leaf-03"),
        (lambda t: t.replace("0x0001 005", "0x0001 999", 1), "port 999 of leaf-03"),
        (
            lambda t: t.replace("guid 0x0000000000200003", "guid 0x0000000000200013", 1),
            "the network has no such switch",
        ),
        (lambda t: t + t, "two tables of one switch"),
        (lambda t: t.replace("portguid 0x0000000000100001", "portguid 0x0000000000100003", 1), "two adapters"),
        (lambda t: re.sub(r"^0x0010.*\n", "", t, count=1, flags=re.MULTILINE), "lines of a table are missing"),
        (lambda t: t.replace("portguid 0x00000000001", "portguid 0x00000000009"), "no adapter of the tables"),
    ],
)
def test_tables_that_do_not_fit_are_refused(change: object, words: str) -> None:
    network = read_sources([FT16 / "ibnetdiscover.txt"])
    text = change((FT16 / "dump_lfts.txt").read_text())  # type: ignore[operator]
    with pytest.raises(InputError) as caught:
        import_sources([*network, source(text, "dump_lfts.txt")])
    assert words in caught.value.message
    assert caught.value.message.startswith("dump_lfts.txt:")


def test_multicast_tables_and_routes_in_a_circle() -> None:
    network = read_sources([FT16 / "ibnetdiscover.txt"])
    text = (FT16 / "dump_lfts.txt").read_text()
    more = "Multicast mlids [0xc000-0xc3ff] of switch DR path slid 0; guid 0x0000000000200003 (leaf-03):\n0xc000 x x\n"
    assert import_sources([*network, source(text + more)]).left_out == ()
    # leaf-00 sends node-000 (its own port 1) back up: every route to node-000 circles or ends there
    begin = text.index("(leaf-00)")
    row = text.index("0x0001 001", begin)
    turned = text[:row] + "0x0001 005" + text[row + 10 :]
    imported = import_sources([*network, source(turned)])
    assert any("routes that do not arrive" in text for text in imported.left_out)
    with pytest.raises(InputError, match="circle"):
        way(imported, "node-015/nic0", "node-000/nic0")


def test_tables_need_their_network() -> None:
    tables = read_sources([FT16 / "dump_lfts.txt"])
    with pytest.raises(InputError, match="give the file of the network too"):
        import_sources(tables)
    with pytest.raises(InputError, match="give the output of ibnetdiscover beside the tables"):
        import_sources([source("SwitchName=a Nodes=n[1-2]\n"), *tables])


JOBS = """\
schema_version: 1
jobs:
  - {id: a, accelerators: 2, traffic: {size: 1GiB}}
"""


def test_the_scorer_uses_the_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # Both nodes of the one ring reach each other by one path a direction: 8 Gb/s, 1 GiB each way.
    folder = tmp_path / "network"
    folder.mkdir()
    for name in ("ibnetdiscover.txt", "dump_lfts.txt"):
        (folder / name).write_text((FT16 / name).read_text())
    (tmp_path / "jobs.yaml").write_text(JOBS)
    placement = {
        "schema": "scaleplan/placement/1",
        "jobs": {"a": [{"host": "node-000", "accelerators": [0]}, {"host": "node-015", "accelerators": [0]}]},
    }
    (tmp_path / "p.json").write_text(json.dumps(placement))
    arguments = ["score", str(folder), "--jobs", str(tmp_path / "jobs.yaml"), "--placement", str(tmp_path / "p.json")]
    assert run([*arguments, "--routing", "static", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    busiest = {row["link"] for row in told["hottest_links"]}
    spine = way(ft16(), "node-000/nic0", "node-015/nic0")[1].split(" → ")[1]
    assert f"leaf-00 → {spine}" in busiest
    assert {row["demand_frac"] for row in told["hottest_links"]} == {1.0}
    arguments[1] = str(folder / "ibnetdiscover.txt")
    assert run([*arguments, "--routing", "static"]) == 2
    assert "static routing needs the tables of the switches" in capsys.readouterr().err


def test_hosts_of_two_adapters() -> None:
    imported = import_fabric([DATA / "infiniband" / "rails_ftree"])
    assert imported.left_out == ()
    assert imported.fabric.accelerator_rail.tolist() == [0, 1] * 8
    across = way(imported, "gpu00/mlx5_1", "gpu07/mlx5_1")
    assert [name.split(" → ")[0] for name in across] == ["gpu00/mlx5_1", "leaf01", across[1].split(" → ")[1], "leaf11"]
    assert way(imported, "gpu00/mlx5_1", "gpu01/mlx5_1")[0].endswith("leaf01")


def test_opensms_own_dump_says_the_same() -> None:
    """``opensm-lfts.dump`` of the same network, written by OpenSM itself after another sweep."""
    network = DATA / "infiniband" / "rails_ftree" / "ibnetdiscover.txt"
    imported = import_fabric([network, DATA / "infiniband" / "rails_opensm_dump" / "opensm-lfts.dump"])
    assert imported.left_out == ()
    assert imported.routes is not None
    assert imported.routes.next_link.shape == (14, 16)  # six switches, and eight of scale-up domains
    assert len(way(imported, "gpu00/mlx5_1", "gpu07/mlx5_1")) == 4
    text = (DATA / "infiniband" / "rails_opensm_dump" / "opensm-lfts.dump").read_text()
    with pytest.raises(InputError, match="cut short"):
        import_sources([*read_sources([network]), source(text[:-20])])


def test_many_switches_stay_small() -> None:
    imported = import_fabric([BROKEN / "ibnetdiscover.txt", BROKEN / "dump_lfts.txt.gz"])
    assert imported.routes is not None
    assert imported.routes.next_link.dtype == np.int32
    assert not imported.routes.next_link.flags.writeable
