"""Pictures of the symbolic tasks that Gymnasium lacks, drawn with strokes: NumPy alone, no window."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from pg_theano.types import Array

FPS = 20
ROWS, COLUMNS = 300, 450
DARK, BLUE, RED, GREY = (35, 41, 47), (11, 95, 165), (200, 60, 50), (200, 206, 212)


class Stroke(NamedTuple):
    """A line with round ends; a disc where both are one point. Lengths in metres."""

    colour: tuple[int, int, int]
    width: float
    start: tuple[float, float]
    end: tuple[float, float]


class Scene(NamedTuple):
    """What is drawn of a state, and how many metres the picture is high. It is centred on the origin, or moves with
    `at` once that is near its edge."""

    height: float
    at: tuple[float, float]
    strokes: list[Stroke]


def _cartpole(x: float, _: float, theta: float, *__: float) -> Scene:
    tip = x + math.sin(theta), math.cos(theta)
    marks = [Stroke(GREY, 0.06, (one, -0.25), (one, -0.35)) for one in range(round(x) - 5, round(x) + 6)]
    track, cart = (
        Stroke(GREY, 0.04, (x - 9.0, -0.2), (x + 9.0, -0.2)),
        Stroke(DARK, 0.25, (x - 0.2, 0.0), (x + 0.2, 0.0)),
    )
    middle = Stroke(RED, 0.08, (0.0, -0.25), (0.0, -0.35))
    return Scene(3.0, (x, 0.0), [track, *marks, middle, cart, Stroke(BLUE, 0.09, (x, 0.0), tip)])


def _quadrotor(x: float, z: float, theta: float, *_: float) -> Scene:
    along, up = (math.cos(theta), math.sin(theta)), (-math.sin(theta), math.cos(theta))

    def place(side: float, above: float) -> tuple[float, float]:
        return x + side * along[0] + above * up[0], z + side * along[1] + above * up[1]

    rotors = [Stroke(BLUE, 0.06, place(side - 0.18, 0.14), place(side + 0.18, 0.14)) for side in (-0.3, 0.3)]
    masts = [Stroke(DARK, 0.04, place(side, 0.0), place(side, 0.14)) for side in (-0.3, 0.3)]
    frame = Stroke(DARK, 0.08, place(-0.3, 0.0), place(0.3, 0.0))
    return Scene(5.0, (x, z), [Stroke(RED, 0.12, (0.0, 0.0), (0.0, 0.0)), *masts, frame, *rotors])


def _reacher(theta_1: float, theta_2: float, _: float, __: float, x: float, y: float) -> Scene:
    elbow = 0.5 * math.cos(theta_1), 0.5 * math.sin(theta_1)
    tip = elbow[0] + 0.5 * math.cos(theta_1 + theta_2), elbow[1] + 0.5 * math.sin(theta_1 + theta_2)
    joints = [Stroke(DARK, 0.1, joint, joint) for joint in ((0.0, 0.0), elbow)]
    links = [Stroke(BLUE, 0.06, (0.0, 0.0), elbow), Stroke(BLUE, 0.06, elbow, tip)]
    return Scene(2.2, (0.0, 0.0), [*links, *joints, Stroke(RED, 0.07, (x, y), (x, y))])


def _mass(x: float, _: float) -> Scene:
    track, middle = (
        Stroke(GREY, 0.02, (x - 6.0, -0.12), (x + 6.0, -0.12)),
        Stroke(RED, 0.04, (0.0, -0.16), (0.0, -0.26)),
    )
    return Scene(2.0, (x, 0.0), [track, middle, Stroke(BLUE, 0.2, (x - 0.05, 0.0), (x + 0.05, 0.0))])


TASKS: dict[str, Callable[..., Scene]] = {
    "pg_theano.graphs.environments.cartpole_swingup:CartPoleSwingUp": _cartpole,
    "pg_theano.graphs.environments.quadrotor:Quadrotor2D": _quadrotor,
    "pg_theano.graphs.environments.reacher:Reacher2": _reacher,
    "pg_theano.graphs.environments.double_integrator:DoubleIntegrator": _mass,
}
"""How a task is drawn, by its class."""


def picture(name: str, state: Any) -> Array:
    """[ROWS, COLUMNS, 3], bytes: what is seen of a state [S] of the task of this name."""
    height, at, strokes = TASKS[name](*map(float, state))
    pixel = height / ROWS  # m
    edge = 0.4 * height * COLUMNS / ROWS, 0.4 * height
    centre = [place - min(max(place, -most), most) for place, most in zip(at, edge, strict=True)]
    x = (centre[0] + pixel * (np.arange(COLUMNS) - (COLUMNS - 1) / 2))[None, :]
    y = (centre[1] - pixel * (np.arange(ROWS) - (ROWS - 1) / 2))[:, None]
    image = np.full((ROWS, COLUMNS, 3), 255.0)
    for colour, width, (x_0, y_0), (x_1, y_1) in strokes:
        along_x, along_y = x_1 - x_0, y_1 - y_0
        length = along_x**2 + along_y**2
        share = np.clip(((x - x_0) * along_x + (y - y_0) * along_y) / length, 0, 1) if length else 0.0
        away = np.hypot(x - x_0 - share * along_x, y - y_0 - share * along_y)  # m
        covered = np.clip((width / 2 - away) / pixel + 0.5, 0, 1)[:, :, None]
        image += covered * (np.array(colour) - image)
    return image.round().astype(np.uint8)
