"""Runs a submission on what is given, in a process of its own: `python child.py WANTED.json ANSWERS.json`.

It imports nothing of the package. What it takes in and gives is JSON: numbers, lists, and arrays as
`{"dtype": ..., "shape": ..., "data": [...]}`. Answers that are no such thing, and whatever the submission raises, are
one line of text under "error".
"""

from __future__ import annotations

import ast
import copy
import json
import os
import runpy
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

TOO_LONG = 75  # exit code of a submission that took longer than it may
SEEDS = range(5)
QUIET = {"PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""Set for a child: it leaves nothing behind, and takes one core."""
JUDGED_ON, THRESHOLD, KNOWS_NOTHING = 20, 475.0, 200.0


def packed(value: Any) -> Any:
    """As JSON; what is no number, no array and no tuple of them is a `TypeError`."""
    if isinstance(value, dict):
        return {name: packed(one) for name, one in value.items()}
    try:
        array = np.asarray(value)
    except ValueError:  # parts of several shapes
        return [packed(one) for one in value]
    if array.dtype.kind not in "biuf":
        raise TypeError(f"returns {type(value).__name__}; expected numbers")
    return {"dtype": str(array.dtype), "shape": list(array.shape), "data": array.astype(float).ravel().tolist()}


def unpacked(value: Any) -> Any:
    """What was packed; numbers as Python's own, but for those with fewer digits."""
    if isinstance(value, list):
        return [unpacked(one) for one in value]
    if "dtype" not in value:
        return {name: unpacked(one) for name, one in value.items()}
    array = np.array(value["data"], float).reshape(value["shape"]).astype(value["dtype"])
    return array if array.ndim or array.dtype.itemsize < 8 else array.item()


def imports_of(source: str) -> str | None:
    """The first module of this project's that a submission imports."""
    for node in ast.walk(ast.parse(source)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        for name in names:
            if name.partition(".")[0] == "pg_theano":
                return name
    return None


def answered(function: Callable[..., Any], case: dict[str, Any]) -> Any:
    """What a function gives for a case, or {"error": ...}."""
    try:
        found = function(**copy.deepcopy(case))
        return {"error": "returns None; expected numbers; try a `return`"} if found is None else packed(found)
    except Exception as error:
        return {"error": told(error)}


def told(error: BaseException) -> str:
    """An exception and the line of the submission where it arose, as one line."""
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == sys.argv[0]:
            line = trace.tb_lineno
        trace = trace.tb_next
    if isinstance(error, SyntaxError) and error.lineno:
        return f"line {error.lineno}: SyntaxError: {error.msg}"
    if isinstance(error, NotImplementedError) and not str(error):
        return f"line {line}: not written yet"
    words = " ".join(str(error).split())[:200]
    return f"{f'line {line}: ' if line else ''}{type(error).__name__}{f': {words}' if words else ''}"


class Counted:
    """An environment that begins at most so many episodes."""

    def __init__(self, env: Any, most: int):
        self.env, self.most, self.begun = env, most, 0
        self.observation_space, self.action_space = env.observation_space, env.action_space

    def reset(self, **options: Any) -> Any:
        self.begun += 1
        if self.begun > self.most:
            raise RuntimeError(f"began episode {self.begun}; expected at most {self.most}")
        return self.env.reset(**options)

    def step(self, action: Any) -> Any:
        return self.env.step(int(action))


def learned(learn: Callable[..., Any], episodes: int) -> dict[str, Any]:
    """Mean returns on five seeds, and of what has not learned; or {"error": ...}."""
    import gymnasium

    def judged(seed: int, number: int) -> float:
        policy = learn(Counted(gymnasium.make("CartPole-v1"), number or 1), seed, number)
        env, total = gymnasium.make("CartPole-v1"), 0.0
        for episode in range(JUDGED_ON):
            obs, _ = env.reset(seed=10_000 + 100 * seed + episode)
            over = False
            while not over:
                obs, reward, terminated, truncated, _ = env.step(int(policy(obs)))
                total, over = total + float(reward), terminated or truncated
        return total / JUDGED_ON

    try:
        return {"untrained": judged(0, 0), "trained": [judged(seed, episodes) for seed in SEEDS]}
    except Exception as error:
        return {"error": told(error)}


def watched(seconds: float) -> None:
    """End this process once it has computed for so long: an endless loop never comes back."""

    def look() -> None:
        while time.process_time() < until:
            time.sleep(0.02)
        os._exit(TOO_LONG)

    until = time.process_time() + seconds
    threading.Thread(target=look, daemon=True).start()


def run(path: Path, wanted: dict[str, Any]) -> dict[str, Any]:
    """The answers of a submission to all cases."""
    try:
        if own := imports_of(path.read_text("utf-8")):
            return {"error": f"imports {own}; expected NumPy and what you write yourself"}
        found = runpy.run_path(str(path), run_name="submission")
    except (Exception, SystemExit) as error:
        return {"error": told(error)}
    for name in (wanted["function"], *(["learn"] if wanted["learns"] else [])):
        if not callable(found.get(name)):
            return {"error": f"has no function {name}; expected {wanted['signature']}"}
    answers: dict[str, Any] = {
        "answers": [answered(found[wanted["function"]], unpacked(case)) for case in wanted["cases"]]
    }
    if wanted["learns"] and not any("error" in one for one in answers["answers"]):
        answers["learned"] = learned(found["learn"], wanted["learns"])
    return answers


def main() -> None:
    wanted, answers = map(Path, sys.argv[1:3])
    asked = json.loads(wanted.read_text("utf-8"))
    path = Path(asked["path"])
    sys.argv = [str(path)]
    watched(asked["seconds"])
    found = run(path, asked)
    partial = answers.with_suffix(".partial")
    partial.write_text(json.dumps(found), encoding="utf-8")
    partial.replace(answers)
    os._exit(0)


if __name__ == "__main__":
    main()
