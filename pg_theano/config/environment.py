"""The knobs of `environment`: what is played, by whom, and what follows a fault."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, field_validator

from pg_theano.config.kinds import FUNCTION, Positive, Section, knob


class Environment(Section):
    id: str = knob("CartPole-v1", "Gymnasium's id; `module:Id` imports the module first", min_length=1)
    api: Literal["gymnasium", "gym", "pettingzoo"] = knob(
        "gymnasium",
        "gym: `id` is module:Class, written to the API of Gym before 0.26; pettingzoo: module:factory of a parallel "
        "environment, one policy for all agents",
    )
    num_envs: int = knob(16, "environments stepped side by side", ge=1, le=65536)
    engine: Literal["auto", "compiled", "gymnasium", "vector"] = knob(
        "auto",
        "who steps: the compiled dynamics where they are the same task, or Gymnasium; vector: the task's own "
        "vectorised class, though its spaces are others than those of gymnasium.make",
    )
    dynamics: str | None = knob(
        None, "a symbolic environment of your own instead of `id`, module:Class", pattern=f"^{FUNCTION}$"
    )
    kwargs: dict[str, Any] = knob({}, "keyword arguments of `gymnasium.make`")
    wrappers: list[str | dict[str, dict[str, Any]]] = knob(
        [], "wrappers in the order applied, each `module:Class`, or `{module:Class: {argument: value}}`"
    )
    observe: list[int | str] | None = knob(
        None, "features that are seen, and no others: places in the row of an observation, or keys of a Dict; null: all"
    )
    max_episode_steps: int | None = knob(None, "time limit in steps instead of the registered one", ge=1, le=10**7)
    workers: Annotated[int, Field(ge=0, le=1024)] | Literal["auto"] = knob(
        "auto",
        "processes that environments are stepped in which may die or hang; 0: in this one; auto: of Gymnasium's own "
        "tasks, in this one and one for each further core, where steps take so long that it pays",
    )
    timeout: Positive | None = knob(
        120.0, "seconds that one step or reset may take before it counts as hanging; null: for ever"
    )
    on_fault: Literal["stop", "skip", "restart"] = knob(
        "stop",
        "workers: what follows a fault: the run's end; its episode is dropped; the worker is started again "
        "and its episodes are replayed",
    )
    look: bool = knob(True, "play random actions before training, to see what is wrong with it and whether it replays")
    max_faults: int = knob(10, "workers: faults gone on after, before the run stops", ge=0, le=10**9)

    _action_mask: str = PrivateAttr("auto")

    @property
    def separate(self) -> int:
        """In how many processes environments are stepped alone, away from this one."""
        return 0 if self.workers == "auto" else self.workers

    @property
    def action_mask(self) -> str:
        """`policy.action_mask`, which who makes the environment must know."""
        return self._action_mask

    def masked_by(self, action_mask: str) -> Environment:
        self._action_mask = action_mask
        return self

    @field_validator("observe", mode="before")
    @classmethod
    def some(cls, observe: Any) -> Any:
        def names(one: Any) -> bool:
            return isinstance(one, str) or (type(one) is int and one >= 0)

        if isinstance(observe, list) and not (observe and all(map(names, observe))):
            raise ValueError(f"got {observe!r:.60}; expected places, counted from 0, as in [0, 2]; try null")
        return observe

    @field_validator("wrappers")
    @classmethod
    def one_each(cls, wrappers: list[Any]) -> list[Any]:
        for one in wrappers:
            if isinstance(one, dict) and len(one) != 1:
                raise ValueError(f"got {one!r:.60}; expected one wrapper in each {{module:Class: {{argument: value}}}}")
        return wrappers

    def wrapped(self) -> list[tuple[str, dict[str, Any]]]:
        """(module:Class, its keyword arguments) of each wrapper."""
        pairs = [next(iter(one.items())) if isinstance(one, dict) else (one, {}) for one in self.wrappers]
        return [(name, dict(kwargs)) for name, kwargs in pairs]

    def named(self) -> list[str]:
        """What is imported to make it: its id, and its wrappers."""
        return [self.id, *(name for name, _ in self.wrapped())]
