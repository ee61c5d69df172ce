"""Where a task jumps: what stands on the way from an action to a reward and has no useful derivative.

A gradient through the dynamics is that of the smooth parts. Where the return jumps (an episode that ends, a prize
beyond a line), what the jump is worth is missing from it, and nothing shows that (Suh et al. 2022, section 4).
"""

import pytensor.tensor as pt
from pytensor.graph.traversal import ancestors
from pytensor.scalar import basic as scalar
from pytensor.tensor.elemwise import Elemwise
from pytensor.tensor.shape import Shape, Shape_i
from pytensor.tensor.variable import TensorVariable

from pg_theano.graphs import environments
from pg_theano.graphs.environments.base import Environment
from pg_theano.spec import Spec
from pg_theano.types import UserError

STEPS = (
    scalar.Floor, scalar.Ceil, scalar.RoundHalfToEven, scalar.RoundHalfAwayFromZero, scalar.Trunc, scalar.Sign,
    scalar.IntDiv,
)  # fmt: skip
"""Of numbers to numbers, with a derivative of 0. `mod` has one beside its jumps."""


def described(spec: Spec):
    """What a manifest says of it."""
    return {"jumps": of_task(environments.load(spec.engine.dynamics, spec.dtype), spec.dtype)}


def of_task(environment: Environment, dtype: str) -> list[str]:
    """What jumps, in words: as the task says (`jumps`), else as its expressions have it, such as "ge in the reward".

    Errors: `UserError` where no derivative leads from any action to any reward.
    """
    state, following = (
        tuple(pt.vector(f"{name}_{i}", dtype=dtype) for i in range(environment.state_size))
        for name in ("state", "next_state")
    )
    action = tuple(pt.vector(f"action_{i}", dtype=dtype) for i in range(environment.num_actions))
    moved = environment.transition(state, action)
    reward, terminated = environment.reward(state, action, following), environment.terminated(following)

    def reached(through):
        """The action, and the numbers of a state, now or after the step, that it moves; by these paths alone."""
        numbers: set[int] = set()
        while True:
            sources = {*action, *(state[i] for i in numbers)}
            further = {i for i, one in enumerate(moved) if through(one) & sources}
            if further <= numbers:
                return sources | {following[i] for i in numbers}
            numbers |= further

    feels = reached(_felt)
    places = {"the reward": [reward], "the transition": moved}
    found = [f"{name} in {where}" for where, parts in places.items() for one in parts for name in _jumps(one, feels)]
    if _felt(terminated) & feels:
        found.append("the end of an episode")
    if not _smooth(reward) & reached(_smooth):
        why = ", ".join(dict.fromkeys(found)) or "it has none"
        got = f"got a reward that no derivative reaches from an action ({why})"
        raise UserError.at(environment.name, got, "smooth expressions on the way", "algorithm.name=ppo")
    return list(dict.fromkeys(found)) if environment.jumps is None else list(environment.jumps)


def _is_jump(node):
    """Whether a node makes whole numbers or truths of numbers, or steps."""
    if isinstance(node.op, Elemwise) and isinstance(node.op.scalar_op, STEPS):
        return True
    return _is_float(*node.inputs) and not _is_float(*node.outputs)


def _is_float(*variables):
    return any(isinstance(one, TensorVariable) and one.type.dtype.startswith("float") for one in variables)


def _jumps(output, feels):
    """The names of the jumps that what is felt leads through."""
    for one in ancestors([output]):
        node = one.owner
        if node is not None and any(_felt(given) & feels for given in node.inputs):
            op = getattr(node.op, "scalar_op", node.op)
            if _is_jump(node) or isinstance(op, scalar.Mod):
                yield str(getattr(op, "name", None) or type(op).__name__).lower()


def _smooth(output):
    """All that a derivative of `output` leads to."""
    return _led_to(output, lambda one: _is_float(one) and not (one.owner and _is_jump(one.owner)))


def _felt(output):
    """All that the numbers of `output` hang on; not what has its shape alone from."""
    return _led_to(output, lambda one: True)


def _led_to(output, passes):
    seen, left = set(), [output]
    while left:
        one = left.pop()
        if one in seen:
            continue
        seen.add(one)
        if one.owner is not None and passes(one) and not isinstance(one.owner.op, Shape | Shape_i):
            like = getattr(one.owner.op, "scalar_op", None)
            left += one.owner.inputs[isinstance(like, scalar.Second) :]
    return seen
