"""A crowd: 16 runs at once on one cache folder and one runs folder, all caches empty"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping

from measuring import ROOT
from part import Figures, Part, Row

NUMBER = 16


def measured() -> Figures:
    """What `tests/helpers_crowd.py` prints; the quick form of this is tests/test_crowd.py."""
    script = [sys.executable, str(ROOT / "tests" / "helpers_crowd.py"), str(NUMBER)]
    done = subprocess.run(script, capture_output=True, text=True, env=dict(os.environ), timeout=3600)
    return {"error": done.stderr[-500:]} if done.returncode else json.loads(done.stdout)


def rows(found: Mapping[str, Figures]) -> list[Row]:
    one = found["sixteen"]
    ended = sum(code == 0 for code in one["codes"])
    return [
        Row(
            "16 runs at once: none fails, each in a folder of its own",
            f"{ended} of {NUMBER} ended well, in {len(one['runs'])} folders, in {one['seconds']:.0f} s together",
            ended == NUMBER == len(one["runs"]) and not one["said"],
        ),
        Row(
            "each equals a run that was alone, bit for bit",
            f"{one['equal']} of {NUMBER}",
            one["equal"] == NUMBER,
        ),
        Row(
            "their cache is whole, and serves the next run",
            f"{one['artifacts']} artifacts, {len(one['damaged'])} damaged; {len(one['temporary'])} temporary files; "
            f"the next run built {'some' if one['after']['built'] else 'nothing'}",
            not one["damaged"]
            and not one["temporary"]
            and one["artifacts"] > 0
            and one["after"] == {"code": 0, "built": False, "said": ""},
        ),
    ]


PART = Part({"sixteen": measured}, rows)
