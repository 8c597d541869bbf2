"""The texts of the files that `scaleplan slurm install` writes, beside the Lua module."""

from __future__ import annotations

__all__ = ["EPILOG_HOOK", "NEW_SUBMIT", "SETTINGS", "UNIT"]

NEW_SUBMIT = """\
-- job_submit.lua, made by scaleplan: the site had none.

function slurm_job_submit(job_desc, part_list, submit_uid)
   return slurm.SUCCESS
end

function slurm_job_modify(job_desc, job_rec, part_list, modify_uid)
   return slurm.SUCCESS
end

return slurm.SUCCESS
"""

UNIT = """\
[Unit]
Description=scaleplan: places parked Slurm jobs
After=slurmctld.service
Documentation=man:scontrol(1)

[Service]
Type=simple
User={user}
ExecStart={program} slurm serve --config {config}
ExecStopPost=-{program} slurm release --config {config}
Restart=always
RestartSec=1
RuntimeDirectory=scaleplan
RuntimeDirectoryMode=0750
RuntimeDirectoryPreserve=yes
StateDirectory=scaleplan
StateDirectoryMode=0700
MemoryMax=1G
Nice=5
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=read-only
ReadWritePaths={writable}
PrivateTmp=yes
PrivateDevices=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
UMask=0027

[Install]
WantedBy=multi-user.target
"""

EPILOG_HOOK = """\
#!/bin/sh
# EpilogSlurmctld of scaleplan: tells the planner that nodes have become free. Runs as SlurmUser, never fails.
umask 027
touch {run_dir}/wake 2>/dev/null
exit 0
"""

SETTINGS = """\
# scaleplan's Slurm daemon. Every key with its default; see docs/slurm.md.

# observe: writes what it would have done, touches nothing else. Run this first.
# prefer:  parks jobs and asks Slurm softly (--prefer, --switches).
# pin:     parks jobs and chooses their nodes.
mode: observe

# A new job of two or more nodes is parked for this long at most; if the planner dies, Slurm starts it then.
park_s: 60

# Time for one plan, and between two looks at the queue.
plan_budget_s: 2.0
poll_s: 1.0

# Jobs of fewer nodes are left to Slurm.
min_nodes: 2

# A job parked for longer, or planned this often in vain, is handed to Slurm.
max_parked_s: 3600
max_tries: 3

# A fabric file of the real network; without one Slurm's own topology is used, with this oversubscription assumed.
# fabric: /etc/scaleplan/fabric.yaml
oversubscription: 2.0

# A pinned job that Slurm has not started after this time, though its nodes are free, is handed to Slurm.
start_grace_s: 30

# A job that could start now, but on more leaf switches than its size needs, waits so long for better nodes while jobs
# behind it go on. A few per cent of the usual run time lower the load on the network at no cost in waiting; 0: never.
patience_s: 0

# Jobs looked at in one plan, in priority order; the solver (leaf-fit needs none); its seed.
plan_depth: 1000
solver: cp-sat
seed: 0

# Only these partitions; none for all. What jobs of a partition do when their comment says nothing.
partitions: []
defaults: {{}}

# Folders of heartbeat, socket and wake file, and of the journal. Run install --apply again after changing any of these
# four: the unit names the folders that the daemon may write.
run_dir: {run_dir}
state_dir: {state_dir}
# metrics_file: /var/lib/prometheus/node-exporter/scaleplan.prom
# host_file_dir: /shared/scaleplan/hosts

# Folder of scontrol and squeue, and slurm.conf, where they are not in the usual places.
# slurm_bin_dir: /opt/slurm/bin
# slurm_conf: /etc/slurm/slurm.conf
"""
