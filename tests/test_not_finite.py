"""What is not finite, or beyond reason, is named and reaches no parameter: compiled environments and populations.

Of graphs and of the NumPy twin: `graphs/test_nan_traps.py` and `graphs/test_actor_critics.py`. Of Gymnasium's
environments: `test_environments.py` and `test_training_faults.py`.
"""

import numpy as np
import pytest
from helpers_runs import ran, result, small

from pg_theano.config import reading, schedules
from pg_theano.environments.sound import check_record
from pg_theano.runs import checkpoints
from pg_theano.training import programs, specs
from pg_theano.training.population.learner import Generation, Moments
from pg_theano.types import Record, UserError

SEARCHES = ["cem", "pgpe", "es", "cmaes"]
BAD = [float("nan"), float("inf"), -1e30]


@pytest.mark.parametrize("bad", BAD)
def test_a_reward_of_a_compiled_environment_is_named_with_episode_and_step(bad):
    """Caught, when planted: a sum looked at (1e30 and −1e30 cancel), the step counted from 0."""
    values = np.zeros((5, 3, 4), np.float32)
    values[3, 1, 2], values[4, 1, 2] = bad, -bad
    record = Record(values, {"obs": (0, 1), "reward": (1, 1), "mask": (2, 1)})
    with pytest.raises(UserError, match=r"Task, update 7, episode 2, step 14: reward is (nan|inf|-1e\+30)"):
        check_record(record, "Task, update 7, episode", before=10)
    values[:, 1] = 1e14  # large, and no fault: five thousand of them are not either
    check_record(record, "Task, update 7, episode")


def test_an_observation_of_one_is_looked_at_where_the_update_was_not_finite():
    values = np.zeros((5, 3, 4), np.float32)
    values[3, 0, 2] = np.nan
    record = Record(values, {"obs": (0, 1), "reward": (1, 1), "mask": (2, 1)})
    check_record(record, "Task, update 7, episode")
    with pytest.raises(UserError, match="Task, update 7, episode 2, step 4: an observation is not finite"):
        check_record(record, "Task, update 7, episode", everything=True)


FALLING = """
import pytensor.tensor as pt

class Falling:
    obs_low, obs_high = (-10.0,), (10.0,)
    action_kind, num_actions = "discrete", 2
    max_steps, reward_threshold = 20, 5.0
    state_size, num_initial_noise = 1, 1

    def initial(noise):
        return (noise[0] * 0.1,)

    def transition(state, action):
        return (state[0] + 1.0,)

    def observation(state):
        return state

    def reward(state, action, next_state):
        return pt.switch(pt.ge(next_state[0], 3.0) & pt.lt(next_state[0], 4.0), BAD, 1.0)

    def terminated(next_state):
        return pt.gt(next_state[0], 8.0)
"""


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", [{"name": "reinforce"}, {"name": "cem", "population_size": 4}])
def test_a_run_on_one_stops_before_it_has_learned_from_it(algorithm, elsewhere):
    """In the rollout in which it came, with the parameters of the start. Caught, when planted: nobody looks; a population that does not look for the user's module beside the YAML."""
    (elsewhere / "falling.py").write_text(FALLING.replace("BAD", "2e30"))
    chosen = small(algorithm=algorithm, environment={"dynamics": "falling:Falling"})
    del chosen["environment"]["id"]
    if algorithm["name"] == "cem":
        del chosen["schedules"]
    with pytest.raises(
        UserError, match=r"Falling(, update 1)?, episode \d+, step 3: reward is 2e\+30; expected at most"
    ):
        ran(chosen, "run")
    assert result("run")["updates"] == 0 and result("run")["status"] == "failed"
    saved = checkpoints.newest(elsewhere / "run" / "checkpoints").state
    assert all(np.isfinite(value).all() for value in saved.values())


@pytest.mark.parametrize("name", SEARCHES)
def test_no_search_learns_from_what_is_not_finite(name):
    """A candidate without a finite fitness is the worst, and never the best; where none has one, or what was seen is not
    finite, nothing of the State changes. Caught, when planted: NaN sorted as the largest; the normaliser left out."""
    made = reading.from_dict(
        {
            "algorithm": {"name": name, "population_size": 8},
            "environment": {"id": "CartPole-v1", "engine": "gymnasium"},
            "normalize": {"observations": True},
        }
    )
    environment = specs.environment_of(made, [])
    spec = specs.spec_of(made, environment.task, environment)
    program = programs.load(made, spec, lambda what, seconds: None)
    knobs = schedules.knobs_at(made, 0)
    state = program.init(np.random.default_rng(0))
    candidates = program.ask(state, np.random.default_rng(1), knobs)
    fitness = np.arange(8.0)
    features = np.ones((8, 4))
    seen = Moments(np.full((8, 1), 5.0), features, features)

    def unchanged(after):
        return all(np.asarray(after[key]).tobytes() == np.asarray(state[key]).tobytes() for key in state)

    for bad in (np.nan, np.inf, -np.inf):
        some = fitness.copy()
        some[[2, 7]] = bad
        lowest = np.where(np.isfinite(some), some, -1e9)
        after, metrics = program.train(state, Generation(candidates, some, seen), knobs, None)
        expected, _ = program.train(state, Generation(candidates, lowest, seen), knobs, None)
        assert metrics["finite"] == 1 and not unchanged(after)
        assert np.asarray(after["params"]).tobytes() == np.asarray(expected["params"]).tobytes()
        with pytest.raises(UserError, match="none of the 8 candidates has a finite one"):
            program.train(state, Generation(candidates, np.full(8, bad), seen), knobs, None)
    broken = seen._replace(mean=np.where(np.arange(4) == 1, np.nan, seen.mean))
    with np.errstate(all="ignore"):
        after, metrics = program.train(state, Generation(candidates, fitness, broken), knobs, None)
    assert metrics["finite"] == 0 and unchanged(after)
    environment.close()
