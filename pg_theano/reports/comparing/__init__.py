"""Comparison of runs: reading and grouping them, their scales, the table and the figure."""
