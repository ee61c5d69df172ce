"""NPG and TRPO: Fisher matrix, conjugate gradients, the length of a step, and the line search, from their definitions."""

import helpers_actor_critics as by_definition
import numpy as np
import pytensor.tensor as pt
import pytest
from helpers_actor_critics import KINDS, MIXED, experience, interpreted_graph, make_spec, remember
from helpers_graphs import KNOBS, floats, interpreted
from pytensor.graph.traversal import ancestors
from pytensor.scan.op import Scan

from pg_theano.graphs.algorithms import common, natural
from pg_theano.training import minibatches


def fisher_by_definition(spec, params, observations):
    """𝔼[∇log π·∇log πᵀ], the mean over observations, the expectation over actions of π itself.     Kakade 2001, eq. 2

    Exact: all actions there are, or Gauss and Hermite's rule for the squares of the noise in it.
    """
    number = spec.acting.num_params - spec.acting.num_value_params
    fisher = np.zeros((number, number))
    for obs in observations:
        for weight, action in by_definition.policy(spec, params, obs).actions():
            score = by_definition.derivative(
                lambda p, obs=obs, action=action: by_definition.policy(spec, p, obs).log_prob(action),
                params,
                range(number),
            )[:number]
            fisher += weight * np.outer(score, score) / len(observations)
    return fisher


@pytest.mark.parametrize("kind", KINDS)
def test_the_product_is_that_of_the_matrix(kind):
    """F·v for three v, over four observations of which one is padding. Of the noise that depends on features, these are
    constants to the score.

    Caught, when planted: a mean over padding; π_old not held constant; the policy's log-stds left out.
    """
    rng = np.random.default_rng(0)
    spec = make_spec("trpo", kind, hidden=(2,))
    number = spec.acting.num_params - spec.acting.num_value_params
    params, directions = rng.normal(0, 0.7, spec.acting.num_params), rng.normal(size=(3, number))
    obs, weight = rng.normal(size=(2, 4)), np.array([1.0, 1, 0, 1])
    theta, vector, w = pt.tensor(shape=(number,)), pt.dvector(), pt.dvector()
    x, rate = pt.tensor(shape=(2, None)), KNOBS["exploration_rate"]
    run = interpreted([theta, vector, x, w], natural.fisher_product(spec, theta, vector, x, w, pt.constant(rate)))
    fisher = fisher_by_definition(spec, params, obs.T[weight > 0])
    assert np.abs(fisher).max() > 0.01
    for direction in directions:
        np.testing.assert_allclose(run(params[:number], direction, obs, weight), fisher @ direction, rtol=0, atol=1e-9)


def conjugate(num_iterations, dtype="float64"):
    matrix, b = pt.matrix(dtype=dtype), pt.vector(dtype=dtype)
    with floats(dtype):
        x = natural.conjugate_gradient(lambda v, a: a @ v, b, matrix, num_iterations=num_iterations)
        by_definition.interpret_scans([x], ancestors, Scan)
        return interpreted([matrix, b], x)


def positive_definite(rng, size):
    q = np.linalg.qr(rng.normal(size=(size, size)))[0]
    return q @ np.diag(rng.uniform(0.1, 10, size)) @ q.T


def test_conjugate_gradients_solve_the_system():
    """As many iterations as unknowns, and far more: what has converged stays there, in float32 too; b = 0 gives 0.

    Caught, when planted: β of the old residual; r not updated; 0/0 after convergence.
    """
    rng, run, single = np.random.default_rng(1), conjugate(12), conjugate(200, "float32")
    for size in (1, 2, 5, 9):
        matrix, b = positive_definite(rng, size), rng.normal(size=size)
        solution = np.linalg.solve(matrix, b)
        np.testing.assert_allclose(run(matrix, b), solution, rtol=0, atol=1e-9)
        np.testing.assert_allclose(single(matrix.astype("f4"), b.astype("f4")), solution, rtol=0, atol=1e-3)
    assert run(matrix, np.zeros(9)).tolist() == [0] * 9
    assert np.isfinite(single(np.zeros((2, 2), "f4"), np.ones(2, "f4"))).all()


def test_what_has_converged_stays_in_float32():
    """A Fisher matrix of 30 steps and 40 parameters, with damping: 400 iterations are as good as 40, for ‖b‖ of 1 and
    of 1e-12.

    Caught, when planted: iterations that go on until rᵀr is 0, as once: then rounding alone is solved for, and these
    solutions become too large by a factor of 10¹⁵ to 10¹⁹, so that the update of a policy is none.
    """
    score, b = pt.fmatrix(), pt.fvector()
    with floats("float32"):
        x = natural.conjugate_gradient(lambda v, a: (a @ v) @ a + np.float32(0.1) * v, b, score, num_iterations=400)
        by_definition.interpret_scans([x], ancestors, Scan)
        run = interpreted([score, b], x)
    for seed, size in ((2, 1), (5, 1), (8, 1), (8, 1e-12)):
        rng = np.random.default_rng(seed)
        scores = (rng.normal(size=(30, 40)) * np.logspace(0, -2, 40) / 5).astype("f4")
        gradient = (size * rng.normal(size=30) @ scores).astype("f4")
        x = run(scores, gradient).astype(float)
        left = scores.T @ (scores @ x) + 0.1 * x - gradient
        assert np.linalg.norm(left) < 1e-6 * np.linalg.norm(gradient), (seed, size)


