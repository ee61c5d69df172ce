"""What environments do, in the words of one line: their exceptions, their values and actions, whatever those are."""

import math
import sys
import traceback
from pathlib import Path
from typing import Any

import numpy as np

from pg_theano.environments.place import PASSED, among_environments, none_is_left
from pg_theano.system.console import say

LARGEST_REWARD = 1e15
"""A reward beyond it is a fault, whatever the dtype: ten thousand of them, squared, are no float32 any more, and beside
one of them a float64 loses a reward of 1."""


def words_of(error: BaseException) -> str:
    """An exception in one line: its type and its words; where it has none, the file and the line that raised it."""
    said, name = _said(str, error), type(error).__name__
    return f"{name}: {said}" if said else f"{name}{raised_at(error)}"


def raised_at(error: BaseException) -> str:
    """The file, line and function in which an exception was raised first, with a space before."""
    while error.__cause__ is not None and type(error.__cause__) is type(error):  # Gymnasium raises some of them again
        error = error.__cause__
    frames = traceback.extract_tb(error.__traceback__)
    last = frames[-1] if frames else None
    return f" at {Path(last.filename).name}:{last.lineno}, in {last.name}" if last else ""


def short(value: Any, most: int = 60) -> str:
    """A value as one line of at most so many characters."""
    text = _said(repr, value) or f"a {type(value).__name__}"
    return text if len(text) <= most else f"{text[: most - 3]}..."


def _said(how: Any, value: Any) -> str:
    """What `str` or `repr` gives; nothing where that raises."""
    try:
        return " ".join(how(value).split())
    except PASSED:
        raise
    except BaseException:
        return ""


def converted(to: Any, value: Any) -> Any:
    """A value as `float` or `bool`. Errors: `ValueError`, of text and masked numbers too; `OverflowError`."""
    try:
        if not isinstance(value, (str, bytes)) and value is not np.ma.masked:
            return to(value)
    except (*PASSED, OverflowError):
        raise
    except BaseException as error:
        raise ValueError from error
    raise ValueError


def close_quietly(env: Any, where: str) -> None:
    """Close an environment. What it raises then is told, and no more: nothing depends on it."""
    try:
        with among_environments():
            env.close()
    except PASSED:
        raise
    except BaseException as error:
        say(f"warning: {where}: close raises {words_of(error)}", sys.stderr)
    none_is_left()


def kind_of(result: Any) -> str:
    """What was returned in place of several values."""
    return f"{len(result)} values" if isinstance(result, tuple) else f"one {type(result).__name__}"


def wrong_reward(reward: float) -> str:
    """The words for a reward that is not finite, or too large to learn from."""
    if math.isfinite(reward):
        return f"reward is {reward:g}; expected at most {LARGEST_REWARD:g} in size; try rewards of about 1"
    return (
        f"reward is {reward}; a reward must be finite; expected a number; try to find where it comes from, "
        "with that seed"
    )


def shown_action(action: Any) -> str:
    """An action as text of at most 80 characters."""
    return short(np.asarray(action).tolist(), 80)
