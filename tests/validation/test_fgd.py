"""Suite ``fgd``: published policies come out as published, and ours is no worse than FGD."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import pytest

from planner.validation import DataDir, run_suites
from planner.validation.suites.fgd import FgdSuite
from topologies.errors import InputError

DATA = Path(__file__).parent / "data"


@pytest.fixture(scope="module")
def one_list(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("fgd")
    shutil.copytree(DATA / "fgd", directory / "fgd")
    (directory / "fgd" / "openb_pod_list_default.csv.gz").unlink()
    return directory


@pytest.mark.slow
def test_policies_come_out_as_published_with_two_seeds(one_list: Path) -> None:
    outcome = FgdSuite(num_seeds=2).run(DataDir(one_list))
    allocated = {case.name.split()[1]: case for case in outcome.cases if case.kind == "allocated"}
    assert len(allocated) == 6
    assert all(target.value is not None for target in outcome.targets)
    # Two seeds instead of ten: the random order of arrivals alone moves a mean by 0.3 points.
    for name, case in allocated.items():
        assert case.error_frac is not None
        assert 100 * case.error_frac < (0.3 if name in ("fgd", "best-fit-score") else 0.9), case
    (ours,) = [case for case in outcome.cases if case.kind == "ours"]
    assert ours.agrees
    assert any("openb_pod_list_default" in note for note in outcome.notes)


def test_a_strange_policy_is_refused(tmp_path: Path) -> None:
    shutil.copytree(DATA / "fgd", tmp_path / "fgd")
    file = tmp_path / "fgd" / "published_allo_discrete.csv.gz"
    text = gzip.decompress(file.read_bytes()).decode().replace("06-FGD", "07-Other")
    file.unlink()
    file.with_suffix("").write_text(text)
    with pytest.raises(InputError, match="sc_policy"):
        run_suites(tmp_path, ["fgd"])
