"""Entries of rl-zoo (Stable-Baselines3) read, and their hyper-parameters translated to knobs."""
