"""GraphML and node-link JSON: nothing is lost, other people's graphs are read, hostile XML is refused."""

from __future__ import annotations

import io
import json
from typing import Any

import networkx as nx
import pytest

from tests.topologies.fabrics import counts
from tests.topologies.formats.texts import DATA, source
from topologies.errors import InputError
from topologies.files.fabric_file import load_fabric
from topologies.formats.importing import export_fabric, import_fabric, import_sources

FORMATS = ["graphml", "node-link"]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("name", ["dgx-h100-superpod-1su", "gb200-nvl72-8-racks", "tpu-v5p-cube", "three-pools"])
def test_a_fabric_comes_back_as_it_was(format: str, name: str) -> None:
    design = load_fabric(name)
    exported = export_fabric(design, format)
    assert exported.losses == ()
    again = import_sources([source(exported.text)])
    assert again.format == format
    assert again.fabric.fingerprint == design.fingerprint
    assert again.fabric.parts == design.parts


def test_networkx_reads_what_is_written() -> None:
    design = load_fabric("dgx-h100-superpod-1su")
    graph = nx.read_graphml(io.BytesIO(export_fabric(design, "graphml").text.encode()), force_multigraph=True)
    assert graph.number_of_nodes() == design.num_nodes
    assert graph.number_of_edges() == design.num_links
    data = json.loads(export_fabric(design, "node-link").text)
    graph = nx.node_link_graph(data, edges="edges")
    assert graph.number_of_edges() == design.num_links
    assert graph.nodes["dgx-001/gpu0"]["kind"] == "accelerator"


def leaf_spine() -> nx.Graph[str]:
    """2 leaves, 1 spine; hosts h0 and h1 on the first leaf, h2 on the second.

         spine
        /     \\
      leaf0  leaf1
      /  \\     |
     h0  h1   h2
    """
    graph: nx.Graph[str] = nx.Graph()
    graph.add_edges_from([("leaf0", "spine"), ("leaf1", "spine")], rate_gbps=800.0)
    graph.add_edges_from([("h0", "leaf0"), ("h1", "leaf0"), ("h2", "leaf1")])
    return graph


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("directed", [False, True])
def test_other_graphs_are_read_with_guesses(format: str, directed: bool) -> None:
    graph: Any = leaf_spine().to_directed() if directed else leaf_spine()
    text = (
        "\n".join(nx.generate_graphml(graph))
        if format == "graphml"
        else json.dumps(nx.node_link_data(graph, edges="links"))
    )
    imported = import_sources([source(text)])
    found = counts(imported.fabric)
    assert (found["hosts"], found["leaves"], found["spines"], found["leaf_spine"]) == (3, 2, 1, 2)
    assert any("one neighbour" in guess for guess in imported.guesses)
    assert any("3 edges without" in guess for guess in imported.guesses)


@pytest.mark.parametrize("format", FORMATS)
def test_imported_fabrics_can_be_kept(format: str) -> None:
    found = import_fabric([DATA / "infiniband" / "ft16_ftree" / "ibnetdiscover.txt"])
    exported = export_fabric(found, format)
    assert exported.losses == ("port labels",)
    assert import_sources([source(exported.text)]).fabric.fingerprint == found.fabric.fingerprint


BOMB = """<?xml version="1.0"?>
<!DOCTYPE graphml [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>
<graphml><graph edgedefault="undirected"><node id="&b;"/></graph></graphml>
"""
EXTERNAL = '<!DOCTYPE graphml SYSTEM "file:///etc/passwd"><graphml><graph/></graphml>'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BOMB, "file.txt:2: a document type or entity declaration is not allowed"),
        (EXTERNAL, "file.txt:1: a document type or entity declaration is not allowed"),
        ("<graphml><graph><node id='a'/></graph>", "file.txt:1: not well-formed XML"),
        ("<graphml>" + "<graph>" * 100, "nested too deeply"),
        ("<graphml><graph><node/></graph></graphml>", "file.txt:1: <node> without id"),
        ("<graphml></graphml>", "not one graph"),
        (
            "<graphml>\n<graph>\n<node id='a'/>\n<edge source='a' target='b'/>\n</graph></graphml>",
            "file.txt:4: an edge names",
        ),
        (
            "<graphml><graph><node id='a'>\n<data key='k'>1</data></node></graph></graphml>",
            "file.txt:2: data of an unknown key",
        ),
        (
            "<graphml><key id='k' attr.name='tier' attr.type='int'/><graph><node id='a'>\n<data key='k'>x</data></node>"
            "</graph></graphml>",
            "file.txt:2: tier is not of its type",
        ),
    ],
)
def test_hostile_graphml_is_refused(text: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        import_sources([source(text)], format="graphml")
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"nodes": [{"id": "a"}, {"name": "b"}], "links": []}', "nodes[1]: no id"),
        ('{"nodes": [{"id": "a", "kind": "switch"}],\n "links": [{"source": "a", "target": "b"}]}', "links[0].target"),
        ('{"nodes": 7, "links": []}', "no list of nodes"),
        (
            '{"multigraph": true, "nodes": [{"id": "a", "kind": "accelerator"}], "edges": []}',
            "lacks the attribute 'host'",
        ),
        ('{"graph": {"parts": [{"id": 7}]}, "nodes": [{"id": "a", "kind": "x"}], "edges": []}', "not a part"),
        ('{"nodes": [{"id": "a", "kind": "nic", "host": "h", "rail": "x"}], "edges": []}', "wrong type"),
        ('{"nodes": [{"id": "a"', "not well-formed JSON"),
        (
            '{"nodes": [{"id": "a"}, {"id": "b"}], "links": [{"source": "a", "target": "b", "rate_gbps": -1}]}',
            "bad rate_gbps",
        ),
    ],
)
def test_broken_node_link_is_refused(text: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        import_sources([source(text)], format="node-link")
    assert words in caught.value.message
    assert caught.value.where.startswith("file.txt")
