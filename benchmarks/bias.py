"""What each estimator of the policy gradient expects, beside the exact gradient of a task that is enumerated.

python benchmarks/bias.py             # about a minute
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "tests"), str(HERE.parent)]

import helpers_exact as exact  # noqa: E402
from measuring import table  # noqa: E402


def row(estimator: exact.Estimator) -> list[str]:
    found = exact.measured(estimator)
    return [estimator.name, f"{found.bias:.1e}", f"{found.angle:.2f}", estimator.why or "none"]


def main() -> int:
    head = ["estimator", "‖𝔼[ĝ] − ∇J‖ / ‖∇J‖", "angle, degrees", "bias"]
    print(table(head, [row(estimator) for estimator in (*exact.UNBIASED, *exact.BIASED)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
