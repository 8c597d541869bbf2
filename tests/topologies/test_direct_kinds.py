"""torus and hamming-mesh, with counts worked out by hand."""

import networkx as nx
import numpy as np
import pytest

from tests.topologies.fabrics import counts, fabric_from
from topologies.errors import InputError
from topologies.fabric import Fabric, NodeKind


def torus(grid: str, hosts: str = "accelerator: tpu-v5p", network: str = "") -> Fabric:
    more = f"network: {{{network}}}\n" if network else ""
    return fabric_from(f"schema_version: 1\nkind: torus\nname: t\ngrid: {{{grid}}}\nhosts: {{{hosts}}}\n{more}")


def between_routers(fabric: Fabric) -> np.ndarray:
    is_switch = fabric.node_kind == NodeKind.SCALE_UP_SWITCH
    return is_switch[fabric.link_source] & is_switch[fabric.link_target]


def router_graph(fabric: Fabric) -> nx.Graph:
    """Return the links between routers, each called by the number of its accelerator."""
    mask, first = between_routers(fabric), fabric.num_accelerators + fabric.num_nics
    graph = nx.Graph()
    ends = (fabric.link_source[mask] - first).tolist(), (fabric.link_target[mask] - first).tolist()
    graph.add_edges_from(zip(*ends, strict=True))
    return graph


def test_a_3d_torus_like_a_tpu_v5p_slice() -> None:
    # 4 × 4 × 8 = 128 chips, 4 a host (2 × 2 × 1): 32 hosts, 3 × 128 links, 100 GB/s each (600 ÷ 6)
    fabric = torus("shape: [4, 4, 8], host_shape: [2, 2, 1]")
    assert (fabric.num_hosts, fabric.num_accelerators, fabric.num_domains) == (32, 128, 1)
    between = between_routers(fabric)
    assert between.sum() == 2 * 3 * 128
    assert fabric.num_links == 2 * 4 * 128  # one more to the router on each chip
    assert set(fabric.link_capacity_bytes_per_s[between].tolist()) == {100e9}
    assert fabric.accelerator_scale_up_bytes_per_s == pytest.approx(np.full(128, 600e9))
    assert nx.is_isomorphic(router_graph(fabric), nx.grid_graph([4, 4, 8], periodic=True))


def test_the_chips_of_a_host_are_neighbours() -> None:
    fabric = torus("shape: [4, 4], host_shape: [2, 2]", "accelerator: tpu-v5e")
    graph = router_graph(fabric)
    for host in range(4):
        a, b, c, d = (int(i) for i in fabric.host_accelerators(host))
        assert graph.has_edge(a, b)
        assert graph.has_edge(c, d)
        assert graph.has_edge(a, c)
        assert graph.has_edge(b, d)
        assert not graph.has_edge(a, d)


@pytest.mark.parametrize(
    ("shape", "wrap", "links"),
    [
        ("[16, 16]", "true", 512),
        ("[16, 16]", "false", 2 * 16 * 15),
        ("[2, 8]", "true", 8 + 16),  # along 2 there is one link, not two
        ("[1, 6]", "true", 6),
        ("[5]", "true", 5),
        ("[3, 3, 3, 3]", "true", 4 * 81),
    ],
)
def test_link_counts(shape: str, wrap: str, links: int) -> None:
    ones = f"[{', '.join('1' * (shape.count(',') + 1))}]"
    fabric = torus(f"shape: {shape}, host_shape: {ones}, wrap: {wrap}, link_gb_per_s: 50")
    assert between_routers(fabric).sum() == 2 * links


def test_tori_joined_by_a_network() -> None:
    # 4 tori of 4 × 4, 4 chips and one 100G NIC a host: 16 hosts; a 64-port 100G leaf takes 32 of them.
    fabric = torus(
        "shape: [4, 4], host_shape: [2, 2], count: 4",
        "accelerator: tpu-v5e, accelerators: 4, nic: ethernet-100g, nics: 1",
        "leaf: sn4600c",
    )
    found = counts(fabric)
    assert (found["hosts"], found["leaves"], found["nic_leaf"]) == (16, 1, 16)
    assert fabric.num_domains == 4
    assert fabric.host_names[5] == "torus001-h00001"


