"""The bill on a page is the bill of `topologies.bill`, with its files packed inside."""

import base64
import gzip

import pytest

from reports.figures.bill import price_figure, price_lines
from reports.page import Download
from reports.pages.bill import bill_blocks, bill_tiles
from reports.pages.fabric import FabricPage
from tests.reports.studies import fabric_study
from topologies.bill.bill import bill_of
from topologies.bill.output import bill_csv
from topologies.bill.wire_map import wire_map_csv
from topologies.files.fabric_file import load_fabric

BILL = bill_of(load_fabric("dgx-h100-superpod-1su"))


def test_prices_of_the_bars_add_up_to_the_bill() -> None:
    lines = price_lines(BILL)
    assert sum(price.typical_usd for _, price in lines) == pytest.approx(BILL.price.typical_usd)
    (bar,) = price_figure(lines).data
    assert list(bar.x) == sorted(bar.x)
    assert max(bar.error_x.array) > 0


def test_the_files_inside_unpack_to_the_bill_and_the_wire_map() -> None:
    (block,) = [block for block in bill_blocks(BILL) if block.id == "bill"]
    unpacked = [gzip.decompress(base64.b64decode(file.packed)).decode() for file in block.downloads]
    assert unpacked == [bill_csv(BILL), wire_map_csv(BILL)]
    assert Download("a", "b", "€").packed == Download("a", "b", "€").packed


def test_large_wire_maps_stay_outside() -> None:
    large = bill_of(load_fabric("hgx-h100-16384"))
    (block,) = [block for block in bill_blocks(large) if block.id == "bill"]
    assert [file.file_name for file in block.downloads] == ["bill.csv"]
    assert "--wire-map FILE" in block.notes[-1]


def test_a_fault_is_told_with_whom_it_cuts_off() -> None:
    (block,) = [block for block in bill_blocks(BILL) if block.id == "faults"]
    assert block.table is not None
    told = {row[0]: row for row in block.table.rows}
    assert told["NIC"][2] == 1
    assert told["rack"][3] == max(int(str(row[3])) for row in block.table.rows if row[0] == "rack")


def test_the_fabric_page_carries_the_bill() -> None:
    page = FabricPage().page(fabric_study("dgx-h100-superpod-1su"))
    assert {"bill", "cables", "racks", "faults"} <= {block.id for block in page.blocks}
    (tile,) = [tile for tile in page.tiles if tile.label == "Power"]
    assert tile.value == f"{BILL.power.total_watts / 1e3:,.0f} kW"
    assert bill_tiles(BILL)[0].value.endswith(" k") or bill_tiles(BILL)[0].value.endswith(" m")
