"""Files of jobs, cluster state and placements: read strictly, written whole or not at all."""
