"""All exercises in their order, and what a reader can show who has done them."""

from __future__ import annotations

import difflib

from pg_theano.course.baselines import BASELINES
from pg_theano.course.critics import CRITICS
from pg_theano.course.exercise import Exercise
from pg_theano.course.information import INFORMATION
from pg_theano.course.measured import MEASURED
from pg_theano.course.networks import NETWORKS
from pg_theano.course.own import OWN
from pg_theano.course.ratios import RATIOS
from pg_theano.course.returns import RETURNS
from pg_theano.course.scores import SCORES
from pg_theano.course.trees import TREES
from pg_theano.types import UserError

EXERCISES = [*TREES, *SCORES, *NETWORKS, *MEASURED, *RETURNS, *BASELINES, *CRITICS, *RATIOS, *INFORMATION, *OWN]

KNOWN = [
    ("∇J is a number that can be computed: a sum over all trajectories", ["tree-gradient"]),
    ("the same ∇J is a sum of arrows, one to a trajectory, and sampling adds up some of them", ["tree-arrows"]),
    ("a score says how to make an action likelier, and sums to zero under π", ["bernoulli-score", "softmax-score"]),
    ("a continuous action has a score for its mean and one for its spread", ["gaussian-score"]),
    ("what one transition does to each parameter of a policy", ["signs"]),
    ("how a gradient goes back through a network, number by number", ["backwards"]),
    ("the loss of a policy gradient is no J; only its gradient means something, and that at one point", ["loss"]),
    ("a gradient can be held to differences of J itself, with their errors", ["differences"]),
    ("which rewards an action is paid, and what γᵗ does", ["reward-to-go", "gamma-to-the-t"]),
    ("over what the mean runs: episodes, not steps, not padding", ["padding"]),
    (
        "which baselines leave ∇J alone, and which has the least variance",
        ["leave-one-out", "best-baseline", "variance"],
    ),
    ("what V may stand for at each kind of end, and what λ mixes", ["td-error", "gae", "mixture"]),
    (
        "when the clip stops a step, when it does not, and how far a policy has moved",
        ["clip", "kl", "entropy", "fisher"],
    ),
    ("a policy gradient and PPO with GAE can be written from nothing", ["own-vpg", "own-ppo"]),
]
"""(what one knows, the exercises that show it)."""


def numbered(word: str) -> tuple[int, Exercise]:
    """The exercise of a number, from 1, or of a name."""
    names = [one.name for one in EXERCISES]
    if word.isascii() and word.isdigit() and 1 <= int(word) <= len(names):
        return int(word), EXERCISES[int(word) - 1]
    if word in names:
        return names.index(word) + 1, EXERCISES[names.index(word)]
    near = difflib.get_close_matches(word, names, 1)
    raise UserError.at("exercise", f"got {word}", f"a number from 1 to {len(names)}", *near)
