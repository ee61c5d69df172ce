"""Long: memory, files and figures of runs of up to 200,000 updates"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping

from measuring import ROOT
from part import Figures, Part, Row

sys.path.insert(0, str(ROOT / "tests"))
from helpers_long import MOST_BYTES, MOST_FILES, MOST_OTHER_BYTES

UPDATES = {"ppo, compiled": 200_000, "reinforce": 40_000, "population": 40_000, "ppo": 20_000, "by hand": 20_000}


def measured(kind: str, updates: int) -> Figures:
    """What `tests/helpers_long.py` prints; the quick form of this is tests/test_long.py."""
    script = [sys.executable, str(ROOT / "tests" / "helpers_long.py"), kind, str(updates)]
    surroundings = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    done = subprocess.run(script, capture_output=True, text=True, env=surroundings, timeout=3600)
    return {"error": done.stderr[-500:]} if done.returncode else json.loads(done.stdout)


def rows(cells: Mapping[str, Figures]) -> list[Row]:
    if "drawn" not in cells or len(cells) < 2:
        return []
    drawn, found = cells["drawn"], {kind: one for kind, one in cells.items() if kind != "drawn"}

    def each(text: str) -> str:
        return "; ".join(f"{kind} ({one['updates']:,}): {text.format(**one)}" for kind, one in found.items())

    longest = max(found.values(), key=lambda one: one["updates"])
    return [
        Row(
            "200,000 updates of a tiny task: memory at the end within 5 % of that after 1,000",
            each("{growth:+.2%}"),
            all(one["growth"] <= 0.05 for one in found.values()) and longest["updates"] >= 200_000,
        ),
        Row(
            f"files as documented: {MOST_BYTES} bytes an update in metrics.jsonl at most, all else under "
            f"{MOST_OTHER_BYTES // 1000} kB",
            each("{bytes_an_update:.0f} bytes an update, {files} files, the others {other_bytes:,} bytes"),
            all(
                one["bytes_an_update"] <= MOST_BYTES
                and one["other_bytes"] <= MOST_OTHER_BYTES
                and one["files"] <= MOST_FILES
                for one in found.values()
            ),
        ),
        Row(
            "plot and report of 200,000 updates in seconds (10 each)",
            "{plot_seconds:.1f} and {report_seconds:.1f} s, a page of {report_bytes:,} bytes".format(**drawn),
            drawn["plot_seconds"] <= 10 and drawn["report_seconds"] <= 10,
        ),
    ]


PART = Part(
    {kind: lambda kind=kind, updates=updates: measured(kind, updates) for kind, updates in UPDATES.items()}
    | {"drawn": lambda: measured("drawn", 200_000)},
    rows,
)
