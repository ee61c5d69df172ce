"""The folder of a run: written, locked, read back, judged, handed over."""