def test_few_iterations_give_the_best_there_is_in_their_subspace():
    """After k: the x in span{b, A·b, ..., A^(k−1)·b} with the least error, measured by A. Hestenes and Stiefel 1952."""
    rng = np.random.default_rng(2)
    matrix, b = positive_definite(rng, 8), rng.normal(size=8)
    for k in (1, 2, 4):
        basis = np.linalg.qr(np.stack([np.linalg.matrix_power(matrix, i) @ b for i in range(k)], axis=1))[0]
        best = basis @ np.linalg.solve(basis.T @ matrix @ basis, basis.T @ b)
        np.testing.assert_allclose(conjugate(k)(matrix, b), best, rtol=0, atol=1e-9)


# -- whole updates


class Problem:
    """A State, a block that the policy itself collected or nearly, and what both algorithms should make of it."""

    def __init__(self, algorithm, kind, *, spread=0.0, knobs=None, **changes):
        rng = np.random.default_rng(3)
        self.spec = spec = make_spec(algorithm, kind, hidden=(2,), **changes)
        self.knobs = KNOBS | {"entropy_coefficient": 0.1} | (knobs or {})
        self.state = {}
        for name, shape, _ in common.state_entries(spec):
            self.state[name] = rng.normal(0, 0.5, shape) if name == "params" else rng.uniform(0.5, 1.5, shape)
        block = experience(spec, rng, MIXED, spread=spread)
        self.block = remember(spec, self.state, block, self.knobs)
        mask = self.block["mask"].T.ravel()
        self.order = minibatches.draw(rng, mask, mask.size, num_epochs=2, num_minibatches=3, dtype="float64")
        self.steps, self.after = by_definition.steps_of(spec, self.state, self.block, self.knobs)
        self.number = spec.acting.num_params - spec.acting.num_value_params
        self.params = self.state["params"]

    def surrogate(self, params):
        return by_definition.losses(self.spec, params, list(self.steps.values()), self.knobs)["policy_objective"]

    def kl(self, params):
        pairs = [
            [by_definition.policy(self.spec, p, s.obs) for p in (self.params, params)] for s in self.steps.values()
        ]
        return np.mean([by_definition.kl(*pair) for pair in pairs])

    def moved(self, step):
        return np.concatenate([self.params[: self.number] + step, self.params[self.number :]])

    def natural_step(self):
        """(√(2δ / gᵀF⁻¹g)·F⁻¹g, F, ‖g‖), with the damping on F's diagonal, by solving the system."""
        gradient = -by_definition.derivative(self.surrogate, self.params, range(self.number))[: self.number]
        fisher = fisher_by_definition(self.spec, self.params, [step.obs for step in self.steps.values()])
        fisher += self.knobs["damping"] * np.eye(self.number)
        direction = np.linalg.solve(fisher, gradient)
        return (
            np.sqrt(2 * self.knobs["target_kl"] / (gradient @ direction)) * direction,
            fisher,
            np.linalg.norm(gradient),
        )

    def run(self):
        return interpreted_graph(self.spec, "train")(self.state, self.block, self.order, self.knobs)

    def check(self, got, measured, share, step, norm):
        """State and metrics but for the policy's parameters, which are what a share of the step makes of them."""
        policy = self.moved(share * step)
        np.testing.assert_allclose(got["params"][: self.number], policy[: self.number], rtol=0, atol=1e-8)
        values, rows = by_definition.fitted(self.spec, self.state, self.steps, self.order, self.knobs)
        expected = self.after | values
        np.testing.assert_allclose(got["params"][self.number :], expected.pop("params"), rtol=0, atol=1e-9)
        assert set(got) == set(expected) | {"params"}
        for name, value in expected.items():
            np.testing.assert_allclose(got[name], value, rtol=0, atol=1e-9, err_msg=name)
        metrics = by_definition.of_steps(self.steps.values()) | {
            "cost": self.surrogate(self.params),
            "value_loss": np.mean(rows),
            "entropy": np.mean(
                [by_definition.policy(self.spec, self.params, s.obs).entropy() for s in self.steps.values()]
            ),
            "kl": self.kl(policy),
            "step_share": share,
            "gradient_norm": norm,
            "finite": 1.0,
        }
        assert set(measured) == set(metrics)
        for name, value in metrics.items():
            np.testing.assert_allclose(measured[name], value, rtol=1e-7, atol=1e-8, err_msg=name)


