"""The training loop, and what it drives: collecting, updates, evaluation, checkpoints."""
