"""``scaleplan slurm install``: every change it would make, how to undo it, and the making.

It writes files beside Slurm's and never edits slurm.conf, restarts or reconfigures anything: what Slurm itself must be
told is printed for the operator to do.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from planner.slurm.heartbeat import write_whole
from planner.slurm.records import SiteConfig
from planner.slurm.site_files import EPILOG_HOOK, NEW_SUBMIT, SETTINGS, UNIT
from topologies.errors import InputError, OutputError

__all__ = [
    "Change",
    "InstallPlan",
    "apply_plan",
    "lua_fault",
    "merged_submit_script",
    "plan_install",
    "remove_install",
]

BEGIN, END = "-- >>> scaleplan >>>", "-- <<< scaleplan <<<"
BACKUP_SUFFIX = ".before-scaleplan"
MODULE_NAME = "scaleplan_submit.lua"

_PLAIN_PATH = re.compile(r"/[A-Za-z0-9._/-]*\Z", re.ASCII)


@dataclass(frozen=True)
class Change:
    """One file to write.

    Attributes
    ----------
    why
        In words.
    text
        New contents.
    old
        Contents now; ``None`` if there is no such file.
    """

    path: Path
    why: str
    text: str
    mode: int
    old: str | None

    @property
    def is_needed(self) -> bool:
        """Whether the file is not yet so."""
        return self.old != self.text

    @property
    def backup(self) -> Path:
        """Where the old file is kept."""
        return self.path.with_name(self.path.name + BACKUP_SUFFIX)

    @property
    def undo(self) -> str:
        """The command that takes the change back."""
        had_one = self.old is not None and BEGIN not in self.old
        return f"mv {self.backup} {self.path}" if had_one or self.backup.exists() else f"rm {self.path}"


@dataclass
class InstallPlan:
    """Everything `install` would do.

    Attributes
    ----------
    changes
        Files.
    by_hand
        What the operator does, in order.
    faults
        What stands in the way; nothing is applied while there is one.
    warnings
        What to know.
    """

    changes: list[Change] = field(default_factory=list)
    by_hand: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def module_text() -> str:
    """Return the Lua module as shipped."""
    return files("planner.slurm").joinpath("files", MODULE_NAME).read_text(encoding="utf-8")


def merged_submit_script(site: str | None, *, module: Path, heartbeat: Path, min_nodes: int) -> str:
    """Return the site's ``job_submit.lua`` with our one call in it; everything else stays as it was.

    The call stands before the last ``return`` outside functions, after the site's functions are defined.

    Raises
    ------
    InputError
        If the script has half of an old block of ours.
    """
    text = site if site is not None else NEW_SUBMIT
    if (BEGIN in text) != (END in text):
        raise InputError(
            what="half of a scaleplan block", where="job_submit.lua", fix=f"take out the lines from {BEGIN} to {END}"
        )
    if BEGIN in text:
        head, _, rest = text.partition(BEGIN)
        text = head + rest.partition(END)[2].removeprefix("\n")
    block = (
        f"{BEGIN}\n"
        f'local scaleplan_ok, scaleplan = pcall(dofile, "{module}")\n'
        'if scaleplan_ok and type(scaleplan) == "table" then\n'
        f'   local settings = {{ heartbeat = "{heartbeat}", min_nodes = {min_nodes} }}\n'
        "   slurm_job_submit = scaleplan.wrap(slurm_job_submit, settings)\n"
        "end\n"
        f"{END}\n"
    )
    lines = text.splitlines(keepends=True)
    at = len(lines)
    for i in range(len(lines) - 1, -1, -1):
        code = lines[i].split("--")[0].strip()
        if code:
            if re.match(r"return\b", code) and not lines[i][0].isspace():
                at = i
            break
    if at and lines and not lines[at - 1].endswith("\n"):
        lines[at - 1] += "\n"
    return "".join([*lines[:at], block, *lines[at:]])


def lua_fault(text: str) -> str | None:
    """Return what is wrong with a script's syntax; empty if nothing is, ``None`` if this machine has no Lua."""
    program = next((found for name in ("luac5.1", "lua5.1", "luac", "lua") if (found := shutil.which(name))), None)
    if program is None:
        return None
    if Path(program).name.startswith("luac"):
        argv, given = [program, "-p", "-"], text
    else:
        argv, given = [program, "-e", "assert(loadstring and loadstring(io.read('*a')) or load(io.read('*a')))"], text
    done = subprocess.run(argv, input=given, capture_output=True, text=True, timeout=10, check=False)
    return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["refused"])[0]


