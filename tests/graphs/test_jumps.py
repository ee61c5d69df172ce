"""What a gradient through the dynamics does not see is found in a task's expressions, or said by the task."""

from types import SimpleNamespace

import pytensor.tensor as pt
import pytest

from pg_theano.graphs import environments, jumps
from pg_theano.graphs.environments.base import from_class, validate
from pg_theano.training import looking
from pg_theano.types import UserError

CAR = ["ge in the reward", "lt in the transition", "eq in the transition", "the end of an episode"]


class Mass:
    """A point that is pushed: the push moves its speed, and that its place, from which it is paid."""

    obs_low, obs_high = (-9.0, -9.0), (9.0, 9.0)
    action_kind, num_actions = "box", 1
    action_low, action_high = (-1.0,), (1.0,)
    max_steps, state_size, num_initial_noise = 20, 2, 2

    def initial(noise):
        return noise[0], noise[1]

    def transition(state, action):
        place, speed = state
        return place + 0.1 * speed, pt.clip(speed + 0.1 * action[0], -5.0, 5.0)

    def observation(state):
        return state

    def reward(state, action, next_state):
        return -(next_state[0] ** 2)

    def terminated(next_state):
        return pt.zeros_like(next_state[0], dtype="bool")


def mass(**functions):
    return from_class(type("Mass", (Mass,), functions))


def told(**functions):
    return jumps.of_task(mass(**functions), "float64")


@pytest.mark.parametrize("id", environments.BUILT_IN)
def test_the_shipped_tasks_with_numbers_for_actions(id):
    """Pendulum's wrap is said by itself to be none. Caught, when planted: `jumps` of Pendulum left out."""
    task = environments.load(id, "float64")
    if task.action_kind == "box":
        assert jumps.of_task(task, "float64") == (CAR if id.startswith("MountainCar") else [])
    if id == "Pendulum-v1":
        assert jumps.of_task(task._replace(jumps=None), "float64") == ["roundhalftoeven in the reward"]


def test_what_jumps_is_what_hangs_on_an_action():
    """Caught, when planted: the shape of a state taken for its numbers; what the start alone decides; a path of two
    steps not followed; ends left out."""
    wind = {"initial": lambda noise: (noise[0], noise[1], noise[0]), "state_size": 3, "num_initial_noise": 2}
    wind["transition"] = lambda state, action: (*Mass.transition(state[:2], action), state[2])
    wind["obs_low"], wind["obs_high"], wind["observation"] = (-9.0,) * 3, (9.0,) * 3, lambda state: state
    assert told() == []
    assert told(reward=lambda s, a, n: pt.abs(n[0])) == []
    assert told(reward=lambda s, a, n: n[0] - pt.switch(n[0] > 1, n[0], 0 * n[0])) == ["gt in the reward"]
    assert told(reward=lambda s, a, n: n[0] - pt.floor(n[1])) == ["floor in the reward"]
    assert told(reward=lambda s, a, n: n[0] % 1.0) == ["mod in the reward"]
    assert told(terminated=lambda n: n[0] > 1) == ["the end of an episode"]
    assert told(terminated=lambda n: pt.zeros(n[0].shape, dtype="bool")) == []
    assert told(**wind, reward=lambda s, a, n: n[0] * pt.switch(s[2] > 0.5, 1.0, 2.0)) == []
    assert told(jumps=("the wall",), reward=lambda s, a, n: pt.floor(n[0]) + n[1]) == ["the wall"]


@pytest.mark.parametrize(
    "reward",
    [
        lambda s, a, n: pt.switch(n[0] > 1, pt.ones_like(n[0]), pt.zeros_like(n[0])),
        lambda s, a, n: pt.floor(n[0]) + pt.round(a[0], mode="half_to_even"),
        lambda s, a, n: pt.ones_like(s[0]),
    ],
)
def test_a_jump_on_the_whole_way_is_one_line(reward):
    """Caught, when planted: a switch whose branches are constants; a reward that is one number."""
    with pytest.raises(
        UserError, match=r"got a reward that no derivative reaches from an action \(.*\); expected .*; try"
    ):
        told(reward=reward)


def test_a_task_says_it_in_words():
    with pytest.raises(UserError, match="jumps: got 'wall'; expected a tuple of words"):
        validate(mass(jumps="wall"), "float64")


def test_it_is_said_once_by_what_does_not_see_it():
    heard = []
    setting = SimpleNamespace(
        display=SimpleNamespace(event=heard.append),
        config=SimpleNamespace(algorithm=SimpleNamespace(name="shac")),
        task=SimpleNamespace(id="Wall-v0"),
    )
    looking.tell_of_jumps(setting, {"jumps": ["ge in the reward"]})
    looking.tell_of_jumps(setting, {"jumps": []})
    looking.tell_of_jumps(setting, {})
    (line,) = heard
    assert line.startswith("warning: Wall-v0 jumps (ge in the reward), which shac cannot see")
