"""Placement by OR-Tools CP-SAT: alike hosts are counted, not listed; the bound is kept; hosts are named at the end."""
