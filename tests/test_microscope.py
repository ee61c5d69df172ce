"""The microscope on the task whose gradient is known, and as a command."""

import functools
import itertools

import helpers_exact as helpers
import numpy as np
import pytest

from pg_theano.bias.rows import episodes_of, known_of
from pg_theano.exact import card, task
from pg_theano.microscope import estimators, gathering, judging
from pg_theano.microscope.estimators import Episodes, Known
from pg_theano.types import Array

LOGITS = np.random.default_rng(3).normal(0, 0.7, (3, 3, 2))
EVERY = task.trajectories()
STEPS, PARAMS = task.THREE_STATES.length, LOGITS.size
RANDOM = np.random.default_rng(5)
ANY_VALUE = RANDOM.normal(size=(3, STEPS + 1))  # of a state at a time; none is right


@functools.cache
def score(one):
    return task.scores(one, LOGITS).reshape(len(one.places), -1)


def scores_of(chosen, rows=10**6) -> gathering.Scores:
    found = np.concatenate([score(one) for one in chosen])
    return gathering.Scores(lambda first, last: found[first:last], rows, PARAMS)


def estimates(one: estimators.Estimator, chosen, known: Known, played: Episodes, n: int) -> Array:
    """ĝ of each batch of n trajectories, [B, P]."""
    weights, (columns,) = gathering.weights_of([one], played, known, [n])
    flat = weights[:, played.mask > 0]
    sums = gathering.contracted(scores_of(chosen), flat, played.lengths, False).sums
    return gathering.batches(sums[:, columns[0]], n).mean(axis=1)


def expected(name: str, discount: float, value: Array = ANY_VALUE, n: int = 1) -> Array:
    """𝔼[ĝ] of an estimator, over all batches of n trajectories."""
    one = next(e for e in [*estimators.every(0.5), TRUTH] if e.name == name)
    all_batches = list(itertools.product(EVERY, repeat=n))
    chosen = [one for batch in all_batches for one in batch]
    policy = task.table(LOGITS)
    chances = np.array([np.prod([task.probability(one, policy) for one in batch]) for batch in all_batches])
    played = episodes_of(chosen)
    return chances @ estimates(one, chosen, known_of(played, discount, value), played, n)


TRUTH = estimators.Estimator("truth", estimators.truth, "")
EXACT = [
    ("truth", 0.9, ANY_VALUE),
    ("episode_return", 0.9, ANY_VALUE),
    ("reward_to_go", 1.0, ANY_VALUE),
    ("reward_to_go · γᵗ", 0.9, ANY_VALUE),
    ("mean_so_far", 1.0, ANY_VALUE),
    ("fitted V(s, t)", 1.0, ANY_VALUE),
    ("gae, λ = 1", 1.0, ANY_VALUE),
    ("n_step, n = 5", 1.0, ANY_VALUE),  # of three steps: all of them
    ("gae, λ = 0", 1.0, task.values(task.table(LOGITS))),
    ("gae, λ = 0.8", 1.0, task.values(task.table(LOGITS))),
]


@pytest.mark.parametrize(("name", "discount", "value"), EXACT, ids=[f"{name}, γ = {g}" for name, g, _ in EXACT])
def test_what_expects_the_gradient_expects_it_exactly(name, discount, value):
    """To 1e-8, over all trajectories. Caught, when planted: γᵗ missing in `truth`; δ with V of the wrong step."""
    true = task.true_gradient(LOGITS, discount).ravel()
    np.testing.assert_allclose(expected(name, discount, value), true, rtol=0, atol=1e-8)


@pytest.mark.parametrize("name", ["reward", "running_mean", "gae, λ = 0.5", "gae, λ = 0"])
def test_what_does_not_is_seen_to_be_biased(name):
    true = task.true_gradient(LOGITS).ravel()
    assert card.card(expected(name, 1.0)[None], true).bias > 1.0


