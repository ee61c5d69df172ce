"""What an inspection may find in an environment, in words."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import gymnasium

FAULT, QUESTION, NOTE = "fault", "question", "note"


class Finding(NamedTuple):
    """One thing that was found, where, and what to do. One line."""

    kind: str  # fault, question or note
    what: str  # of several of one kind only the first is told
    step: int | None
    seed: int | None
    got: str
    expected: str
    advice: str

    def line(self, id: str) -> str:
        at = "" if self.step is None else f", step {self.step}"
        seed = "" if self.seed is None else f" (seed {self.seed})"
        return f"{id}{at}{seed}: {self.got}; expected {self.expected}; {self.advice}"


def one_length(number: int, length: int) -> tuple[str, str, str]:
    """(got, expected, advice) of episodes that all end alike, as `terminated`."""
    knob = f"environment.max_episode_steps={length}"
    return (
        f"all of {number} episodes terminated at step {length}",
        "truncated, if that is a time limit and not the task's own end",
        f"is it a time limit? then return truncated, or set {knob}: values are bootstrapped",
    )


def kept_statistics(env: Any) -> Iterator[tuple[str, str]]:
    """(name, our knob for it) of each wrapper that normalises by what it has seen."""
    while isinstance(env, gymnasium.Wrapper):
        if any(type(value).__name__ == "RunningMeanStd" for value in vars(env).values()):
            name = type(env).__name__
            yield name, "normalize.rewards" if "reward" in name.lower() else "normalize.observations"
        env = env.env


def in_a_wrapper(name: str, knob: str) -> tuple[str, str, str]:
    """(got, expected, advice) of statistics that a wrapper keeps."""
    return (
        f"{name} keeps statistics, which no checkpoint holds: an evaluation and --resume begin them anew",
        "none in a wrapper",
        f"leave it out of environment.wrappers, and set {knob}=true",
    )
