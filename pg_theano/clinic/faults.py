"""The usual faults of advantages: how each misreads the definition, what it does, and where to look for it."""

from __future__ import annotations

from typing import Any, NamedTuple

from pg_theano.clinic.definition import RIGHT, Reading

LAST, MASK, BUFFER = "last_gae_lam", "next_non_terminal", "collect_rollouts: rewards += gamma * terminal_value"


class Fault(NamedTuple):
    name: str
    says: str  # what the code does
    should: str  # what it should do
    changes: dict[str, Any]  # of `Reading`
    look: tuple[str, ...]  # words of the lines to look at
    sb3: str  # the name of that place in stable_baselines3/common/buffers.py, RolloutBuffer
    cleanrl: str  # in cleanrl/ppo.py
    ours: str  # in pg_theano/by_hand/advantages.py

    @property
    def reading(self) -> Reading:
        return RIGHT._replace(**self.changes)


_FLAGS = ("done", "termin", "trunc", "nonterm", "non_term", "mask", "continu", "end")
_SUM = ("lam", "last", "lastgae", "reversed", "range", "for ")
_DELTA = ("delta", "td_error", "next_value", "nextvalues", "gamma")
_STOP = ("next_non_terminal in last_gae_lam", "nextnonterminal in lastgaelam", "onward in gae")
_BOOT = ("next_non_terminal in delta", "nextnonterminal in delta", "1 − terminated in td_error")
_NEXT = ("next_values", "nextvalues", "next_value in td_error")
_VALUE = ("delta", "delta", "td_error")


def _of(name: str, says: str, should: str, look: tuple[str, ...], where: tuple[str, str, str], **changes: Any) -> Fault:
    return Fault(name, says, should, changes, look, *where)