def test_leave_one_out_expects_the_gradient_and_per_timestep_less_of_it():
    """Over all pairs of trajectories. Caught, when planted: the own episode in `leave_one_out`."""
    true = task.true_gradient(LOGITS).ravel()
    np.testing.assert_allclose(expected("leave_one_out", 1.0, n=2), true, rtol=0, atol=1e-8)
    assert card.card(expected("per_timestep", 1.0, n=2)[None], true).scale < 0.9


def test_scores_are_contracted_whatever_fits_into_a_call():
    """Episodes that straddle two calls. Caught, when planted: the last step of a call counted twice."""
    chosen = EVERY[::2]
    played = episodes_of(chosen)
    weights = RANDOM.normal(size=(2, int(played.mask.sum())))
    whole = gathering.contracted(scores_of(chosen), weights, played.lengths, True)
    for rows in (1, 4, 7):
        parts = gathering.contracted(scores_of(chosen, rows), weights, played.lengths, True)
        np.testing.assert_allclose(parts.sums, whole.sums, atol=1e-12)
        np.testing.assert_allclose(parts.fisher, whole.fisher, atol=1e-12)


# -- what is trained with


TRAINED = [
    ("reward", "reinforce", {"signal": "reward"}),
    ("episode_return", "reinforce", {"signal": "episode_return"}),
    ("reward_to_go", "reinforce", {}),
    ("running_mean", "reinforce", {"baseline": "running_mean"}),
    ("mean_so_far", "reinforce", {"baseline": "mean_so_far"}),
    ("per_timestep", "reinforce", {"baseline": "per_timestep"}),
    ("leave_one_out", "reinforce", {"baseline": "leave_one_out"}),
    ("gae, λ = 0.5", "vpg", {"advantage": "gae"}),
    ("gae, λ = 0", "vpg", {"advantage": "td"}),
    ("gae, λ = 1", "vpg", {"advantage": "monte_carlo"}),
    ("n_step, n = 5", "vpg", {"advantage": "n_step", "bootstrap_steps": 5}),
    ("ppo's first step: gae, λ = 0.5, standardised", "ppo", {"standardize_advantages": True}),
]


@pytest.mark.parametrize(("name", "algorithm", "changes"), TRAINED, ids=[one[0] for one in TRAINED])
def test_each_weighs_steps_as_what_is_trained_with_does(name, algorithm, changes):
    """Four trajectories: the gradient of the loss, by the graph, is the one that the microscope contracts.

    Caught, when planted: the spread of a sample in place of that of all; δ without γ.
    """
    knobs = {"discount": 0.9, "gae_lambda": 0.5}
    estimator = helpers.Estimator(name, algorithm, changes, knobs)
    spec = helpers.spec_of(estimator)
    state = helpers.state_of(spec, estimator)
    chosen = [EVERY[i] for i in (0, 17, 40, 58)]
    block = helpers.block_of(spec, state["params"], [(one.places, one.actions) for one in chosen], estimator)
    run = helpers.gradient_function(spec, estimator)
    size = spec.acting.num_params - spec.acting.num_value_params
    trained = -run(state, block, helpers.knobs_of(estimator), state["params"])[:size]
    if algorithm != "reinforce":
        trained *= block["mask"].sum() / len(chosen)  # from the mean over steps to that over episodes

    played, value = episodes_of(chosen), np.zeros((3, STEPS + 1))
    if spec.acting.num_value_params:
        value[:, :STEPS] = (state["params"][size:-1] + state["params"][-1]).reshape(STEPS, 3).T
    judged = next(one for one in estimators.every(0.5) if one.name == name)
    found = score_of_each(spec, state["params"], chosen, size)
    scores = gathering.Scores(lambda first, last: found[first:last], 10**6, size)
    block_seen = gathering.block([judged], played, known_of(played, 0.9, value), [4], scores)
    np.testing.assert_allclose(block_seen.mean[0, 0], trained, rtol=0, atol=1e-8)


def score_of_each(spec, params, chosen, size):
    """∇log π of each step by complex steps."""

    def log_prob(at, place, time, action):
        return np.log(helpers.policy_probs(spec, at, place, time)[action])

    steps = [(s, t, a) for one in chosen for t, (s, a) in enumerate(zip(one.places, one.actions, strict=True))]
    derivative = helpers.actor_critics.derivative
    return np.array(
        [derivative(lambda at, step=step: log_prob(at, *step), params, range(size))[:size] for step in steps]
    )


