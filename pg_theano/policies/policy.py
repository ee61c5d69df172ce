"""A trained policy as a function of the observation: `pg_theano.load("runs/cartpole")`. NumPy only.

policy = pg_theano.load("runs/cartpole")       # or a policy.npz of `pg_theano.export`
action = policy(obs)                           # of one observation, or of a batch; as the environment takes it
policy.probs(obs)                              # of each action; of real numbers, their (mean, standard deviation)
policy.reset()                                 # of one that remembers: another episode begins
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from pg_theano import parameters
from pg_theano.environments import masks, spaces
from pg_theano.environments.rows import PARTS, is_alone, lifter, rows_of
from pg_theano.policies import masked
from pg_theano.policies.acting import nothing_remembered, numpy_act, probs
from pg_theano.spec import Acting, Spec
from pg_theano.types import GREEDY, SAMPLE, Array, State, UserError

NORMALIZER = ("normalizer/mean", "normalizer/variance")


class About(NamedTuple):
    """Where a policy comes from."""

    environment: str
    algorithm: str
    config: dict[str, Any]
    run: str
    checkpoint: str


class Policy:
    """What was learned, and nothing of how: the parameters of the policy, its normaliser, the spaces.

    Called with one observation, as the environment gives it, it returns one action, as the environment takes it; with
    a batch of them, a batch. A row of F numbers, or [N, F], is taken for what the observation was made into.

    One that remembers (`acting.memory_size`) goes on from the call before: `reset()` where an episode begins, or
    `began=` with a flag for each row of a batch. A batch of another size begins anew.
    Where the environment has a mask of actions, it comes as `mask`, [A] or [N, A], or as the observation has it: as its
    key, or as the last A numbers of a row. Errors: `UserError` for an observation of another shape, one that is not
    finite, a mask that is missing, is none, or allows nothing.
    """

    def __init__(self, acting: Acting, state: State, described: dict[str, Any], about: About):
        self.acting, self.state, self.described, self.about = acting, state, described, about
        self.observation_space = spaces.from_data(described["observation"])
        self._observation = rows_of(described["observation"], acting.dtype)
        self._lift = lifter(described["observation"])
        self.action_space = spaces.from_data(described["action"])
        self._given = spaces.action_of(self.action_space, about.environment, acting.squash).given
        self._act = numpy_act(acting, with_log_prob=False)
        self._memory = nothing_remembered(acting, 0)

    def at(self, spec: Spec, state: State) -> Policy:
        """The same policy with the parameters of a training State, copied, which nobody can write to."""
        other = copy.copy(self)
        other.reset()
        other.state = acting_part(spec, state)[1]
        for name, array in other.state.items():
            other.state[name] = array = array if array.base is None else array.copy()
            array.setflags(write=False)
        return other

    def reset(self) -> None:
        """Forget: another episode begins. Does nothing to a policy that does not remember."""
        self._memory = nothing_remembered(self.acting, 0)

    def __call__(self, obs: Any, mask: Any = None, *, began: Any = None) -> Any:
        """The likeliest action; of real numbers, the mean. `began` [N]: the rows at which an episode begins."""
        rows, single = self._rows(obs, mask)
        return self._finished(self._chosen(rows, None, GREEDY, began), single)

    def sample(
        self, obs: Any, rng: np.random.Generator | int | None = None, mask: Any = None, *, began: Any = None
    ) -> Any:
        """An action drawn from the policy, by a generator, or one of a seed; `began` as when it is called."""
        rng = np.random.default_rng(rng)
        rows, single = self._rows(obs, mask)
        kind, size = self.acting.noise_kind
        drawn = rng.random((len(rows), size)) if kind == "uniform" else rng.standard_normal((len(rows), size))
        noise = drawn.astype(self.acting.dtype)
        return self._finished(self._chosen(rows, noise, SAMPLE, began), single)

    def _chosen(self, rows: Array, noise: Array | None, choice: int, began: Any) -> Array:
        """What is chosen at observations [N, F]; what is remembered goes on."""
        memory = self._remembered(len(rows))
        if began is not None:
            flags = np.asarray(began, bool)
            if flags.shape != (len(rows),):
                got = f"got began of shape {list(flags.shape)}"
                raise UserError(
                    f"{self.about.environment}: {got}; expected a flag for each of {len(rows)} observations"
                )
            memory = [np.where(flags[:, None], 0, one).astype(one.dtype) for one in memory]
        action, _, *self._memory = self._act(self.state, rows, noise, {"exploration_rate": 0.0}, choice, *memory)
        return action

    def _remembered(self, rows: int) -> list[Array]:
        """What is remembered of so many rows [N, M]: nothing where there were others before."""
        fits = bool(self._memory) and len(self._memory[0]) == rows
        return self._memory if fits else nothing_remembered(self.acting, rows)

    def probs(self, obs: Any, mask: Any = None) -> Any:
        """What the policy thinks of an observation; a batch has a leading axis [N] everywhere. What a mask rules out
        has the probability 0.

        Discrete: π(a|o), [A]. MultiDiscrete: a list of [A_c], one of each component. MultiBinary: P(1), [C].
        Box: (mean, standard deviation) of the numbers that are drawn, [C] each, before they are clipped or squashed.
        What is remembered counts, and does not change.
        """
        rows, single = self._rows(obs, mask)
        found = probs(self.acting, self.state, rows, *self._remembered(len(rows)))
        if isinstance(found, Array):
            return found[0] if single else found
        return type(found)(part[0] if single else part for part in found)

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
        action_masks: Any = None,
    ) -> tuple[Any, Any]:
        """(actions, state), as Stable-Baselines3 calls a model, and sb3-contrib one that takes masks: `evaluate_policy`
        of either takes this policy for one.

        `state` is what a policy remembers, (memory [N, M],) as the call before gave it; None: nothing.
        """
        self._memory = [] if state is None else [np.array(one, self.acting.dtype) for one in state]
        self._rng = getattr(self, "_rng", None) or np.random.default_rng()
        began = None if episode_start is None or not self.acting.memory_size else np.atleast_1d(episode_start)
        drawn = {} if deterministic else {"rng": self._rng}
        action = (self if deterministic else self.sample)(observation, mask=action_masks, began=began, **drawn)
        return action, tuple(self._memory) or state

    def _finished(self, action: Array, single: bool) -> Any:
        given = self._given(action)
        return given[0] if single else given

    def _rows(self, obs: Any, mask: Any = None) -> tuple[Array, bool]:
        """(observations as rows [N, F], which end with the mask; whether it was one)."""
        source, size = self.described.get("mask"), self.acting.mask_size
        if source and mask is None and isinstance(obs, dict) and source["name"] in obs:
            obs, mask = masks.without(obs, source["name"]), obs[source["name"]]
        elif source and mask is None and np.shape(obs)[-1:] == (self.acting.obs_size,):
            values = np.asarray(obs)
            obs, mask = values[..., :-size], values[..., -size:]
        rows, single = self._seen(obs)
        if not source and mask is None:
            return rows, single
        if not source or mask is None:
            got, expected = ("no mask", f"mask={masks.place_of(self.described)}") if source else ("a mask", "none")
            advice = f"mask=numpy.ones({size})" if source else "without it: it was trained so"
            raise UserError.at(self.about.environment, f"got {got}", expected, advice)
        return masked.joined(self.acting, rows, [mask] if single else mask, self.about.environment), single

    def _seen(self, obs: Any) -> tuple[Array, bool]:
        """The same without masks."""
        try:
            with np.errstate(over="ignore"):  # an infinity is told of below
                found, single = self._converted(obs)
        except (ValueError, TypeError, KeyError, IndexError) as error:
            raise UserError(
                f"{self.about.environment}: got an observation that is none ({error}); expected one of "
                f"{self.observation_space}, or a batch of them"
            ) from None
        if not np.isfinite(found).all():
            raise UserError(f"{self.about.environment}: the observation is not finite; expected finite numbers")
        return found, single

    def _converted(self, obs: Any) -> tuple[Array, bool]:
        data, size = self.described["observation"], self.acting.num_features
        if data["kind"] in PARTS:
            if not isinstance(obs, np.ndarray):
                single = is_alone(data, obs)
                return self._observation.convert(self._lift(obs) if single else obs), single
        else:
            values, shape = np.asarray(obs), tuple(data["shape"])
            for single, fits in ((True, values.shape == shape), (False, values.shape[1:] == shape and values.ndim > 0)):
                if fits:
                    return self._observation.convert(values[None] if single else values), single
        values = np.asarray(obs)
        if values.shape in ((size,), (len(values) if values.ndim else 0, size)):  # what it is made into
            return np.array(values, self.acting.dtype).reshape(-1, size), values.ndim == 1
        expected = f"expected one of {self.observation_space}, or a batch of them"
        raise UserError(f"got an observation of shape {list(values.shape)}; {expected}")


# -- to a file, and from one


def acting_part(spec: Spec, state: State) -> tuple[Acting, State]:
    """Policy and state with what acts, and nothing else: no value network, no code of the user's."""
    acting = spec.acting
    named = parameters.views(np.asarray(state["params"]), acting.layout)
    layout = [entry for entry in acting.layout if not parameters.is_value(entry[0])]
    kept = {name: np.asarray(state[name]) for name in NORMALIZER if acting.normalize_observations}
    params = np.concatenate([named[name].ravel() for name, *_ in layout])
    network = acting.network._replace(value=())
    return dataclasses.replace(acting, layout=layout, network=network), {"params": params} | kept


def seen_of(described: dict[str, Any]) -> tuple[int, list[int] | None]:
    """(how many numbers a whole observation has, the places of those that are seen; None: all)"""
    seen = described["observation"]
    return spaces.size_of(spaces.whole_of(seen)), seen.get("observe")


def picked_of(described: dict[str, Any]) -> tuple[int, list[int] | None]:
    """The same of rows that end with a mask, where there is one."""
    return seen_of(described)[0] + ("mask" in described and spaces.size_of(described["action"])), masks.places(
        described
    )


@contextlib.contextmanager
def said_of(what: str) -> Iterator[None]:
    """Whatever follows from a description that describes nothing is an error of the file."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{what} ({' '.join(str(error).split())[:200]})") from None
