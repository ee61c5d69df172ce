"""Where graphs make NaN of what is finite, and where a NaN hides: none of it gets anywhere. On Numba: `torture`."""

import helpers_actor_critics as actor_critics
import helpers_graphs as by_definition
import helpers_traps as traps
import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.compile.mode import Mode

from pg_theano.by_hand import program as by_hand
from pg_theano.graphs import advantages, objectives, optimizers
from pg_theano.graphs.algorithms import common
from pg_theano.types import Rollout

CELLS = [(algorithm, "discrete", {}) for algorithm in traps.ALGORITHMS]
CELLS += [("a2c", kind, {}) for kind in traps.KINDS if kind != "discrete"]
CELLS += [("reinforce", "discrete", {"exploration": "epsilon_softmax"})]
CELLS += [("reinforce", "discrete", {"optimizer": name}) for name in ("sgd", "momentum", "rmsprop")]
CELLS += [("a2c", kind, {"dtype": "float32"}) for kind in traps.KINDS]
CELLS += [(algorithm, "discrete", {"dtype": "float32"}) for algorithm in traps.ALGORITHMS if algorithm != "a2c"]
QUICK = [("reinforce", "discrete"), ("a2c", "discrete"), ("ppo", "discrete"), ("a2c", "squashed"), ("a2c", "gsde")]


def cells():
    for algorithm, kind, changes in CELLS:
        slow = (algorithm, kind) not in QUICK or changes
        name = " ".join([algorithm, kind, *changes.values()])
        yield pytest.param(algorithm, kind, changes, id=name, marks=[pytest.mark.slow] * bool(slow))


@pytest.mark.parametrize(("algorithm", "kind", "changes"), list(cells()))
def test_no_update_falls_into_a_trap(algorithm, kind, changes):
    """A rollout of nothing, an episode of no steps, std of a constant, 0/0 of a normaliser, no gradient to clip, actions
    of probability 0, log-ratios of ±10⁴: State and metrics stay finite. A NaN or infinity in any one place: finite = 0,
    and the State as it was.

    Caught, when planted: a log-ratio without bounds; steps not held above 0; no 1e-8 under a standard deviation, or a
    normaliser's root; no bound of log π in the entropy; the count not held above 0; x ≠ x for isnan and isinf.
    """
    spec = traps.spec_of(algorithm, kind, **changes)
    run = actor_critics.interpreted_graph(spec, "train")
    fell, number = traps.checked(spec, run)
    assert number >= 17
    assert not fell


@pytest.mark.parametrize("kind", ["discrete", "gaussian"])
@pytest.mark.parametrize("algorithm", ["vpg", "ppo"])
def test_no_update_by_hand_falls_into_a_trap(algorithm, kind):
    """The same; a rollout of nothing is an error that says so. Caught, when planted: no such error (0/0, then
    ZeroDivisionError); a log-ratio without bounds."""
    spec = traps.by_hand_spec(algorithm, kind)
    program = by_hand.load(spec)
    fell, number = traps.checked(spec, lambda state, block, *rest: trained(program, state, block, *rest))
    assert number >= 17
    assert not fell


def trained(program, state, block, order, knobs):
    return program.train(state, Rollout(**block), knobs, order)


FAR = [0.0, -1e-30, -80.0, -1e4, -1e18]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_objective_is_finite_however_far_the_policies_are_apart(dtype):
    """Values and gradients by log π, for every pair of log-probabilities down to −10¹⁸, advantages of ±10⁶ and 0.

    Caught, when planted: a log-ratio without bounds.
    """
    log_prob, old, advantage = (np.ravel(grid).astype(dtype) for grid in np.meshgrid(FAR, FAR, [1e6, -1e6, 0.0]))
    mask, symbols = np.ones_like(log_prob), [pt.vector(dtype=dtype) for _ in range(4)]
    clip = np.array(0.2, dtype)
    with by_definition.floats(dtype):
        made = [
            objectives.policy_gradient_loss(symbols[0], symbols[2], symbols[3], number=pt.sum(symbols[3])),
            objectives.surrogate_loss(*symbols),
            objectives.ppo_clip_loss(*symbols, clip_range=clip),
            objectives.kl_of_samples(symbols[0], symbols[1], symbols[3]),
            objectives.value_loss(symbols[2], symbols[2] * 0, symbols[3]),
            objectives.clipped_value_loss(symbols[2], -symbols[2], symbols[2] * 0, symbols[3], value_clip_range=clip),
        ]
        by = [symbols[0]] * 4 + [symbols[2]] * 2
        slopes = [pytensor.grad(loss, x) for loss, x in zip(made, by, strict=True)]
        run = by_definition.interpreted(symbols, [*made, *slopes])
    for one in (mask, 0 * mask):
        for number, value in enumerate(run(log_prob, old, advantage, one)):
            assert np.isfinite(value).all(), number


