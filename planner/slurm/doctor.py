"""``scaleplan slurm doctor``: what would break, one check a fault, each with what to do."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from planner.slurm.commands import CommandError, SlurmCommands
from planner.slurm.control import ask_daemon
from planner.slurm.install import BEGIN, MODULE_NAME, module_text
from planner.slurm.lifecycle import is_parked
from planner.slurm.read_jobs import read_details, read_queue
from planner.slurm.read_site import read_config, read_nodes, read_partitions
from planner.slurm.read_topology import read_topology
from planner.slurm.records import SiteConfig
from planner.slurm.settings import SlurmSettings
from planner.slurm.updates import PARKED, PINNED
from topologies.errors import ScaleplanError
from topologies.formats.slurm_files import check_topology_conf

__all__ = ["Finding", "examine"]

Grade = Literal["ok", "warning", "fault"]
_MAX_AGE_S = 5


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes
    ----------
    what, fix
        In words; the fix is empty when all is well.
    """

    grade: Grade
    what: str
    fix: str = ""


def examine(settings: SlurmSettings, commands: SlurmCommands) -> list[Finding]:
    """Run every check; a check that cannot be made says so and stops none of the others."""
    try:
        config = read_config(commands)
    except ScaleplanError as error:
        return [Finding("fault", f"slurmctld does not answer: {error}", "start it, and run this where scontrol works")]
    conf_dir = Path(config.get("SLURM_CONF") or "/etc/slurm/slurm.conf").parent
    findings: list[Finding] = []
    checks: tuple[Callable[[], Iterator[Finding]], ...] = (
        lambda: check_release(config),
        lambda: check_rights(config),
        lambda: check_submit_plugin(config, conf_dir, settings),
        lambda: check_scheduler(config),
        lambda: check_memory_of_jobs(config, settings),
        lambda: check_topology(config, conf_dir, commands),
        lambda: check_nodes(commands),
        lambda: check_fabric(settings, commands),
        lambda: check_folders(settings),
        lambda: check_heartbeat(settings),
        lambda: check_daemon(settings),
        lambda: check_stale_marks(settings, commands),
    )
    for check in checks:
        try:
            findings += check()
        except (ScaleplanError, OSError) as error:
            findings.append(Finding("warning", f"a check could not be made: {error}"))
    return findings


def check_release(config: SiteConfig) -> Iterator[Finding]:
    """Check that this is a Slurm that the daemon knows."""
    version = config.get("SLURM_VERSION")
    if config.version < (22, 5):
        yield Finding("fault", f"Slurm {version or 'of an unknown release'}", "22.05 is the oldest that is tested")
    else:
        yield Finding("ok", f"Slurm {version}, {config.get('SelectType')}, {config.get('TopologyPlugin')}")
    if not config.get("SelectType").endswith(("cons_tres", "cons_res", "linear")):
        yield Finding("fault", f"SelectType={config.get('SelectType')}", "select/cons_tres is what this is made for")


def check_rights(config: SiteConfig) -> Iterator[Finding]:
    """Check that this user may change other users' jobs."""
    import pwd

    user = pwd.getpwuid(os.geteuid()).pw_name
    if user in ("root", config.slurm_user):
        yield Finding("ok", f"{user} may update jobs")
    else:
        yield Finding(
            "warning", f"{user} is neither root nor SlurmUser ({config.slurm_user})", "run the daemon as SlurmUser"
        )


