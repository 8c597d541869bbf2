"""Collectives: what they cost by closed form and by NCCL's own tuning, and the traffic they put on links."""
