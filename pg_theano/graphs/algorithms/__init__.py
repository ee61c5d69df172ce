"""One file for each algorithm: its inputs, loss, gradient and updates."""
