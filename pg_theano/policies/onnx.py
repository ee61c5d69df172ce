"""A policy as an ONNX model. The only importer of onnx (extra `export`).

inputs    obs [N, ...], as the environment gives them: a box of any shape, else rows of numbers; whole, also where
          only some features are seen
          mask [N, A], int8, a 1 for each choice that is allowed; where the policy was trained with masks
outputs   action [N, ...], the likeliest, as the environment takes it; then
          probs [N, A]              discrete, and P(1) [N, C] of multi-binary
          probs_1 [N, A_1], ...     multi-discrete
          mean, std [N, C]          box, before clipping and squashing
A policy that remembers has `memory` [N, M] in, zeros where an episode begins, and `next_memory` out.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from pg_theano import parameters
from pg_theano.policies import choosing, masked, networks
from pg_theano.policies.policy import Policy, seen_of
from pg_theano.types import Array, UserError

OPSET = 17  # of 2022: what every runtime of today reads
IR_VERSION = 8


Output = tuple[str, Any, list[int]]
"""Name, dtype and dimensions after the first."""


class _Graph:
    """Nodes and constants, added in order."""

    def __init__(self, onnx: Any, dtype: str):
        self.onnx, self.dtype = onnx, np.dtype(dtype)
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, value: Any, dtype: Any = None) -> str:
        name = f"constant_{len(self.constants)}"
        array = np.asarray(value, dtype or self.dtype)
        self.constants.append(self.onnx.numpy_helper.from_array(array, name))
        return name

    def add(self, op: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        output = output or f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(op, list(inputs), [output], **attributes))
        return output


def model_of(policy: Policy) -> bytes:
    """The model, serialized. Errors: `UserError` where onnx is not installed."""
    try:
        import onnx
    except ImportError:
        raise UserError('--to onnx: onnx is not installed; try pip install "pg_theano[export]"') from None
    acting, described = policy.acting, policy.described
    graph = _Graph(onnx, acting.dtype)
    helper = onnx.helper
    size, seen = seen_of(described)
    box = described["observation"]["kind"] == "Box"
    shape = described["observation"]["shape"] if box else [size]
    given = np.dtype(described["observation"]["dtype"]) if box else graph.dtype
    rows = graph.add("Cast", "obs", to=helper.np_dtype_to_tensor_dtype(graph.dtype))
    if len(shape) != 1:
        rows = graph.add("Reshape", rows, graph.constant([-1, size], np.int64))
    if seen is not None:
        rows = graph.add("Gather", rows, graph.constant(seen, np.int64), axis=1)
    outputs, hidden, named = _network(graph, policy, rows)
    if acting.mask_size:
        allowed = graph.add("Cast", "mask", to=onnx.TensorProto.BOOL)
        outputs = graph.add("Where", allowed, outputs, graph.constant(masked.NEVER))
    head = {
        "discrete": _discrete,
        "multi_discrete": _multi_discrete,
        "multi_binary": _multi_binary,
        "box": _box,
    }[acting.action.kind]
    action, others = head(graph, policy, outputs, hidden, named)
    taken = np.dtype(described["action"]["dtype"])
    graph.add("Cast", action, output="action", to=helper.np_dtype_to_tensor_dtype(taken))
    remembered = [(graph.dtype, [acting.memory_size])] if acting.memory_size else []
    masks = [("mask", np.dtype(np.int8), [acting.mask_size])] if acting.mask_size else []

    def info(name: str, kind: Any, dims: list[int]) -> Any:
        return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(kind)), ["N", *dims])

    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "policy",
            [info("obs", given, shape), *(info(*one) for one in masks), *(info("memory", *one) for one in remembered)],
            [
                *(info(*one) for one in [("action", taken, described["action"]["shape"]), *others]),
                *(info("next_memory", *one) for one in remembered),
            ],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="pg_theano",
    )
    about = model.metadata_props.add()
    about.key, about.value = "pg_theano", json.dumps(policy.about._asdict())
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def _network(graph: _Graph, policy: Policy, rows: str) -> tuple[str, str, dict[str, Array]]:
    """(outputs [N, K], what the last layer was given [N, H], the parameters by name)."""
    acting, state = policy.acting, policy.state
    named = parameters.views(state["params"], acting.layout)
    if acting.normalize_observations:
        mean, std = networks.normalizer(state)
        centred = graph.add("Sub", rows, graph.constant(mean))
        rows = graph.add("Clip", graph.add("Div", centred, graph.constant(std)), *map(graph.constant, (-10.0, 10.0)))
    *hidden, head = acting.path("policy")
    rows = networks.nodes_of(hidden, named, graph, rows)
    outputs = networks.nodes_inside([head], [named[name] for name, *_ in head.arrays], graph, rows)
    return outputs, rows, named


def _discrete(graph: _Graph, policy: Policy, outputs: str, hidden: str, named: Any) -> tuple[str, list[Output]]:
    if policy.acting.logistic:
        zeros = graph.add("Sub", outputs, outputs)
        outputs = graph.add("Concat", zeros, outputs, axis=1)
    graph.add("Softmax", outputs, output="probs", axis=1)
    action = graph.add("ArgMax", outputs, axis=1, keepdims=0)
    return graph.add("Add", action, graph.constant(policy.described["action"]["start"], np.int64)), [
        ("probs", graph.dtype, policy.acting.action.choices)
    ]


def _multi_discrete(graph: _Graph, policy: Policy, outputs: str, hidden: str, named: Any) -> tuple[str, list[Output]]:
    choices = policy.acting.action.choices
    parts = [f"logits_{c}" for c in range(len(choices))]
    split = graph.onnx.helper.make_node("Split", [outputs, graph.constant(choices, np.int64)], parts, axis=1)
    graph.nodes.append(split)
    names = [graph.add("Softmax", part, output=f"probs_{c + 1}", axis=1) for c, part in enumerate(parts)]
    each = [graph.add("ArgMax", part, axis=1, keepdims=1) for part in parts]
    action = graph.add("Concat", *each, axis=1)
    others: list[Output] = [(name, graph.dtype, [n]) for name, n in zip(names, choices, strict=True)]
    described = policy.described["action"]
    started = graph.add("Add", action, graph.constant(np.ravel(described["start"]), np.int64))
    return _shaped(graph, started, described["shape"]), others


def _multi_binary(graph: _Graph, policy: Policy, outputs: str, hidden: str, named: Any) -> tuple[str, list[Output]]:
    graph.add("Sigmoid", outputs, output="probs")
    shape = policy.described["action"]["shape"]
    return _shaped(graph, graph.add("Greater", outputs, graph.constant(0.0)), shape), [
        ("probs", graph.dtype, [policy.acting.action.size])
    ]


def _box(graph: _Graph, policy: Policy, outputs: str, hidden: str, named: dict[str, Array]) -> tuple[str, list[Output]]:
    """min(max(μ, low), high), or low + (high − low)·(tanh μ + 1)/2; whole numbers are rounded."""
    acting, described = policy.acting, policy.described["action"]
    size = acting.action.size
    mean = outputs
    if acting.log_std == "state_dependent":
        mean, raw = "mean_part", "log_std_part"
        sizes = graph.constant([size, size], np.int64)
        graph.nodes.append(graph.onnx.helper.make_node("Split", [outputs, sizes], [mean, raw], axis=1))
        std = graph.add("Exp", _bounded(graph, raw))
    elif acting.noise == "state_dependent":  # √(φ²ᵀ·σ² + least)
        squares = graph.add("Mul", hidden, hidden)
        variance = graph.add("MatMul", squares, graph.constant(np.exp(2 * named[parameters.LOG_STD])))
        std = graph.add("Sqrt", graph.add("Add", variance, graph.constant(choosing.LEAST_VARIANCE)))
    else:
        std = graph.add("Sub", mean, mean)  # zeros, for a search's policy, which is without chance
        if parameters.LOG_STD in named:
            std = graph.add("Add", std, graph.constant(np.exp(named[parameters.LOG_STD])))
    graph.add("Identity", mean, output="mean")
    graph.add("Identity", std, output="std")
    low, high = (np.asarray(bound, np.float64) for bound in (acting.action.low, acting.action.high))
    action = mean
    if acting.squash:
        above = graph.add("Add", graph.add("Tanh", mean), graph.constant(1.0))
        action = graph.add("Add", graph.add("Mul", above, graph.constant((high - low) / 2)), graph.constant(low))
    action = graph.add("Min", graph.add("Max", action, graph.constant(low)), graph.constant(high))
    if np.dtype(described["dtype"]).kind in "iub":
        action = graph.add("Round", action)
    return _shaped(graph, action, described["shape"]), [(name, graph.dtype, [size]) for name in ("mean", "std")]


def _bounded(graph: _Graph, raw: str) -> str:
    """As `choosing._drawn_of_network`: least + softplus((most − softplus(most − x)) − least)."""
    least, most = graph.constant(choosing.LEAST_LOG_STD), graph.constant(choosing.MOST_LOG_STD)
    below = graph.add("Sub", most, graph.add("Softplus", graph.add("Sub", most, raw)))
    return graph.add("Add", least, graph.add("Softplus", graph.add("Sub", below, least)))


def _shaped(graph: _Graph, action: str, shape: list[int]) -> str:
    return action if len(shape) == 1 else graph.add("Reshape", action, graph.constant([-1, *shape], np.int64))
