"""Learning bands: whether a task is still learned as well as it was, judged by the interquartile mean over seeds.

    python benchmarks/bands.py            # the reference's bands: what raises an alarm, how often falsely, what is seen
    python benchmarks/bands.py --keep benchmarks/results/torture-bands.jsonl      # a new reference, of these scores

A reference is the scores of N seeds. Another N seeds, after a change, raise an alarm where their interquartile mean
falls short of the reference's by more than a margin. Both are samples, so the margin comes from what two samples of
the same scores differ by: resampled from the reference, and widened by √(N/(N−1)), as a sample of N scatters that much
less about its own mean than about the true one.

    margin          exceeded by a share α of the differences of two resampled interquartile means
    false alarms    the share of fresh pairs of resamples, nothing changed, whose difference exceeds it: 1 in 100; where
                    the scores are normal and the reference is 20 of them, 1 in 65 of trainings (tests/test_bands.py)
    smallest drop   of every score, that raises an alarm nine times in ten
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pg_theano.runs import statistics

REFERENCE = Path(__file__).resolve().parent / "bands.json"
ALPHA, POWER, RESAMPLES = 0.01, 0.9, 20_000


class Band(NamedTuple):
    """What N seeds of a task reach, and what N others must."""

    number: int
    iqm: float
    low: float  # 95 % bootstrap interval of it
    high: float
    margin: float  # an alarm where another N fall short of `iqm` by more
    false_alarms: float  # measured share, at α = 0.01
    smallest_drop: float  # seen nine times in ten


def resampled(scores: np.ndarray, rng: np.random.Generator, *, widened: bool) -> np.ndarray:
    """Interquartile means of as many scores, drawn again and again from them. [RESAMPLES]"""
    number = len(scores)
    (drawn,) = statistics.resampled([scores], rng, RESAMPLES)
    if widened:
        drawn = scores.mean() + (drawn - scores.mean()) * np.sqrt(number / (number - 1))
    return statistics.interquartile_mean(drawn)


def band(scores: Any, seed: int = 0) -> Band:
    """The band of some scores, higher being better."""
    scores, rng = np.asarray(scores, float), np.random.default_rng(seed)

    def shortfalls() -> np.ndarray:
        return resampled(scores, rng, widened=True) - resampled(scores, rng, widened=True)

    low, high = statistics.interval(resampled(scores, rng, widened=False))
    margin = float(np.quantile(shortfalls(), 1 - ALPHA))
    unchanged = shortfalls()
    drop = margin - float(np.quantile(unchanged, 1 - POWER))
    alarms = float(np.mean(unchanged > margin))
    return Band(
        len(scores), float(statistics.interquartile_mean(scores)), float(low), float(high), margin, alarms, drop
    )


def falls_short(band: Band, scores: Any) -> bool:
    """Whether other scores raise the alarm."""
    return bool(statistics.interquartile_mean(scores) < band.iqm - band.margin)


def read_reference() -> dict[str, list[float]]:
    """Scores by task, of seeds 0, 1, 2, ..."""
    return json.loads(REFERENCE.read_text())["scores"] if REFERENCE.exists() else {}


def keep(path: Path) -> None:
    """Take the scores of a measurement of `benchmarks/torture --only bands` for the reference."""
    scores: dict[str, list[float]] = {}
    commits = set()
    for line in path.read_text().splitlines():
        cell = json.loads(line)
        scores.setdefault(cell["key"]["cell"].partition(",")[0], []).extend(cell["values"]["scores"])
        commits.add(cell["values"]["commit"])
    source = {"made_by": "benchmarks/torture --only bands", "commits": sorted(commits)}
    lines = [f'  "{task}": {json.dumps(values)}' for task, values in scores.items()]
    REFERENCE.write_text(f'{{"source": {json.dumps(source)},\n"scores": {{\n' + ",\n".join(lines) + "\n}}\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, metavar="CELLS.jsonl", help="take these scores for the reference first")
    options = parser.parse_args()
    if options.keep:
        keep(options.keep)
    for task, scores in read_reference().items():
        found = band(scores)
        print(
            f"{task}: interquartile mean of {found.number} seeds {found.iqm:.1f} (95 %: {found.low:.1f} to "
            f"{found.high:.1f}); alarm below {found.iqm - found.margin:.1f}; false alarms "
            f"{100 * found.false_alarms:.1f} %; smallest drop seen nine times in ten {found.smallest_drop:.1f}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
