"""Every installed solver holds to the contract, and the contract notices solvers that do not."""

from dataclasses import replace
from typing import Any

import pytest

from planner.placement import Placement
from planner.result import Result
from planner.solver import get_solver, solver_names
from solvers.contract import ContractError, check_solver
from solvers.greedy import FirstFitSolver
from solvers.template import TemplateSolver
from topologies.errors import InputError


@pytest.mark.parametrize("name", solver_names())
def test_solver_holds_to_the_contract(name: str) -> None:
    check_solver(get_solver(name))


def test_the_template_holds_to_the_contract_as_it_is() -> None:
    check_solver(TemplateSolver())


def test_there_are_solvers() -> None:
    assert {"cp-sat", "first-fit", "best-fit", "slurm-tree", "random"} <= set(solver_names())


def test_an_unknown_solver_is_refused() -> None:
    with pytest.raises(InputError, match=r"no such solver; found: 'magic'; allowed: .*cp-sat"):
        get_solver("magic")


class _Liar(FirstFitSolver):
    def __init__(self, **lies: Any) -> None:
        self.lies = lies

    def solve(self, *args: Any, **kwargs: Any) -> Result:
        return replace(super().solve(*args, **kwargs), **self.lies)


@pytest.mark.parametrize(
    ("lies", "caught"),
    [
        ({"solver": "other"}, "names its solver"),
        ({"bound": {}}, "each level has a bound"),
        ({"refusals": ()}, "has a reason"),
        ({"placement": Placement()}, "evaluate's own"),
        ({"fabric_fingerprint": ""}, "fingerprint"),
    ],
)
def test_liars_are_caught(lies: dict[str, Any], caught: str) -> None:
    with pytest.raises(ContractError, match=caught):
        check_solver(_Liar(**lies))
