"""Floor 2: jobs, collectives, congestion, studies, Slurm and the command line."""
