"""A broken environment is refused in one line that names the function or the attribute at fault."""

import textwrap

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest

from pg_theano.graphs.environments import BUILT_IN, base, load
from pg_theano.graphs.environments.base import from_class, validate
from pg_theano.types import UserError


class Healthy:
    """A point pushed along a line; what the table below breaks, one thing at a time."""

    obs_low, obs_high = (-1.0, -1.0), (1.0, 1.0)
    action_kind, num_actions = "discrete", 2
    max_steps = 50
    state_size, num_initial_noise = 2, 2

    def initial(noise):
        return [0.2 * uniform - 0.1 for uniform in noise]

    def transition(state, action):
        x, speed = state
        return x + 0.1 * speed, speed + 0.1 * (action * 2 - 1).astype(x.dtype)

    def observation(state):
        return state

    def reward(state, action, next_state):
        return -abs(next_state[0])

    def terminated(next_state):
        return next_state[0] > 1.0


shared = pytensor.shared(np.float32(2.0), name="wind")
foreign = pt.scalar("elsewhere", dtype="float32")
calls = iter(range(100))

BROKEN = [  # what replaces the healthy part, what the error says
    (
        {"transition": lambda s, a: (s[0], s[1] * a)},
        "transition, component 1: returned float64 [E]; expected float32 [E]",
    ),
    ({"transition": lambda s, a: s[0]}, "transition: returned float32 [E]; expected a tuple of 2 tensors [E]"),
    ({"transition": lambda s, a: s[:1]}, "transition: returned a tuple of 1; expected a tuple of 2"),
    ({"transition": lambda s, a: (s[0], s[2])}, "transition: raised IndexError"),
    ({"transition": lambda s: s}, "transition: raised TypeError"),
    ({"transition": lambda s, a: (s[0] + shared, s[1])}, "transition: reads the shared variable wind"),
    ({"transition": lambda s, a: (s[0] + foreign, s[1])}, "transition: reads elsewhere, which is not one of"),
    (
        {"transition": lambda s, a: (s[0] + pt.random.normal(size=s[0].shape, dtype="float32"), s[1])},
        "transition: draws",
    ),
    ({"transition": lambda s, a: (s[0] + np.random.rand(), s[1])}, "transition: gave another expression"),
    ({"terminated": lambda s: s[0] > next(calls)}, "terminated: gave another expression"),
    ({"terminated": lambda s: s[0]}, "terminated: returned float32 [E]; expected bool [E]"),
    ({"terminated": lambda s: False}, "terminated: returned False (bool); expected bool [E]"),
    ({"terminated": lambda s: None}, "terminated: returned None"),
    (
        {"reward": lambda s, a, n: 1.0},
        "reward: returned 1.0 (float); expected float32 [E]; a constant is written pt.full",
    ),
    ({"reward": lambda s, a, n: n[0].sum()}, "reward: returned float32 []"),
    ({"reward": lambda s, a, n: pt.stack(n)}, "reward: returned float32 [2, E]"),
    ({"reward": lambda s, a, n: pt.eq(a, 1)}, "reward: returned bool [E]; expected float32 [E]; cast"),
    ({"reward": lambda s, a, n: (n[0],)}, "reward: returned ("),
    ({"observation": lambda s: (*s, s[0])}, "observation: returned a tuple of 3; expected a tuple of 2"),
    ({"observation": lambda s: pt.stack(s, axis=1)}, "observation: returned float32 [E, 2]; expected a tuple of 2"),
    ({"initial": lambda u: (u[0], pt.zeros(5, dtype="float32"))}, "initial, component 1: returned float32 [5]"),
    ({"initial": lambda u: (u[0], 0.0)}, "initial, component 1: returned 0.0 (float)"),
    ({"initial": None}, "initial: got None; expected a function"),
    ({"reward": ..., "rewards": lambda s, a, n: n[0]}, "reward is missing; did you mean it by 'rewards'?"),
    ({"terminated": ...}, "terminated is missing"),
    ({"max_steps": ...}, "max_steps is missing"),
    ({"max_steps": 0}, "max_steps: got 0; expected a whole number or None"),
    ({"state_size": 2.0}, "state_size: got 2.0; expected a whole number from 1"),
    ({"num_initial_noise": 0}, "num_initial_noise: got 0"),
    ({"obs_low": ()}, "obs_low: got ()"),
    ({"obs_high": (1.0,)}, "obs_high: got (1.0,); expected a tuple of 2 numbers"),
    ({"obs_high": (1.0, -1.0)}, "obs_high: got (1.0, -1.0); expected more than obs_low"),
    ({"obs_low": (-1.0, float("nan"))}, "obs_low: got (-1.0, nan); expected a tuple of 2 numbers"),
    ({"obs_low": -1.0}, "obs_low: got -1.0; expected a tuple"),
    ({"action_kind": "Discrete"}, "action_kind: got 'Discrete'; expected 'discrete' or 'box'"),
    ({"action_low": (0.0,)}, "action_low: got (0.0,); expected a tuple of 0 numbers"),
    ({"action_kind": "box"}, "action_low: got (); expected a tuple of 2 numbers"),
    ({"reward_treshold": 1.0}, "reward_threshold is missing; did you mean it by 'reward_treshold'?"),
]


def broken(changes):
    members = {**vars(Healthy), **changes, "__qualname__": "Broken"}
    return type("Broken", (), {name: member for name, member in members.items() if member is not ...})


@pytest.mark.parametrize(
    ("changes", "message"), BROKEN, ids=[f"{i}-{next(iter(c))}" for i, (c, _) in enumerate(BROKEN)]
)
def test_what_is_wrong_is_named(changes, message):
    with pytest.raises(UserError) as error:
        validate(from_class(broken(changes)), "float32")
    text = str(error.value)
    assert "Broken" in text and "\n" not in text
    assert text.split("Broken.", 1)[1].startswith(message), text


@pytest.mark.parametrize("floatx", ["float32", "float64"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_is_right_passes_whatever_floatx(dtype, floatx):
    with pytensor.config.change_flags(floatX=floatx):
        validate(from_class(Healthy), dtype)
        for task in BUILT_IN:
            validate(load(task), dtype)
        assert pytensor.config.floatX == floatx


def test_numbers_are_not_rounded_to_another_floatx():
    with pytensor.config.change_flags(floatX="float32"):
        (state,) = (pt.vector(dtype="float64"),)
        moved, _ = from_class(Healthy).transition((state, state), pt.vector(dtype="int32"))
    constants = [v.data for v in pytensor.graph.traversal.ancestors([moved]) if hasattr(v, "data")]
    assert np.float64(0.1) in np.ravel(constants)


def test_the_example_in_the_documentation_is_right(tmp_path, monkeypatch):
    text = base.__doc__
    example = text[text.index("    import pytensor.tensor") : text.index("Numbers written")]
    (tmp_path / "corridor_example.py").write_text(textwrap.dedent(example))
    monkeypatch.syspath_prepend(tmp_path)
    environment = load("corridor_example:Corridor")
    validate(environment, "float32")
    assert environment.name == "corridor_example:Corridor" and environment.id == ""


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("CartPole-v7", "expected module:Class, or one of CartPole-v1"),
        ("no_such_module:MyEnvironment", "no module named 'no_such_module'"),
        ("pg_theano.types:MyEnvironment", "has no class 'MyEnvironment'"),
    ],
)
def test_an_unknown_name_is_refused(name, message):
    with pytest.raises(UserError, match=message):
        load(name)
