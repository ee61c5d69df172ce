"""Ten ways to get generalised advantage estimation wrong at an episode's end, in the twin by hand; and some in the graph.

What each style of test catches of the ten is in `benchmarks/reliability.md`.
"""

from __future__ import annotations

from planting import Fault

ERRORS = "    errors = td_error(reward, value, next_value, terminated, mask, discount=discount)\n"
ONWARD = "    onward = continues(terminated, truncated, mask)\n"
LOOP = "    result = np.zeros(reward.shape)\n    following = np.zeros(len(reward))  # Â_{t+1}\n"
OLD = ERRORS + ONWARD + LOOP
"""The lines of `gae` that say what comes after a step. `n_step` has two of them too, and so they come together."""
BY_DEFINITION = "by_hand/test_by_hand_advantages.py::test_gae_is_the_discounted_sum_of_td_errors"


def errors(*, next_value: str = "next_value", terminated: str = "terminated", mask: str = "mask") -> str:
    arguments = f"reward, value, {next_value}, {terminated}, {mask}, discount=discount"
    return f"    errors = td_error({arguments})\n{ONWARD}{LOOP}"


def onward(*, terminated: str = "terminated", truncated: str = "truncated", mask: str = "mask") -> str:
    return f"{ERRORS}    onward = continues({terminated}, {truncated}, {mask})\n{LOOP}"


AT_THE_END = [
    Fault(
        "merged done",
        "gae",
        OLD,
        errors(terminated="terminated | truncated"),
        (BY_DEFINITION,),
        "A time limit is taken for a termination: what would have come after it is worth 0.",
    ),
    Fault(
        "a time limit does not stop the sum",
        "gae",
        OLD,
        onward(truncated="np.zeros_like(truncated)"),
        (BY_DEFINITION,),
        "The advantages of the next episode flow into the one that the time limit stopped.",
    ),
    Fault(
        "a termination does not stop the sum",
        "gae",
        OLD,
        onward(terminated="np.zeros_like(terminated)"),
        (BY_DEFINITION,),
        "The advantages of the next episode flow into the one that is over.",
    ),
    Fault(
        "a termination is bootstrapped",
        "gae",
        OLD,
        errors(terminated="np.zeros_like(terminated)"),
        (BY_DEFINITION,),
        "Dying is worth V of a state in which nothing comes any more.",
    ),
    Fault(
        "V of the reset observation",
        "gae",
        OLD,
        errors(next_value="np.concatenate([value[:, 1:], next_value[:, -1:]], axis=1)"),
        (BY_DEFINITION,),
        "`value` moved by one column: after a time limit that is V of another episode's first observation.",
    ),
    Fault(
        "V(s_t) for V of the true successor",
        "gae",
        OLD,
        errors(next_value="np.where(truncated, value, next_value)"),
        (BY_DEFINITION,),
        "Where the successor was lost by the reset, the last observation before it stands for it.",
    ),
    Fault(
        "an end one step late",
        "gae",
        OLD,
        onward(terminated="np.roll(terminated, 1, axis=1)", truncated="np.roll(truncated, 1, axis=1)"),
        (BY_DEFINITION,),
        "The flag of step t is read at t + 1, as where `done` is stored with the observation that it led to.",
    ),
    Fault(
        "nothing after the end of the record",
        "gae",
        OLD,
        errors(next_value="np.where(np.arange(reward.shape[1]) < reward.shape[1] - 1, next_value, 0.0)"),
        (BY_DEFINITION,),
        "An episode that goes on beyond the record is taken for one that is over: a cut is no end.",
    ),
    Fault(
        "both flags at once bootstrap",
        "gae",
        OLD,
        errors(terminated="terminated & ~truncated"),
        (BY_DEFINITION,),
        "An episode that terminates in the very step of its time limit is bootstrapped as if it had gone on.",
    ),
    Fault(
        "leaked padding",
        "gae",
        OLD,
        onward(mask="np.ones_like(mask)").replace(
            "td_error(reward, value, next_value, terminated, mask",
            "td_error(reward, value, next_value, terminated, np.ones_like(mask)",
        ),
        (BY_DEFINITION,),
        "Steps that never happened have errors of their own, and the steps before them are given these.",
    ),
]

IN_THE_GRAPH = [
    Fault(
        "merged done, in the graph",
        "gae",
        f"{ERRORS}{ONWARD}    return recurrence(",
        "    errors = td_error(reward, value, next_value, pt.maximum(terminated, truncated), mask, discount=discount)\n"
        f"{ONWARD}    return recurrence(",
        ("graphs/test_advantages.py::test_gae_is_the_discounted_sum_of_td_errors",),
        "A time limit is taken for a termination: what would have come after it is worth 0.",
    ),
    Fault(
        "an end does not stop the sum, in the graph",
        "continues",
        "mask * _shifted(mask, 1) * (1.0 - terminated) * (1.0 - truncated)",
        "mask * _shifted(mask, 1) * (1.0 - terminated * truncated)",
        ("graphs/test_advantages.py::test_gae_is_the_discounted_sum_of_td_errors",),
        "The advantages of the next episode flow into the one that is over.",
    ),
    Fault(
        "padding continues, in the graph",
        "continues",
        "mask * _shifted(mask, 1) * (1.0 - terminated) * (1.0 - truncated)",
        "mask * (1.0 - terminated) * (1.0 - truncated)",
        ("graphs/test_advantages.py::test_bootstrapped_reward_to_go_is_the_discounted_sum_and_a_value",),
        "Before a step that never happened the sum goes on, and V of the true successor is left out.",
    ),
    Fault(
        "a termination is bootstrapped, in the graph",
        "td_error",
        "mask * (reward + discount * (1.0 - terminated) * next_value - value)",
        "mask * (reward + discount * next_value - value)",
        ("graphs/test_advantages.py::test_a_table_worked_by_hand",),
        "Dying is worth V of a state in which nothing comes any more.",
    ),
    Fault(
        "V(s_t) for V of the true successor, in the graph",
        "estimates",
        "value, next_value = valued(block.obs), valued(block.next_obs)",
        "value, next_value = valued(block.obs), valued(block.obs)",
        ("graphs/test_actor_critics.py::test_loss_and_gradient_are_those_of_a_loop_over_steps[ppo discrete]",),
        "Every TD error is r − (1 − γ)·V: it still learns a little, as V grows with the rewards.",
    ),
]
