"""NCCL's own choices: its tuning model, its graph search, and what it picks for a size."""