def plan_install(
    config: SiteConfig,
    *,
    conf_dir: Path,
    etc_dir: Path = Path("/etc/scaleplan"),
    unit_dir: Path = Path("/etc/systemd/system"),
    run_dir: Path = Path("/run/scaleplan"),
    state_dir: Path = Path("/var/lib/scaleplan"),
    min_nodes: int = 2,
    also_written: Sequence[Path] = (),
) -> InstallPlan:
    """Work out what installing takes on this site; changes nothing.

    Parameters
    ----------
    config
        Of the running slurmctld.
    conf_dir
        Folder of slurm.conf.
    also_written
        Folders that the daemon writes to besides its own two: of the metrics file and of host files.
    """
    plan = InstallPlan()
    _check_site(plan, config, conf_dir)
    for path in (conf_dir, run_dir, state_dir, *also_written):
        if not _PLAIN_PATH.match(str(path)):
            plan.faults.append(f"{str(path)!r} is no plain path: letters, digits, '/', '.', '-' and '_'")
    submit = conf_dir / "job_submit.lua"
    module = conf_dir / MODULE_NAME
    try:
        site = submit.read_text(encoding="utf-8") if submit.exists() else None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(what="cannot read the site's submit script", where=submit, found=error) from error
    try:
        merged = merged_submit_script(site, module=module, heartbeat=run_dir / "heartbeat", min_nodes=min_nodes)
        fault = lua_fault(merged)
        if fault:
            plan.faults.append(f"{submit} would not be Lua: {fault}")
        elif fault is None:
            plan.warnings.append("no Lua interpreter here: the merged job_submit.lua was not checked (lua5.1 would do)")
    except InputError as error:
        plan.faults.append(str(error))
        merged = site or ""
    if site is not None and re.search(r"job_desc\s*\.\s*extra\s*=", site) and config.version < (23, 2):
        plan.faults.append(f"{submit} sets job_desc.extra, which crashes slurmctld 22.05 when a job is refused later")
    program = shutil.which("scaleplan") or f"{sys.executable} -m planner.cli"
    settings = etc_dir / "slurm.yaml"
    hook = etc_dir / "epilog_slurmctld.sh"
    user = config.slurm_user or "slurm"
    writable = " ".join(f"-{path}" for path in dict.fromkeys([run_dir, state_dir, *also_written]))
    for path, why, text, mode in (
        (module, "the Lua that parks jobs; slurmctld reads it with job_submit.lua", module_text(), 0o644),
        (submit, "one call at the end of the site's own script" if site else "a submit script", merged, 0o644),
        (settings, "the daemon's configuration", SETTINGS.format(run_dir=run_dir, state_dir=state_dir), 0o644),
        (hook, "wakes the planner when a job has ended", EPILOG_HOOK.format(run_dir=run_dir), 0o755),
        (
            unit_dir / "scaleplan-slurm.service",
            f"runs the daemon as {user}",
            UNIT.format(user=user, program=program, config=settings, writable=writable),
            0o644,
        ),
    ):
        old = path.read_text(encoding="utf-8") if path.exists() else None
        if path == settings and old is not None:
            continue  # the operator's own by now
        plan.changes.append(Change(path, why, text, mode, old))
    _by_hand(plan, config, hook)
    return plan


