"""The tasks that Gymnasium lacks, against physics that is written another way than their equations of motion.

Rods are summed over their points, forces are multiplied by the speed of where they act.
"""

import ast
import importlib
from functools import lru_cache
from pathlib import Path

import jax
import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.compile.mode import Mode
from pytensor.graph.rewriting.db import RewriteDatabaseQuery
from pytensor.link.jax.linker import JAXLinker

from pg_theano.graphs.environments import BUILT_IN, double_integrator, load

OWN = {task.partition("/")[2].partition("-")[0]: task for task in BUILT_IN if "/" in task}
MODE = Mode(JAXLinker(), RewriteDatabaseQuery(include=["fast_compile", "jax"], exclude=["fusion", "inplace"]))


@lru_cache
def compiled(name):
    """(state [S], action [A], dt) -> next state [S], reward, gradient of all that a step gives by the state [S]."""
    task, dt = load(OWN[name]), pt.scalar("dt", dtype="float64")
    module = importlib.import_module(BUILT_IN[OWN[name]].partition(":")[0])
    rows = tuple(pt.vector(f"state_{i}", dtype="float64") for i in range(task.state_size))  # each [1]
    given = tuple(pt.vector(f"action_{i}", dtype="float64") for i in range(task.num_actions))
    kept, module.TIMESTEP = module.TIMESTEP, dt
    try:
        following = task.transition(rows, given)
    finally:
        module.TIMESTEP = kept
    reward = task.reward(rows, given, following)
    slopes = pytensor.grad(sum(one.sum() for one in (reward, *following, *task.observation(following))), [*rows])
    with jax.enable_x64(True), pytensor.config.change_flags(floatX="float64"):
        function = pytensor.function([*rows, *given, dt], [*following, reward, *slopes], mode=MODE)

    def step(state, action, dt=kept):
        with jax.enable_x64(True):
            out = np.array(
                [np.asarray(one)[0] for one in function(*(np.array([x], float) for x in (*state, *action)), dt)]
            )
        return out[: len(rows)], out[len(rows)], out[len(rows) + 1 :]

    return step


def rod(start, speed, along, turning, length, mass):
    """Kinetic energy of an even rod: half of mass times speed squared, summed over its points (three are exact)."""
    places, weights = np.polynomial.legendre.leggauss(3)
    away = (places[:, None] + 1) / 2 * length
    speeds = np.asarray(speed) + away * turning * np.array([-along[1], along[0]])
    return mass / 2 * (weights / 2 * (speeds**2).sum(axis=1)).sum()


def cart(state, action):
    """(energy, power) of CartPoleSwingUp: m = 0.1 kg on 1 m, 1 kg, ±10 N."""
    _, speed, theta, turning = state
    up = np.sin(theta), np.cos(theta)  # the angle is counted clockwise
    pole = rod((0, 0), (speed, 0.0), up, -turning, 1.0, 0.1)
    return 0.5 * speed**2 + pole + 0.1 * 9.8 * 0.5 * up[1], 10.0 * action[0] * speed


def arm(state, action):
    """Of Reacher2: two even rods of 0.5 m and 1 kg, each joint with 1 N·m and a friction of 0.1 N·m·s."""
    theta, bend, first, second, _, _ = state
    along, further = [(np.cos(angle), np.sin(angle)) for angle in (theta, theta + bend)]
    elbow = 0.5 * first * np.array([-along[1], along[0]])
    energy = rod(None, (0.0, 0.0), along, first, 0.5, 1.0) + rod(None, elbow, further, first + second, 0.5, 1.0)
    return energy, action[0] * first + action[1] * second - 0.1 * (first**2 + second**2)


def frame(state, action):
    """Of Quadrotor2D: two points of 0.5 kg, 0.3 m from the middle, each with a force along the frame's own up."""
    _, height, theta, *speed, turning = state
    along, up = np.array([np.cos(theta), np.sin(theta)]), np.array([-np.sin(theta), np.cos(theta)])
    right, left = (np.array(speed) + side * 0.3 * turning * up for side in (1, -1))
    energy = 0.25 * (right @ right + left @ left) + 9.81 * height
    assert np.isclose(along @ up, 0)
    return energy, 9.81 / 2 * ((1 + action[0]) * up @ right + (1 + action[1]) * up @ left)


@pytest.mark.parametrize(
    ("name", "physics", "state", "action"),
    [
        ("CartPoleSwingUp", cart, [0.1, -0.3, 2.5, 1.5], [0.0]),
        ("CartPoleSwingUp", cart, [0.1, -0.3, 2.5, 1.5], [0.7]),
        ("Reacher2", arm, [0.3, 0.8, 2.0, -3.0, 0.5, 0.5], [0.0, 0.0]),
        ("Reacher2", arm, [0.3, 0.8, 2.0, -3.0, 0.5, 0.5], [0.6, -0.4]),
        ("Quadrotor2D", frame, [0.5, 1.0, 0.4, 1.0, -1.0, 0.7], [-1.0, -1.0]),
        ("Quadrotor2D", frame, [0.5, 1.0, 0.4, 1.0, -1.0, 0.7], [0.2, -0.1]),
    ],
    ids=["cart-free", "cart-pushed", "arm-free", "arm-driven", "frame-falling", "frame-flown"],
)
def test_energy_changes_by_the_work_of_the_forces_as_the_step_shrinks(name, physics, state, action):
    """Over half a second, to first order: a tenth of the step leaves a tenth of the error.

    Caught, when planted: the pole a point mass (1 for 4/3), its weight upwards, the force not divided by the total
    mass; the arm without one Coriolis term, with the torque of the elbow added to the shoulder, friction that drives;
    the rotors exchanged, the tilt counted the other way, the thrust of one rotor for two.
    """
    errors = []
    for dt in (1e-2, 1e-3):
        at, work = np.array(state), 0.0
        before = physics(at, action)[0]
        for _ in range(round(0.5 / dt)):
            start = physics(at, action)[1]
            at = compiled(name)(at, action, dt)[0]
            work += dt * (start + physics(at, action)[1]) / 2
        errors.append(abs(physics(at, action)[0] - before - work))
    print(name, action, errors)
    assert errors[1] < 0.05
    assert errors[1] < 0.15 * errors[0] + 1e-9


