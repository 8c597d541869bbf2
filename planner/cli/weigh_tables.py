"""The tables of ``scaleplan weigh``: step and price, the bill, what failures take down, what the domain is worth."""

from __future__ import annotations

from typing import Any

from planner.cli.output import print_lines, print_table

__all__ = ["sweep_table", "weigh_tables"]


def weigh_tables(cells: list[dict[str, Any]], front: set[int]) -> None:
    """Print what was found for each design, workload and size."""
    _main_table(cells, front)
    print_lines(["MFU: of the dense bf16 peak, whatever precision runs"])
    _bill_table(cells)
    _failure_table(cells)
    _domain_table(cells)


def _money(cell: dict[str, Any]) -> float | str:
    return float(cell["usd_per_mtoken"]["typical"]) if cell["usd_per_mtoken"] else "–"


def _row(cell: dict[str, Any], *, on_front: bool) -> list[object]:
    if "refused" in cell:
        return ["", "", "", "", "", "", "", "", "refused"]
    m = cell["mapping"]
    spread = " ".join(
        f"{key}{m[name]}" for key, name in (("tp", "tp"), ("cp", "cp"), ("pp", "pp"), ("dp", "dp"), ("ep", "ep"))
        if m[name] > 1
    )  # fmt: skip
    mark = "breaks a limit" if cell["breaks"] else ("on it" if on_front else "")
    return [
        cell["step_s"],
        cell["mfu_frac"],
        cell["days_to_train"],
        cell["reliability"]["goodput_frac"],
        _money(cell),
        cell["power_kw"],
        cell["racks"],
        spread,
        mark,
    ]


_COLUMNS = ["step s", "MFU", "days", "goodput", "$/Mtoken", "kW", "racks", "spread", "front"]


def _main_table(cells: list[dict[str, Any]], front: set[int]) -> None:
    print_table(
        ["design", "workload", "size", *_COLUMNS],
        [
            [cell["design"], cell["workload"], cell["accelerators"], *_row(cell, on_front=i in front)]
            for i, cell in enumerate(cells)
        ],
    )


def sweep_table(names: list[str], cells: list[dict[str, Any]], front: set[int]) -> None:
    """Print a line for each point of a sweep; what is the same in all of them stands in the title."""
    fixed = ("design", "workload", "accelerators")
    told = [key for key in fixed if len({cell[key] for cell in cells}) == 1]
    heads = [key for key in fixed if key not in told]
    shown = [name for name in names if name != "size"]
    columns = ["size" if key == "accelerators" else key for key in heads]
    print_table(
        [*columns, *(name.replace("_", " ") for name in shown), *_COLUMNS],
        [
            [
                *(cell[key] for key in heads),
                *(cell["swept"].get(name, "") for name in shown),
                *_row(cell, on_front=i in front),
            ]
            for i, cell in enumerate(cells)
        ],
        title=", ".join(f"{cells[0][key]:,}" if key == "accelerators" else str(cells[0][key]) for key in told),
    )
    print_lines(_cheapest(cells))


def _cheapest(cells: list[dict[str, Any]]) -> list[str]:
    """Return a line for each workload: where its token costs least, and what next to it costs as little."""
    from planner.weigh.decide import RATIO_ERROR_FRAC

    lines = []
    usable = [cell for cell in cells if "refused" not in cell and not cell["breaks"] and cell["usd_per_mtoken"]]
    for workload in dict.fromkeys(cell["workload"] for cell in usable):
        own = sorted(
            (cell for cell in usable if cell["workload"] == workload),
            key=lambda c: float(c["usd_per_mtoken"]["typical"]),
        )
        best = own[0]
        at = ", ".join(f"{name.replace('_', ' ')} {value:,g}" for name, value in best["swept"].items())
        price = float(best["usd_per_mtoken"]["typical"])
        near = sum(float(cell["usd_per_mtoken"]["typical"]) <= price * (1 + RATIO_ERROR_FRAC) for cell in own) - 1
        lines.append(
            f"{workload}: the cheapest token is {price:.3g} US$ a million, by {best['design']} on "
            f"{best['accelerators']:,} accelerators with {at}; {near:,} of {len(own):,} points lie within the model's "
            f"error of it ({RATIO_ERROR_FRAC:.0%})."
        )
    refused = sum("refused" in cell for cell in cells)
    if refused:
        first = next(cell["refused"] for cell in cells if "refused" in cell)
        lines.append(f"refused: {refused:,} points; the first: {first}")
    return lines


def _domain_table(cells: list[dict[str, Any]]) -> None:
    rows = [
        [
            cell["design"],
            cell["workload"],
            cell["domain"]["enough"],
            cell["domain"].get("break_even_premium_frac", "–"),
            cell["domain"].get("nic_gbps_to_catch_up", "–") or "never",
        ]
        for cell in cells
        if "domain" in cell
    ]
    print_table(
        ["design", "workload", "gain < 1 % beyond", "premium over a domain of 8", "Gb/s a NIC that make up for it"],
        rows,
        title="what the scale-up domain is worth",
    )


def _bill_table(cells: list[dict[str, Any]]) -> None:
    """Print what each design costs and takes, for the workload that buys most of it."""
    most: dict[tuple[str, int], dict[str, Any]] = {}
    for cell in cells:
        key = (cell["design"], cell["accelerators"])
        if "refused" not in cell and (key not in most or cell["bought"] > most[key]["bought"]):
            most[key] = cell
    rows = []
    for cell in most.values():
        band, capital = cell["capital_band_usd"], cell["capital_usd"]
        network = sum(capital.get(name, 0.0) for name in ("nics", "switches", "cables"))
        rows.append(
            [
                cell["design"],
                cell["accelerators"],
                cell["bought"],
                *((f"{band[k] / 1e6:,.4g}" for k in ("low", "typical", "high")) if capital else "–––"),
                f"{network / band['typical']:.0%}" if capital else "–",
                cell["power_kw"],
                cell["rack_kw"],
                f"{cell['racks']} + {cell['network_racks']}",
                cell["floor_m2"],
            ]
        )
    print_table(
        ["design", "size", "bought", "capital M$ low", "typical", "high", "network", "kW", "kW a rack",
         "racks + network", "m²"],
        rows,
        title="the bill",
    )  # fmt: skip


def _failure_table(cells: list[dict[str, Any]]) -> None:
    rows = []
    for cell in cells:
        if "refused" in cell:
            continue
        left = cell["reliability"]
        down = {blast["unit"]: blast for blast in left["blasts"]}
        rows.append(
            [
                cell["design"],
                cell["workload"],
                left["mtbf_h"],
                left["checkpoint_every_s"] / 60 or "–",
                cell["bought"] - cell["accelerators"],
                *(_down(down.get(unit)) for unit in ("tray", "rack", "leaf")),
                left["goodput_frac"],
            ]
        )
    print_table(
        ["design", "workload", "MTBF h", "checkpoint min", "standing by", "a tray takes down", "a rack", "a leaf",
         "goodput"],
        rows,
        title="what failures take down, accelerators",
    )  # fmt: skip


def _down(blast: dict[str, Any] | None) -> str:
    if blast is None:
        return "–"
    return f"{blast['accelerators']:,}" + (" (waits)" if blast["wait_h"] else "")