def check_submit_plugin(config: SiteConfig, conf_dir: Path, settings: SlurmSettings) -> Iterator[Finding]:
    """Check that the Lua is in place, whole, and of this version."""
    if "lua" not in config.get("JobSubmitPlugins").split(","):
        yield Finding(
            "warning" if settings.mode == "observe" else "fault",
            "JobSubmitPlugins has no lua: no job is parked",
            "scaleplan slurm install says what to add to slurm.conf",
        )
        return
    script = conf_dir / "job_submit.lua"
    text = script.read_text(encoding="utf-8", errors="replace") if script.exists() else ""
    if BEGIN not in text:
        yield Finding("fault", f"{script} does not call scaleplan", "scaleplan slurm install --apply")
        return
    module = conf_dir / MODULE_NAME
    if not module.exists() or module.read_text(encoding="utf-8", errors="replace") != module_text():
        yield Finding("fault", f"{module} is not of this version", "scaleplan slurm install --apply")
    elif str(settings.heartbeat_path) not in text:
        yield Finding(
            "fault", f"{script} looks for another heartbeat than {settings.heartbeat_path}", "scaleplan slurm install"
        )
    else:
        yield Finding("ok", f"{script} parks jobs while the planner is alive")
    if "job_desc.extra" in text and config.version < (23, 2):
        yield Finding("fault", f"{script} uses job_desc.extra, which can crash slurmctld 22.05", "take it out")


def check_scheduler(config: SiteConfig) -> Iterator[Finding]:
    """Check that Slurm starts released jobs soon."""
    parameters = config.get("SchedulerParameters").split(",")
    if not any(word.startswith("batch_sched_delay=") for word in parameters):
        yield Finding(
            "warning",
            "Slurm waits up to 3 s before it starts a released job (batch_sched_delay)",
            "SchedulerParameters=batch_sched_delay=1",
        )
    if config.get("SchedulerType") not in ("", "sched/backfill"):
        yield Finding("warning", f"SchedulerType={config.get('SchedulerType')}", "sched/backfill is what is tested")


def check_memory_of_jobs(config: SiteConfig, settings: SlurmSettings) -> Iterator[Finding]:
    """Check that Slurm tells of ended jobs for long enough, and tells the daemon when one ends."""
    age = config.get("MinJobAge").split()
    least_s = max(10, 5 * settings.poll_s)
    if age and age[0].isdigit() and int(age[0]) < least_s:
        yield Finding(
            "warning",
            f"MinJobAge={age[0]}: Slurm forgets jobs before the journal learns where they ran",
            f"MinJobAge={least_s:.0f} or more (Slurm's default is 300)",
        )
    if not config.get("EpilogSlurmctld"):
        yield Finding(
            "warning",
            f"no EpilogSlurmctld: ended jobs are noticed every {settings.poll_s:g} to {4 * settings.poll_s:g} s only",
            "scaleplan slurm install says what to add to slurm.conf",
        )


def check_topology(config: SiteConfig, conf_dir: Path, commands: SlurmCommands) -> Iterator[Finding]:
    """Check that Slurm knows the network, and that its file would survive the next reconfigure."""
    topology = read_topology(commands)
    if topology.kind == "flat":
        yield Finding("warning", "Slurm knows no network", "scaleplan slurm topology writes the file from a fabric")
        return
    yield Finding("ok", f"topology/{topology.kind}, {len(topology.leaves)} leaf switches or blocks")
    path = conf_dir / "topology.conf"
    if path.exists():
        known = {node.name for node in read_nodes(commands)}
        for fault in check_topology_conf(path.read_text(encoding="utf-8", errors="replace"), known=known)[:5]:
            grade: Grade = "warning" if "nodes are in no" in fault else "fault"
            yield Finding(grade, f"{path}: {fault}", "mend it before slurmctld is restarted or reconfigured")
    if topology.kind == "block" and config.version < (24, 5):
        yield Finding(
            "warning", "topology/block without --segment (from 24.05)", "jobs are planned into whole blocks only"
        )


def check_nodes(commands: SlurmCommands) -> Iterator[Finding]:
    """Check that there are nodes with GPUs, and partitions that hold them."""
    nodes = read_nodes(commands)
    gpus = sum(node.gpus for node in nodes)
    down = [node.name for node in nodes if not node.is_up]
    yield Finding("ok" if nodes else "fault", f"{len(nodes)} nodes, {gpus} GPUs, {len(down)} nodes take no jobs")
    if nodes and not gpus:
        yield Finding("warning", "no node has GPUs", "set Gres=gpu:… in slurm.conf and gres.conf (with File=)")
    if not read_partitions(commands):
        yield Finding("fault", "no partition", "add a PartitionName line to slurm.conf")


