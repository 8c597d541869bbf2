"""What install would write, and the checks of a site, without a Slurm."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from planner.slurm.install import (
    BEGIN,
    END,
    InstallPlan,
    apply_plan,
    lua_fault,
    merged_submit_script,
    plan_install,
    remove_install,
)
from planner.slurm.read_site import parse_config
from planner.slurm.settings import SlurmSettings, load_settings
from topologies.errors import InputError

GOOD = """\
SLURM_VERSION = 22.05.8
SelectType = select/cons_tres
TopologyPlugin = topology/tree
GresTypes = gpu
JobSubmitPlugins = lua
SlurmUser = slurm(64030)
"""
MODULE, BEAT = Path("/etc/slurm/scaleplan_submit.lua"), Path("/run/scaleplan/heartbeat")
SCRIPTS = [
    "function slurm_job_submit(a, b, c)\n   return slurm.SUCCESS\nend\nreturn slurm.SUCCESS\n",
    "function slurm_job_submit(a, b, c)\n   return slurm.SUCCESS\nend\nreturn slurm.SUCCESS",
    "function slurm_job_submit(a, b, c)\n   return slurm.SUCCESS\nend\n",
    "function slurm_job_submit(a, b, c)\n   return slurm.SUCCESS\nend\n\nreturn slurm.SUCCESS -- x\n-- vim: ft=lua\n\n",
    "-- nothing but a comment\n",
    "",
]


@pytest.mark.parametrize("script", SCRIPTS)
def test_our_call_stands_before_the_last_return_and_the_rest_is_untouched(script: str) -> None:
    merged = merged_submit_script(script, module=MODULE, heartbeat=BEAT, min_nodes=2)
    head, _, rest = merged.partition(f"{BEGIN}\n")
    block, _, tail = rest.partition(f"{END}\n")
    assert (head + tail).rstrip("\n") == script.rstrip("\n")
    assert block.count("scaleplan.wrap") == 1
    assert merged_submit_script(merged, module=MODULE, heartbeat=BEAT, min_nodes=2) == merged
    again = merged_submit_script(merged, module=MODULE, heartbeat=BEAT, min_nodes=4)
    assert again == merged.replace("min_nodes = 2", "min_nodes = 4")
    assert not lua_fault(merged)


@pytest.mark.skipif(shutil.which("lua5.1") is None, reason="needs lua5.1 (apt-get install lua5.1)")
@pytest.mark.parametrize("script", SCRIPTS)
def test_a_merged_script_loads_in_lua_with_or_without_our_module(script: str, tmp_path: Path) -> None:
    merged = merged_submit_script(script, module=tmp_path / "none.lua", heartbeat=BEAT, min_nodes=2)
    text = f"slurm = {{ SUCCESS = 0 }}\nlocal f = function()\n{merged}\nend\nf()\n"
    subprocess.run(["lua5.1", "-"], input=text, text=True, check=True, capture_output=True, timeout=20)


def test_half_a_block_is_refused() -> None:
    with pytest.raises(InputError, match="half of a scaleplan block"):
        merged_submit_script(f"x = 1\n{BEGIN}\n", module=MODULE, heartbeat=BEAT, min_nodes=2)


def test_a_script_that_is_no_lua_is_found_out(tmp_path: Path) -> None:
    if shutil.which("lua5.1") is None:
        pytest.skip("needs lua5.1 (apt-get install lua5.1)")
    (tmp_path / "job_submit.lua").write_text("function slurm_job_submit(\nreturn 0\n")
    plan = plan_install(parse_config(GOOD), conf_dir=tmp_path)
    assert any("would not be Lua" in fault for fault in plan.faults)
    with pytest.raises(InputError, match="cannot install"):
        apply_plan(plan)


def test_apply_and_remove_on_a_bare_site(tmp_path: Path) -> None:
    def planned() -> object:
        return plan_install(
            parse_config(GOOD), conf_dir=tmp_path, etc_dir=tmp_path / "own", unit_dir=tmp_path / "units"
        )

    plan = planned()
    assert plan.faults == []
    written = apply_plan(plan)
    assert sorted(path.name for path in written) == [
        "epilog_slurmctld.sh",
        "job_submit.lua",
        "scaleplan-slurm.service",
        "scaleplan_submit.lua",
        "slurm.yaml",
    ]
    assert load_settings(tmp_path / "own/slurm.yaml").mode == "observe"
    assert all(path.stat().st_mode & 0o022 == 0 for path in written)
    assert apply_plan(planned()) == []
    remove_install(planned(), apply=True)
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["slurm.yaml"]


def test_edits_made_after_installing_survive_the_removal(tmp_path: Path) -> None:
    submit = tmp_path / "job_submit.lua"
    submit.write_text("-- the site's own\nreturn 0\n")

    def planned() -> InstallPlan:
        return plan_install(
            parse_config(GOOD), conf_dir=tmp_path, etc_dir=tmp_path / "own", unit_dir=tmp_path / "units"
        )

    apply_plan(planned())
    submit.write_text("-- a new rule\n" + submit.read_text())
    assert any("edited since" in line for line in remove_install(planned(), apply=True))
    assert submit.read_text() == "-- a new rule\n-- the site's own\nreturn 0\n"
    assert (tmp_path / "job_submit.lua.before-scaleplan").exists()


def test_the_configuration_file_shows_every_key(tmp_path: Path) -> None:
    plan = plan_install(parse_config(GOOD), conf_dir=tmp_path, also_written=[Path("/shared/hosts")])
    texts = {change.path.name: change.text for change in plan.changes}
    for key in SlurmSettings.model_fields:
        assert re.search(rf"^(# )?{key}: ", texts["slurm.yaml"], re.MULTILINE), key
    shown = tmp_path / "shown.yaml"
    shown.write_text(texts["slurm.yaml"])
    assert load_settings(shown) == SlurmSettings()
    assert "\nReadWritePaths=-/run/scaleplan -/var/lib/scaleplan -/shared/hosts\n" in texts["scaleplan-slurm.service"]


def test_a_submit_script_in_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "job_submit.lua").write_bytes(b"-- \xe9\n")
    with pytest.raises(InputError, match="cannot read the site's submit script"):
        plan_install(parse_config(GOOD), conf_dir=tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("22.05.8", "20.11.4"), "older than 22.05"),
        (("cons_tres", "cray_aries"), "is not supported"),
        (("SLURM_VERSION = 22.05.8\n", ""), "does not say its version"),
    ],
)
def test_sites_that_cannot_be_served(change: tuple[str, str], said: str, tmp_path: Path) -> None:
    plan = plan_install(parse_config(GOOD.replace(*change)), conf_dir=tmp_path)
    assert any(said in fault for fault in plan.faults)


def test_what_is_left_to_the_operator(tmp_path: Path) -> None:
    plan = plan_install(parse_config(GOOD.replace("= lua", "= (null)")), conf_dir=tmp_path)
    assert plan.by_hand[0] == "in slurm.conf: JobSubmitPlugins=lua"
    assert any("EpilogSlurmctld=" in step for step in plan.by_hand)
    assert any("batch_sched_delay=1" in step for step in plan.by_hand)
    (tmp_path / "job_submit.lua").write_text("job_desc.extra = 'x'\n")
    assert any("job_desc.extra" in fault for fault in plan_install(parse_config(GOOD), conf_dir=tmp_path).faults)


def test_paths_that_could_end_a_lua_string_are_refused(tmp_path: Path) -> None:
    odd = tmp_path / 'a"b'
    odd.mkdir()
    assert any("no plain path" in fault for fault in plan_install(parse_config(GOOD), conf_dir=odd).faults)