NORMAL = {"normalize_observations": True, "normalize_rewards": True, "optimizer": "adam", "clips_gradient": True}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("discrete", {"standardize_advantages": True}),
        pytest.param("gaussian", NORMAL, marks=pytest.mark.slow),
        pytest.param("gsde", {"optimizer": "momentum"}, marks=pytest.mark.slow),
        pytest.param("multi_binary", {"optimizer": "rmsprop"}, marks=pytest.mark.slow),
    ],
)
def test_a_natural_step_is_as_long_as_its_divergence_says(kind, changes):
    """½·sᵀ(F + λI)·s = δ, in the direction (F + λI)⁻¹g, g with the entropy's gradient in it; the value network's steps,
    and all else in State, as loops over steps have them.

    Caught, when planted: no damping; δ for 2δ; the entropy left out; KL the other way round.
    """
    problem = Problem("npg", kind, spread=0.2, **changes)
    step, fisher, norm = problem.natural_step()
    got, measured = problem.run()
    taken = got["params"][: problem.number] - problem.params[: problem.number]
    np.testing.assert_allclose(0.5 * taken @ fisher @ taken, problem.knobs["target_kl"], rtol=1e-9)
    problem.check(got, measured, 1.0, step, norm)


def verdicts(problem, step):
    """Of each trial 0.8ʲ: (the surrogate is better, KL(π_old || π) is within the bound)."""
    before, bound = problem.surrogate(problem.params), problem.knobs["target_kl"]
    trials = [problem.moved(0.8**j * step) for j in range(problem.spec.learning.num_line_search_steps)]
    return [(problem.surrogate(trial) < before, problem.kl(trial) <= bound) for trial in trials]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "bound", "damping", "taken"),
    [
        ("multi_discrete", 0.5, 0.01, 6),  # KL forbids 0 to 3, the surrogate 2 to 5
        pytest.param("discrete", 0.01, 0.1, 0, marks=pytest.mark.slow),
        pytest.param("discrete", 0.5, 0.01, 2, marks=pytest.mark.slow),
        pytest.param("gaussian", 2.0, 0.01, 6, marks=pytest.mark.slow),
        pytest.param("gsde", 0.1, 0.01, 3, marks=pytest.mark.slow),
    ],
)
def test_the_line_search_takes_the_longest_step_that_will_do(kind, bound, damping, taken):
    """0.8ʲ with the smallest j for which the surrogate is better and KL(π_old || π) is within the bound.

    Caught, when planted: the smallest share that will do; either condition left out.
    """
    problem = Problem("trpo", kind, knobs={"target_kl": bound, "damping": damping}, num_line_search_steps=12)
    step, _, norm = problem.natural_step()
    judged = verdicts(problem, step)
    assert judged.index((True, True)) == taken
    got, measured = problem.run()
    problem.check(got, measured, 0.8**taken, step, norm)
    assert measured["kl"] <= bound


@pytest.mark.slow
def test_where_no_trial_will_do_the_policy_stays():
    """The same with six trials, none of which will do: the policy bit for bit as it was, finite = 1, the value network
    fitted all the same.
    """
    problem = Problem("trpo", "multi_discrete", knobs={"target_kl": 0.5, "damping": 0.01}, num_line_search_steps=6)
    step, _, norm = problem.natural_step()
    assert (True, True) not in verdicts(problem, step)
    got, measured = problem.run()
    assert got["params"][: problem.number].tobytes() == problem.params[: problem.number].tobytes()
    assert measured["kl"] == 0
    problem.check(got, measured, 0.0, step, norm)
    assert np.abs(got["params"] - problem.params)[problem.number :].max() > 1e-3


def test_a_natural_step_does_not_depend_on_the_unit_of_rewards():
    """Rewards of 1 and of 1e-13, V = 0: the same policy after the update.

    Caught, when planted: no step where gᵀF⁻¹g is below 1e-20, whatever the unit: the policy of tiny rewards never moved.
    """
    problem = Problem("npg", "discrete", knobs={"entropy_coefficient": 0.0}, num_cg_iterations=5)
    problem.params[problem.number :] = 0
    run, places, moved = interpreted_graph(problem.spec, "train"), slice(problem.number), []
    for unit in (1.0, 1e-13):
        block = problem.block | {"reward": unit * problem.block["reward"]}
        moved.append(run(problem.state, block, problem.order, problem.knobs)[0]["params"][places])
    assert np.abs(moved[0] - problem.params[places]).max() > 1e-3
    np.testing.assert_allclose(moved[1], moved[0], rtol=0, atol=1e-9)


@pytest.mark.parametrize("algorithm", [pytest.param("npg", marks=pytest.mark.slow), "trpo"])
def test_no_gradient_is_no_step(algorithm):
    """Advantages all 0 (no reward, V = 0), no entropy bonus: the policy bit for bit as it was, everything finite."""
    problem = Problem(algorithm, "discrete", knobs={"entropy_coefficient": 0.0}, num_cg_iterations=5)
    problem.params[problem.number :] = 0
    problem.block["reward"][problem.block["mask"] > 0] = 0
    got, measured = problem.run()
    assert got["params"].tobytes() == problem.params.tobytes()
    assert measured["finite"] == 1
    assert measured["gradient_norm"] == measured["kl"] == 0
    assert all(np.isfinite(value).all() for value in got.values())