def _check_site(plan: InstallPlan, config: SiteConfig, conf_dir: Path) -> None:
    if config.version == (0, 0):
        plan.faults.append("slurmctld does not say its version: is it running, and may this user ask it?")
    elif config.version < (22, 5):
        plan.faults.append(f"Slurm {config.get('SLURM_VERSION')} is older than 22.05, the oldest tested")
    select = config.get("SelectType")
    if select and not select.endswith(("cons_tres", "cons_res", "linear")):
        plan.faults.append(f"SelectType={select} is not supported: cons_tres, cons_res or linear")
    if "gpu" not in config.get("GresTypes").split(","):
        plan.warnings.append("GresTypes has no gpu: nodes are planned by CPUs and memory alone")
    if config.topology_kind == "flat":
        plan.warnings.append("TopologyPlugin knows no network: give the daemon a fabric file, or write topology.conf")
    if config.topology_kind == "block":
        plan.warnings.append("topology/block: jobs without --segment are planned into whole blocks, as Slurm wants")
    if not conf_dir.is_dir():
        plan.faults.append(f"no folder {conf_dir}")
    elif not os.access(conf_dir, os.W_OK):
        plan.faults.append(f"this user may not write to {conf_dir}: run as root")


def _by_hand(plan: InstallPlan, config: SiteConfig, hook: Path) -> None:
    plugins = [name for name in config.get("JobSubmitPlugins").split(",") if name]
    if "lua" not in plugins:
        plan.by_hand.append(f"in slurm.conf: JobSubmitPlugins={','.join([*plugins, 'lua'])}")
    epilog = config.get("EpilogSlurmctld")
    if not epilog:
        plan.by_hand.append(f"in slurm.conf: EpilogSlurmctld={hook}")
    elif str(hook) not in epilog:
        plan.by_hand.append(
            f"in your own {epilog.split('[')[0]}: add the touch line of {hook} (or go without: it polls)"
        )
    if "batch_sched_delay" not in config.get("SchedulerParameters"):
        plan.by_hand.append(
            "in slurm.conf, for quick starts: SchedulerParameters=…,batch_sched_delay=1 (Slurm waits 3 s otherwise)"
        )
    if plan.by_hand:
        plan.by_hand.append("then restart slurmctld, or scontrol reconfigure, at a time that suits you")
    plan.by_hand.append("systemctl daemon-reload && systemctl enable --now scaleplan-slurm")
    plan.by_hand.append("watch it observe for a day (scaleplan slurm report), then set mode: pin")


def apply_plan(plan: InstallPlan) -> list[Path]:
    """Write the files; a site's own file is kept beside, once.

    Returns
    -------
    list
        What was written.

    Raises
    ------
    InputError
        If the plan has faults.
    OutputError
        If a file cannot be written; those before it are.
    """
    if plan.faults:
        raise InputError(what="cannot install", found=plan.faults[0], fix="mend it, then try again")
    written = []
    for change in plan.changes:
        if not change.is_needed:
            continue
        try:
            change.path.parent.mkdir(parents=True, exist_ok=True)
            if change.old is not None and BEGIN not in change.old and not change.backup.exists():
                write_whole(change.backup, change.old, mode=0o600)
            write_whole(change.path, change.text, mode=change.mode)
        except OSError as error:
            raise OutputError(what="cannot write", where=change.path, found=error.strerror or error) from error
        written.append(change.path)
    return written


def _without_our_block(text: str) -> str | None:
    """Return a submit script without our call; ``None`` if it has none."""
    head, begin, rest = text.partition(BEGIN + "\n")
    _, end, tail = rest.partition(END + "\n")
    return head + tail if begin and end else None


def remove_install(plan: InstallPlan, *, apply: bool) -> list[str]:
    """Take everything back: restore the site's files, remove ours; the configuration and the journal stay.

    Returns
    -------
    list
        What is done, or would be.
    """
    done = []
    for change in plan.changes:
        if change.old is None:
            continue
        own = _without_our_block(change.old)
        if own is not None and change.backup.exists() and own != change.backup.read_text(encoding="utf-8"):
            done.append(f"take our call out of {change.path}, which was edited since; {change.backup.name} is kept")
            if apply:
                write_whole(change.path, own, mode=change.mode)
        elif change.backup.exists():
            done.append(f"restore {change.path} from {change.backup.name}")
            if apply:
                change.backup.replace(change.path)
        elif change.path.name != "job_submit.lua" or change.old.startswith(NEW_SUBMIT.partition("\n")[0]):
            done.append(f"remove {change.path}")
            if apply:
                change.path.unlink()
    return done
