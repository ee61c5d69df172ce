"""Seconds of a compiled scan with small stacked outputs, by its length: the exponent says whether it is linear.

    python benchmarks/scans.py                             # with the jaxlib of this Python
    python benchmarks/scans.py /tmp/a/bin/python /tmp/b/bin/python     # with that of each of these, which need only JAX

Rollouts, minibatches and conjugate gradients are scans. jaxlib 0.11.1 copies a small stack whole at every step: a scan
of n steps then costs n², which is why `pyproject.toml` excludes it. A new minor version is measured so before the range
in `pyproject.toml` admits it.
"""

from __future__ import annotations

import platform
import subprocess
import sys
import time

import numpy as np

LENGTHS = (2000, 4000, 8000, 16000)
WIDTHS = (1, 4)
REPEATS = 5
MOST = 1.3
"""The largest exponent that counts as linear."""


def seconds(width: int, length: int) -> float:
    """The least of some calls of a scan that carries four numbers and stacks `width` of them a step."""
    import jax

    def step(carry, _):
        carry = 0.999 * carry + 0.001
        return carry, carry[:width]

    run = jax.jit(lambda carry: jax.lax.scan(step, carry, None, length=length))
    start, least = np.ones(4, np.float32), float("inf")
    jax.block_until_ready(run(start))  # compiles
    for _ in range(REPEATS):
        begun = time.perf_counter()
        jax.block_until_ready(run(start))
        least = min(least, time.perf_counter() - begun)
    return least


def exponent(measured: list[float]) -> float:
    """The slope of log seconds over log length."""
    return float(np.polyfit(np.log(LENGTHS), np.log(measured), 1)[0])


def rows() -> bool:
    """Print a row of the table for each width, and say whether all are linear."""
    import jaxlib

    linear = True
    for width in WIDTHS:
        measured = [seconds(width, length) for length in LENGTHS]
        slope = exponent(measured)
        linear &= slope <= MOST
        cells = " | ".join(f"{1000 * value:.3g}" for value in measured)
        print(f"| {jaxlib.__version__} | {platform.python_version()} | {width} | {cells} | {slope:.2f} |", flush=True)
    return linear


def main() -> int:
    if "--rows" in sys.argv:
        return 0 if rows() else 1
    print(f"| jaxlib | Python | numbers a step | {' | '.join(f'{n:,} steps, ms' for n in LENGTHS)} | exponent |")
    print("|---|---|---:|" + "---:|" * (len(LENGTHS) + 1), flush=True)
    pythons = sys.argv[1:] or [sys.executable]
    return max(subprocess.run([python, __file__, "--rows"], check=False).returncode for python in pythons)


if __name__ == "__main__":
    sys.exit(main())