def test_a_quadrotor_with_its_rotors_off_falls_freely():
    """Exactly: its speed to the side and its turning stay, its speed down grows by g."""
    state, step = np.array([1.0, 2.0, 0.3, 0.5, 0.1, -0.4]), compiled("Quadrotor2D")
    for _ in range(20):
        state = step(state, [-1.0, -1.0])[0]
    np.testing.assert_allclose(state[[2, 3, 4, 5]], [0.3 - 0.4, 0.5, 0.1 - 9.81, -0.4], rtol=0, atol=1e-12)


def test_the_double_integrator_is_exact_for_a_force_that_is_held():
    """A parabola, to rounding. Caught, when planted: explicit and semi-implicit Euler."""
    state, step = np.array([0.3, -0.7]), compiled("DoubleIntegrator")
    for _ in range(25):
        state = step(state, [2.0])[0]
    np.testing.assert_allclose(state, [0.3 - 0.7 * 2.5 + 2.0 * 2.5**2 / 2, -0.7 + 2.0 * 2.5], rtol=0, atol=1e-12)


@pytest.mark.parametrize("discount", [1.0, 0.9])
def test_its_optimum_is_the_least_cost_of_all_sequences_of_forces(discount):
    """Riccati's equation against one system of linear equations for thirty forces at once.

    Caught, when planted: K of the last step, the discount left out of K or of P, no cost of the force.
    """
    steps, dt, start = 30, 0.1, np.array([0.8, -0.5])
    held = [[dt**2 * (t - i - 0.5) if i < t else 0.0 for i in range(steps)] for t in range(steps)]  # x(t) of force i
    pushed = [[dt if i < t else 0.0 for i in range(steps)] for t in range(steps)]
    free = [start[0] + dt * np.arange(steps) * start[1], np.full(steps, start[1])]
    weight = np.sqrt(discount ** np.arange(steps))[:, None]
    rows = np.concatenate([weight * held, np.sqrt(0.1) * weight * pushed, np.sqrt(0.1) * weight * np.eye(steps)])
    costs = np.concatenate([weight[:, 0] * free[0], np.sqrt(0.1) * weight[:, 0] * free[1], np.zeros(steps)])
    forces, (least,), *_ = np.linalg.lstsq(rows, -costs, rcond=None)
    gain, p = double_integrator.optimum(steps, discount)
    np.testing.assert_allclose([-gain @ start, start @ p @ start], [forces[0], least], rtol=1e-9)


def test_the_optimum_is_reached_in_the_task_and_stays_within_its_bounds():
    """The return of its gains, step for step, is −sᵀPs. Caught, when planted: the reward of the state after the step."""
    step = compiled("DoubleIntegrator")
    for start in ([1.0, 1.0], [-1.0, 1.0], [0.2, -0.9]):
        state, total, p = np.array(start), 0.0, double_integrator.optimum(100)[1]
        for left in range(100, 0, -1):
            force = -double_integrator.optimum(left)[0] @ state
            assert abs(force) < double_integrator.FORCE
            state, reward, _ = step(state, [force])
            total += reward
        np.testing.assert_allclose(total, -np.array(start) @ p @ start, rtol=1e-9)


@pytest.mark.parametrize("name", OWN)
def test_gradients_are_finite_at_rest_at_the_goal(name):
    """Where a root or a norm would have none. Caught, when planted: √(x² + z²), |tip − point|."""
    rest = {"Reacher2": [0.3, 0.8, 0.0, 0.0, 0.5 * (np.cos(0.3) + np.cos(1.1)), 0.5 * (np.sin(0.3) + np.sin(1.1))]}
    state = rest.get(name, np.zeros(load(OWN[name]).state_size))
    _, reward, slope = compiled(name)(state, np.zeros(load(OWN[name]).num_actions))
    assert np.isfinite(slope).all()
    assert reward == pytest.approx(0.0, abs=1e-12)  # the best that there is


@pytest.mark.parametrize("name", OWN)
def test_it_is_written_in_forty_lines(name):
    """Those with code: no docstring, comment or empty line."""
    path = Path(importlib.import_module(BUILT_IN[OWN[name]].partition(":")[0]).__file__)
    text, words = path.read_text("utf-8"), set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
            words |= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    lines = [line.strip() for number, line in enumerate(text.splitlines(), 1) if number not in words]
    assert sum(1 for line in lines if line and not line.startswith("#")) <= 40