FAULTS = (
    _of("merged done", "takes a time limit for a termination: what would have come after it is worth 0",
        "V of the true successor, where `truncated` alone stands", _FLAGS, (BUFFER, _BOOT[1], _BOOT[2]),
        bootstraps_truncated=False),
    _of("termination bootstrapped", "adds γ·V(successor) after a termination, where nothing comes any more",
        "mask V(successor) by 1 − terminated", _FLAGS + _DELTA, _BOOT,
        bootstraps_terminated=True, bootstraps_both=True),
    _of("truncation leaks", "lets the next episode's advantages flow into one that a time limit stopped",
        "mask the sum by 1 − (terminated | truncated)", _FLAGS + _SUM, _STOP, stops_truncated=False),
    _of("termination leaks", "lets the next episode's advantages flow into one that is over",
        "mask the sum by 1 − (terminated | truncated)", _FLAGS + _SUM, _STOP, stops_terminated=False),
    _of("ends leak", "lets the next episode's advantages flow across every end",
        "mask the sum by 1 − (terminated | truncated)", _FLAGS + _SUM, _STOP,
        stops_terminated=False, stops_truncated=False),
    _of("ends unused", "knows of no end: what the next episode brings counts for this one",
        "mask V(successor) by 1 − terminated, and the sum by 1 − (terminated | truncated)", _FLAGS, _STOP,
        stops_terminated=False, stops_truncated=False, bootstraps_terminated=True, bootstraps_both=True,
        successor="reset"),
    _of("V of the reset observation", "takes the next row's V: after an end that is another episode's",
        "V of the final observation, before the reset", _DELTA + ("values",), (BUFFER, _NEXT[1], _NEXT[2]),
        successor="reset within"),
    _of("V of the reset observation", "takes the next row's V: after an end that is another episode's",
        "V of the final observation, before the reset", _DELTA + ("values",), (BUFFER, _NEXT[1], _NEXT[2]),
        successor="reset"),
    _of("own V for the successor's", "takes V(s_t) for V(s_{t+1})", "V of the next observation", _DELTA, _NEXT,
        successor="own"),
    _of("own V at a time limit", "takes V(s_t) for V of the successor that the time limit hid",
        "V of the final observation, before the reset", _DELTA + _FLAGS, (BUFFER, _NEXT[1], _NEXT[2]),
        successor="own if truncated"),
    _of("ends one step late", "reads the flag of step t at step t + 1",
        "`dones` is stored with the observation that it led to: dones[t + 1] is the end of step t", _FLAGS,
        ("episode_starts[step + 1]", "dones[t + 1]", "terminated[:, t]"), stop_moved=1, bootstrap_moved=1),
    _of("ends one step late, but in the last row", "reads the flag of step t at step t + 1, but in the last row",
        "`dones` is stored with the observation that it led to: dones[t + 1] is the end of step t", _FLAGS,
        ("episode_starts[step + 1]", "dones[t + 1]", "terminated[:, t]"),
        stop_moved=1, bootstrap_moved=1, last_row_right=True),
    _of("ends one step early", "reads the flag of step t at step t − 1", "the flags of the step itself", _FLAGS,
        ("episode_starts[step + 1]", "dones[t + 1]", "terminated[:, t]"), stop_moved=-1, bootstrap_moved=-1),
    _of("sum stops one step late", "masks V(successor) in the right step and the sum one step late",
        "one step's flags for both", _FLAGS + _SUM, _STOP, stop_moved=1),
    _of("sum stops one step early", "masks V(successor) in the right step and the sum one step early",
        "one step's flags for both", _FLAGS + _SUM, _STOP, stop_moved=-1),
    _of("V masked one step late", "stops the sum in the right step and masks V(successor) one step late",
        "one step's flags for both", _FLAGS + _DELTA, _BOOT, bootstrap_moved=1),
    _of("V masked one step early", "stops the sum in the right step and masks V(successor) one step early",
        "one step's flags for both", _FLAGS + _DELTA, _BOOT, bootstrap_moved=-1),
    _of("the record's end is an end", "takes an episode that goes on beyond the last row for one that is over",
        "V of the observation after the last row", ("last", "next_value", "zeros", "append", "concat"),
        ("last_values", "next_value", "next_value[:, −1]"), cut="nothing"),
    _of("own V at the record's end", "takes V of the last row for V of the observation after it",
        "V of the observation after the last row", ("last", "next_value", "append", "concat", "-1"),
        ("last_values", "next_value", "next_value[:, −1]"), cut="own"),
    _of("last row left out", "begins one row too early: the last step has no advantage",
        "for t in reversed(range(T))", _SUM, ("reversed(range(buffer_size))", "reversed(range(args.num_steps))",
        "range(T − 1, −1, −1)"), cut="left out"),
    _of("both flags bootstrap", "bootstraps a termination in the very step of the time limit",
        "`terminated` counts first", _FLAGS, (BUFFER, _BOOT[1], _BOOT[2]), bootstraps_both=True),
    _of("λ forgotten", "sums with γ alone, as if λ were 1", "γ·λ in the sum", _SUM,
        (LAST, "lastgaelam", "gae_lambda in gae"),
        lam_in_sum=False),
    _of("γ forgotten in the sum", "sums with λ alone", "γ·λ in the sum", _SUM,
        (LAST, "lastgaelam", "discount in gae"),
        gamma_in_sum=False),
    _of("γ forgotten in δ", "adds V(successor) undiscounted", "γ·V(successor) in δ", _DELTA, _VALUE,
        gamma_in_delta=False),
    _of("γ forgotten", "discounts nothing", "γ in δ and in the sum", _DELTA + _SUM, _VALUE,
        gamma_in_delta=False, gamma_in_sum=False),
    _of("γ and λ exchanged", "takes γ for λ and λ for γ", "the arguments in their order", ("gamma", "lam", "discount"),
        ("gamma, gae_lambda", "gamma, gae_lambda", "discount, gae_lambda"), exchanged=True),
    _of("sign", "gives −Â: what turned out well is made rarer", "r + γ·V(successor) − V", _DELTA, _VALUE, sign=-1.0),
    _of("V not taken off", "leaves out − V(s_t)", "r + γ·V(successor) − V", _DELTA, _VALUE, minus_value=0.0),
    _of("V added", "adds V(s_t) where it is to be taken off", "r + γ·V(successor) − V", _DELTA, _VALUE,
        minus_value=-1.0),
    _of("δ alone", "gives the TD error, as if λ were 0", "the sum of the errors to come", _SUM,
        (LAST, "lastgaelam", "following in gae"), gives="delta"),
    _of("returns for advantages", "gives Â + V(s), which is the target of V", "Â; the target is another array",
        ("return", "values"), ("returns", "returns", "target in vpg.estimate"), gives="returns"),
    _of("standardised inside", "gives advantages that are standardised already: nothing that adds V to them is right",
        "Â as it is; standardise in the loss, after targets were made", ("mean", "std", "norm"),
        ("ppo.py: advantages.mean()", "mb_advantages.mean()", "standardize"), gives="standardised"),
    _of("summed over the past", "sums from the first step on: an action is paid for what was before it",
        "from the last step to the first", _SUM, ("reversed(range(buffer_size))", "reversed(range(args.num_steps))",
        "range(T − 1, −1, −1)"), forward=True),
    _of("axes exchanged", "takes environments for steps", "steps first: [T, N]", ("axis", "shape", "len(", "for "),
        ("buffer_size, n_envs", "num_steps, num_envs", "[E, T]"), transposed=True),
    _of("reward one step late", "pays a step with the reward of the one before", "rewards[t] is what step t was paid",
        ("reward", "rew"), ("rewards[step]", "rewards[t]", "reward[:, t]"), reward_moved=1),
    _of("reward one step early", "pays a step with the reward of the one after", "rewards[t] is what step t was paid",
        ("reward", "rew"), ("rewards[step]", "rewards[t]", "reward[:, t]"), reward_moved=-1),
)  # fmt: skip
"""Of advantages. The first that fits all cases is named."""

_TARGET = ("returns = advantages + values", "returns = advantages + values", "target in vpg.estimate")
OF_TARGETS = (
    _of("targets of standardised advantages", "adds V to standardised advantages: V learns numbers of another scale",
        "Â + V(s), before anything is standardised", ("mean", "std", "norm", "target", "return"), _TARGET,
        target="standardised + values"),
    _of("targets without V", "gives advantages as the targets of V", "Â + V(s)", ("target", "return"), _TARGET,
        target="advantages"),
    _of("targets of one step", "gives r + γ·V(successor), as if λ were 0", "Â + V(s)", ("target", "return"), _TARGET,
        target="delta + values"),
    _of("targets of whole rewards", "gives the rewards to go, as if λ were 1: right on the mean, but not Â + V(s)",
        "Â + V(s)", ("target", "return"), _TARGET, target="rewards to go"),
)  # fmt: skip
"""Of what a function gives as its second array."""