@pytest.mark.parametrize(
    ("grid", "hosts", "network", "message"),
    [
        (
            "shape: [4, 6], host_shape: [2, 4]",
            "accelerator: tpu-v5e",
            "",
            "fabric.yaml:4: grid.host_shape: the hosts do not tile the grid; found: blocks 2×4 in 4×6; "
            "allowed: as many dimensions, each size a multiple of the block's",
        ),
        (
            "shape: [4, 4], host_shape: [2, 2]",
            "accelerator: tpu-v5e, accelerators: 8",
            "",
            "fabric.yaml:4: grid.host_shape: the block of a host does not hold its accelerators; "
            "found: 8 accelerators a host, a block of 4; allowed: the same number",
        ),
        (
            "shape: [4, 4], host_shape: [2, 2]",
            "accelerator: tpu-v4",
            "",
            "fabric.yaml:4: grid.link_gb_per_s: the rate of a link is not known; "
            "found: the part has no scale-up rate; fix: add link_gb_per_s",
        ),
        (
            "shape: [4, 4], host_shape: [2, 2], count: 2",
            "accelerator: tpu-v5e",
            "",
            "fabric.yaml:4: grid.count: nothing joins the tori; found: count: 2; fix: add nics and a network",
        ),
        (
            "shape: [4, 4], host_shape: [2, 2]",
            "accelerator: tpu-v5e",
            "leaf: sn4600c",
            "fabric.yaml:6: network: NICs and a network go together; found: a network without NICs; "
            "fix: add nic and nics to the hosts, or leave network out",
        ),
    ],
)
def test_tori_that_cannot_be(grid: str, hosts: str, network: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        torus(grid, hosts, network)
    assert caught.value.message == message


def hamming(boards: str) -> Fabric:
    return fabric_from(
        f"schema_version: 1\nkind: hamming-mesh\nname: t\nboards: {{{boards}, accelerator: h100-sxm, link_gbps: 400}}\n"
    )


def test_a_hamming_mesh_by_hand() -> None:
    # Hx2Mesh, 3 rows × 4 columns of 2 × 2 boards: 48 accelerators. On a board 4 links: 48. Every line of a row has a
    # switch with 2 × 4 cables: 3 × 2 × 8 = 48; every line of a column 2 × 3: 4 × 2 × 6 = 48. 6 + 8 switches.
    fabric = hamming("rows: 3, columns: 4, shape: [2, 2], switch: qm9700")
    assert (fabric.num_hosts, fabric.num_accelerators, fabric.num_domains) == (12, 48, 1)
    assert (fabric.node_kind == NodeKind.SCALE_UP_SWITCH).sum() == 48 + 14
    assert between_routers(fabric).sum() == 2 * (48 + 48 + 48)
    # each router uses its four ports, and one to its accelerator
    degree = np.bincount(fabric.link_source, minlength=fabric.num_nodes)
    assert set(degree[48:96].tolist()) == {5}
    assert fabric.accelerator_scale_up_bytes_per_s.tolist() == [200e9] * 48
    row = fabric.node_idx("row001/line00")
    assert sorted({fabric.node_names[i].split("/")[0] for i in fabric.link_target[fabric.link_source == row]}) == [
        f"board001-{c:03d}" for c in range(4)
    ]


def test_boards_of_one_are_a_hyperx() -> None:
    # 1 × 1 boards: both row ports of an accelerator hang on the row's switch, both column ports on the column's
    fabric = hamming("rows: 4, columns: 4, shape: [1, 1], switch: qm9700")
    assert between_routers(fabric).sum() == 2 * 16 * 4
    assert (fabric.node_kind == NodeKind.SCALE_UP_SWITCH).sum() == 16 + 8


def test_a_hamming_mesh_with_too_few_ports() -> None:
    with pytest.raises(InputError) as caught:
        hamming("rows: 8, columns: 40, shape: [2, 2], switch: qm9700")
    assert caught.value.message == (
        "fabric.yaml:4: boards.columns: a row or column switch has too few ports; "
        "found: 40 columns of boards with 2 cables each need 80 ports; allowed: 64 ports on qm9700; "
        "fix: use fewer or larger boards, or a switch with more ports"
    )


def test_ways_through_a_torus_are_shortest() -> None:
    # 4 × 4, chips in blocks of 2 × 2: from (0, 0) to (2, 1) are 3 hops between routers, and one link at each end
    fabric = torus("shape: [4, 4], host_shape: [2, 2]", "accelerator: tpu-v5e")
    graph = router_graph(fabric)
    place = {node: (2 * (node // 8) + node % 4 // 2, 2 * (node // 4 % 2) + node % 2) for node in graph}
    for a in graph:
        for b, length in nx.single_source_shortest_path_length(graph, a).items():
            steps = [min((i - j) % 4, (j - i) % 4) for i, j in zip(place[a], place[b], strict=True)]
            assert length == sum(steps)