def test_a_norm_and_a_spread_of_zero_divide_nothing():
    """‖0‖ in clipping, and the standard deviation of equals, of one and of none. Values; nothing learns through them.

    Caught, when planted: no 1e-8 under the fraction; the number of steps not held above 0.
    """
    gradient, block, mask = pt.dvector(), pt.dmatrix(), pt.dmatrix()
    norm = pt.sqrt(pt.sum(gradient * gradient))
    clipped = optimizers.clip_by_global_norm(gradient, norm, max_norm=0.5)
    run = by_definition.interpreted([gradient, block, mask], [clipped, advantages.standardize(block, mask)])
    for real in (np.ones((3, 2)), np.eye(3, 2) * [1, 0], np.zeros((3, 2))):
        for value in run(np.zeros(4), np.full((3, 2), 7.0), real):
            assert (value == 0).all()


def finished(mode):
    """`common.finished` of two entries: (State before, updated, cost, norm) to (State after, finite)."""
    before = {"params": pt.dvector("params"), "count": pt.dscalar("count")}
    after = {name: value.type(f"new {name}") for name, value in before.items()}
    metrics = {"cost": pt.dscalar("cost"), "gradient_norm": pt.dscalar("norm")}
    outputs = common.finished("float64", before, after, metrics)
    inputs = [*before.values(), *after.values(), *metrics.values()]
    run = pytensor.function(inputs, [outputs["params"], outputs["count"], outputs["metrics"][-1]], mode=mode)
    return lambda *values: run(*map(np.asarray, values))


def assert_holds_what_is_not_finite(run):
    params, count = np.array([1.0, 2.0, 3.0]), 5.0
    moved = np.array([4.0, 5.0, 6.0])
    assert [np.asarray(one).tolist() for one in run(params, count, moved, 6.0, 0.1, 0.2)] == [[4, 5, 6], 6, 1]
    for bad in (np.nan, np.inf, -np.inf):
        spoiled = np.array([4.0, bad, 6.0])
        for given in (
            (spoiled, 6.0, 0.1, 0.2),
            (moved, bad, 0.1, 0.2),
            (moved, 6.0, bad, 0.2),
            (moved, 6.0, 0.1, bad),
            (np.array([bad, -bad, 1.0]), 6.0, 0.1, 0.2),
        ):
            with np.errstate(all="ignore"):
                after = [np.asarray(one).tolist() for one in run(params, count, *given)]
            assert after == [[1, 2, 3], 5, 0], given


def test_whatever_is_not_finite_is_seen():
    """NaN, both infinities, and two that cancel; in any entry, in cost or norm."""
    assert_holds_what_is_not_finite(finished(Mode("py", None)))


@pytest.mark.slow
def test_whatever_is_not_finite_is_seen_on_numba():
    """Where `max` and `min` pass over NaN and `x == x` is rewritten to 1 (the first lines show it).

    Caught, when planted: everything ≠ everything for isnan and isinf; the largest entry for the sum.
    """
    pytest.importorskip("numba")
    x = pt.dvector()
    hides = pytensor.function([x], [pt.max(x), pt.eq(x, x), pt.isnan(pt.sum(x))], mode="NUMBA")
    largest, same, seen = hides(np.array([1.0, np.nan, 2.0]))
    assert (largest, bool(np.all(same)), bool(seen)) == (2.0, True, True)
    assert_holds_what_is_not_finite(finished("NUMBA"))
