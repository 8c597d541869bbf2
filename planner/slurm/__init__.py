"""Slurm: batch placement from outside the controller (park, plan, pin).

Nothing of ours runs inside ``slurmctld`` but a short Lua that gives new jobs a begin time a few seconds ahead. The
daemon plans the parked batch and speaks to Slurm through ``scontrol`` and ``squeue`` only.
"""
