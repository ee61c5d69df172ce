"""The bridge: graph -> gradient -> machine code -> cache. What it gives back are pure functions of arrays."""