def check_fabric(settings: SlurmSettings, commands: SlurmCommands) -> Iterator[Finding]:
    """Check that the fabric file knows Slurm's nodes."""
    if settings.fabric is None:
        return
    from topologies.files.fabric_file import load_fabric

    fabric = load_fabric(settings.fabric)
    names = {str(fabric.host_names[i]) for i in range(fabric.num_hosts)}
    unknown = [node.name for node in read_nodes(commands) if node.name not in names]
    if unknown:
        yield Finding(
            "fault",
            f"{settings.fabric} does not know {len(unknown)} of Slurm's nodes, {unknown[0]} first",
            "name them alike",
        )
    else:
        yield Finding("ok", f"{settings.fabric} knows every node")


def check_folders(settings: SlurmSettings) -> Iterator[Finding]:
    """Check that the daemon's folders are closed to others and have room."""
    for text in (settings.run_dir, settings.state_dir):
        folder = Path(text)
        if not folder.is_dir():
            yield Finding("warning", f"no folder {folder} yet", "the daemon or its unit makes it")
            continue
        mode = stat.S_IMODE(folder.stat().st_mode)
        if mode & 0o007:
            yield Finding("fault", f"{folder} is open to everyone ({mode:04o})", f"chmod o-rwx {folder}")
        space = os.statvfs(folder)
        if space.f_bavail * space.f_frsize < 64 * 2**20:
            yield Finding("warning", f"{folder}: less than 64 MiB free", "without a journal nothing is planned")


def check_heartbeat(settings: SlurmSettings) -> Iterator[Finding]:
    """Check that the Lua would find the heartbeat fresh."""
    path = settings.heartbeat_path
    if not path.exists():
        yield Finding("warning", "no heartbeat: jobs go straight to Slurm", "start the daemon")
        return
    words = path.read_text(errors="replace").split()
    age_s = time.time() - float(words[2]) if len(words) > 2 and words[2].isdigit() else float("inf")
    if not -1 <= age_s <= _MAX_AGE_S:
        yield Finding("warning", f"the heartbeat is {age_s:.0f} s old: jobs go straight to Slurm", "start the daemon")
    else:
        yield Finding("ok", "the heartbeat is fresh")


def check_daemon(settings: SlurmSettings) -> Iterator[Finding]:
    """Check that the daemon answers and is well."""
    if not settings.socket_path.exists():
        return
    status = ask_daemon(settings.socket_path, "status", timeout_s=5)
    if status.get("degraded"):
        yield Finding("fault", "the journal cannot be written: jobs go to Slurm unplanned", "make room on the disk")
    elif status.get("failures_in_a_row"):
        yield Finding("warning", f"{status['failures_in_a_row']} cycles failed in a row", "see its log")
    else:
        yield Finding("ok", f"the daemon runs in mode {status.get('mode')}")
    if status.get("mode") != settings.mode:
        yield Finding(
            "warning", f"the daemon runs in mode {status.get('mode')}, the file says {settings.mode}", "restart it"
        )


def check_stale_marks(settings: SlurmSettings, commands: SlurmCommands) -> Iterator[Finding]:
    """Check that no job waits for a planner that is not there."""
    try:
        jobs = [job for job in read_queue(commands) if job.is_pending]
        details = read_details(commands, [job.job_id for job in jobs])
        up = {node.name for node in read_nodes(commands) if node.is_up}
    except CommandError as error:
        yield Finding("warning", f"the queue could not be read: {error}")
        return
    marks = {job.ref: details[job.job_id].admin_comment for job in jobs if job.job_id in details}
    stuck = [job.ref for job in jobs if PINNED in marks.get(job.ref, "") and not set(job.req_nodes) <= up]
    if stuck:
        yield Finding(
            "fault",
            f"{len(stuck)} jobs are pinned to nodes that take no jobs: {', '.join(stuck[:10])}",
            "scaleplan slurm release",
        )
    parked = sum(PARKED in marks.get(job.ref, "") and is_parked(job, time.time()) for job in jobs)
    if parked and not settings.socket_path.exists():
        yield Finding("warning", f"{parked} jobs are parked and no daemon runs", "they start by themselves; or release")