# -- intervals


SIZES, BLOCKS, OF_A_BLOCK = [1, 4], 16, 16
JUDGED = ["reward_to_go", "leave_one_out", "running_mean", "gae, λ = 0.5"]


class Law:
    """What is true of some estimators where γ = 1: by enumeration, and of batches of four by many of them."""

    def __init__(self):
        self.every = [e for e in estimators.every(0.5) if e.name in JUDGED]
        self.chances = np.array([task.probability(one, task.table(LOGITS)) for one in EVERY])
        self.true = task.true_gradient(LOGITS).ravel()
        singles = [self.of(e, np.arange(len(EVERY)), 1) for e in self.every]
        self.cosines = [[card.card(one, self.true, self.chances).cosine] for one in singles]
        many = np.random.default_rng(0).choice(len(EVERY), size=4 * 8_000, p=self.chances)
        of_four = [self.of(e, many, 4) for e in self.every]
        for cosines, one in zip(self.cosines, of_four, strict=True):
            cosines.append(card.card(one, self.true).cosine)
        self.angles = [card.card(one, self.true).angle for one in of_four]
        self.scales = [card.card(one, self.true).scale for one in of_four]

    def of(self, estimator, which, n):
        chosen = [EVERY[i] for i in which]
        played = episodes_of(chosen)
        return estimates(estimator, chosen, known_of(played, 1.0, ANY_VALUE), played, n)

    def trial(self, rng):
        """What the microscope says of as many episodes as 16 blocks of 16 hold."""
        which = rng.choice(len(EVERY), size=BLOCKS * OF_A_BLOCK, p=self.chances)
        blocks = []
        for part in np.split(which, BLOCKS):
            chosen = [EVERY[i] for i in part]
            played = episodes_of(chosen)
            blocks.append(
                gathering.block(self.every, played, known_of(played, 1.0, ANY_VALUE), SIZES, scores_of(chosen))
            )
        return judging.verdicts(blocks, SIZES, 1, rng)


@pytest.fixture(scope="module")
def law():
    return Law()


def covered(law, trials):
    """How often each cosine lies inside its interval, [K, S], and how far it is off in the mean."""
    inside, off = np.zeros((len(law.every), len(SIZES))), np.zeros((len(law.every), len(SIZES)))
    for trial in range(trials):
        for k, verdict in enumerate(law.trial(np.random.default_rng([7, trial]))):
            for s, one in enumerate(verdict.cosines):
                inside[k, s] += one.low <= law.cosines[k][s] <= one.high
                off[k, s] += one.value - law.cosines[k][s]
    return inside / trials, off / trials


def test_cosines_lie_inside_their_intervals_and_are_off_by_nothing(law):
    """Caught, when planted: cosines with directions of single blocks' truths, each of other batches; an interval that
    holds the truth fixed, without the truth's own error."""
    inside, off = covered(law, 40)
    assert inside.mean() >= 0.9
    assert np.abs(off).max() < 0.04


def test_nothing_is_judged_by_the_episodes_that_it_was_made_of():
    """The same noise in both of two means that are at right angles: their product is 0 in the mean.

    Caught, when planted: products of a block with itself, which is a truth taken of the same episodes as the estimate.
    """
    rng, found = np.random.default_rng(0), []
    for _ in range(2000):
        noise = rng.normal(size=(8, 2))
        x, y = noise + np.array([1.0, 0.0]), noise + np.array([0.0, 1.0])
        found.append(judging.across(x @ y.T, np.ones((1, 8)))[0])
    assert abs(np.mean(found)) < 4 * np.std(found) / np.sqrt(2000)


@pytest.mark.slow
def test_400_trials_lie_inside_as_often_as_they_say(law):
    """95 ± 3 %, over eight cosines."""
    inside, _ = covered(law, 400)
    assert 0.92 <= inside.mean() <= 0.98
    assert inside.min() >= 0.9
