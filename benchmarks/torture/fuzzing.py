"""atheris (libFuzzer) on one reader of tests/helpers_fuzz.py: `python fuzzing.py READER RUNS SEED OUT.json`.

What it finds is counted by where it was raised, with the shortest input of each; a unit that takes over 20 seconds or
the process over 2 GB ends it without OUT.json, which is a failure as well.
"""

from __future__ import annotations

import base64
import json
import re
import sys
import tempfile
import traceback
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["pg_theano", "yaml", "zipfile", "json"]):
    import helpers_fuzz

from pg_theano.types import UserError


def main() -> None:
    reader, executions, seed, out = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    read = helpers_fuzz.READERS[reader]
    scratch = Path(tempfile.mkdtemp(dir=out.parent))
    given, valid = scratch / "files", scratch / "corpus"
    given.mkdir()
    valid.mkdir()
    files = helpers_fuzz.corpus(scratch)[reader]
    for number, content in enumerate(files):
        (valid / str(number)).write_bytes(content)
    words = sorted({word.decode() for content in files for word in re.findall(rb"[A-Za-z_.]{3,40}", content)})
    known = scratch / "words"  # a letter's change in a knob's name is an unknown knob: whole names lead further
    known.write_text("".join(f'"{word}"\n' for word in words))
    done = {"executions": 0, "refused": 0, "read": 0}
    faults: dict[str, bytes] = {}

    def one(content: bytes) -> None:
        try:
            read(given, content)
            done["read"] += 1
        except UserError:
            done["refused"] += 1
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}: {str(error)[:200]}"
            if where not in faults or len(content) < len(faults[where]):
                faults[where] = content
        done["executions"] += 1
        if done["executions"] == executions:
            shown = {where: base64.b64encode(content).decode() for where, content in list(faults.items())[:20]}
            out.write_text(json.dumps(done | {"faults": shown}))

    limits = ["-timeout=20", "-rss_limit_mb=2048", "-max_len=4096", "-verbosity=0", "-print_final_stats=0"]
    atheris.Setup([sys.argv[0], f"-runs={executions}", f"-seed={seed}", f"-dict={known}", *limits, str(valid)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
