"""A learner to hold: `pg_theano.Agent`. A thin hand on runs: all that it does, the commands do too.

    agent = pg_theano.Agent("LunarLander-v3", "ppo", num_envs=16, learning_rate=3e-4)
    agent.learn(env_steps=500_000)             # once more: goes on
    agent.evaluate(episodes=100)
    action, _ = agent.predict(obs)
    agent.save("lander"); agent = pg_theano.Agent.load("lander")

`learn` is `pg_theano.run`, and after the first time `run(resume=...)` with a larger budget: an agent's run and the
command's are equal, bit for bit.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pg_theano.config import changing, reading
from pg_theano.config.kinds import Schedule
from pg_theano.config.knobs import Config
from pg_theano.config.tables import in_sections, knob_named
from pg_theano.environments import given as environments
from pg_theano.policies.policy import Policy
from pg_theano.reports import shown_run
from pg_theano.runs import changes, checkpoints, curves, places, policy_of_run
from pg_theano.runs import folder as runs
from pg_theano.training import evaluating
from pg_theano.training.run import Chosen
from pg_theano.types import UserError

if TYPE_CHECKING:
    from pg_theano.training.callbacks import Callback


class Agent:
    """Learns in an environment, and keeps a run folder of all that it did.

    `environment` is an id, a class, a function that makes one, an environment, a `gymnasium.vector.VectorEnv`; without
    one, the config's. `algorithm` is one of `algorithm.name`. `config` is a file, a dict or a Config that lies below.
    Every other word is a knob, by its own name where only one has it (`learning_rate`), or by its path
    (`**{"policy.hidden": [64]}`); a section may be a dict. `display` makes the screen from a title, as for
    `pg_theano.run`.

    A knob can be read and, between two calls of `learn`, written: `agent.learning_rate = 1e-4`.
    Errors: `UserError` for an unknown knob, and wherever `pg_theano.run` raises it.
    """

    def __init__(
        self,
        environment: object = None,
        algorithm: str | None = None,
        *,
        config: Chosen = None,
        run_dir: str | Path | None = None,
        display: Any = None,
        **knobs: Any,
    ):
        shown_run.check_config(config)
        own: dict[str, Any] = {} if algorithm is None else {"algorithm": {"name": algorithm}}
        for name, value in knobs.items():
            own = reading.laid_over(own, in_sections(name, value))
        self._keep(
            _data=reading.laid_over(_data_of(config), own),
            _environment=environment,
            _options={"display": display, "folder_of_config": reading.resolved(config).folder, "run_dir": run_dir},
            _changed={},
            _policy=None,
            run_folder=None,
            result=None,
        )
        with self._found() as found:  # what is wrong is said here
            self._keep(_new=reading.resolved(self._data, own=found).config)

    # -- learning

    def learn(
        self,
        env_steps: int | None = None,
        *,
        updates: int | None = None,
        seconds: float | None = None,
        callbacks: Sequence[Callback] | Callback = (),
        **options: Any,
    ) -> Agent:
        """Learn for so many more environment steps, updates or seconds; without any, as long as the config's budget.

        It ends before where the task is solved, as the command does; asked once more, it goes on. Ctrl-C keeps what was
        learned. `options` are those of `pg_theano.run`: `live`, `plot` (False here).
        """
        wanted = {"env_steps": env_steps, "updates": updates, "seconds": seconds}
        given = any(value is not None for value in wanted.values())
        self._run({"budget": wanted} if given else {}, plot=False, callbacks=callbacks, **options)
        return self

    def _run(self, over: Mapping[str, Any], **options: Any) -> None:
        """A new run, or one that goes on."""
        options = {"display": self._options["display"], "environment": self._environment} | options
        if self.run_folder is None:
            config = reading.laid_over(copy.deepcopy(self._data), over)
            where = {name: self._options[name] for name in ("folder_of_config", "run_dir")}
            result = shown_run.run(config, (), shown_run.Options(**where, **options))
        else:
            budget = over.get("budget") or self._new.budget.model_dump()
            words = [*self._more(budget), *(f"{knob}={json.dumps(value)}" for knob, value in self._changed.items())]
            resumed = shown_run.Options(resume=self.run_folder, change=bool(self._changed), **options)
            result = shown_run.run(None, words, resumed)
        self._keep(run_folder=result.folder, result=result, _changed={}, _policy=None)

    def _more(self, budget: Mapping[str, Any]) -> Iterator[str]:
        """The budget of a run that goes on: what it has done, and as much more."""
        done = checkpoints.newest(self.run_folder / "checkpoints").facts["counters"]
        for name, value in budget.items():
            yield f"budget.{name}={'null' if value is None else done[name] + value}"
        if (runs.read_result(self.run_folder) or {}).get("status") == "solved":
            yield "solved.stop=false"

    def _begun(self) -> Path:
        """The run's folder; before the first `learn`, of a run with the parameters that it will begin with."""
        if self.run_folder is None:
            self._run({}, plot=False, only_begin=True)
        return self.run_folder

    # -- acting

    @property
    def policy(self) -> Policy:
        """The policy as a function of the observation: the best of those that were evaluated, as `pg_theano.load`."""
        if self._policy is None:
            self._keep(_policy=policy_of_run.load(self._begun()))
        return self._policy

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[Any, Any]:
        """(actions, state) of one observation or a batch, as Stable-Baselines3 calls a model."""
        return self.policy.predict(observation, state, episode_start, deterministic)

    def evaluate(self, episodes: int = 100, *, policy: str = "greedy", seed: int = 0) -> dict[str, Any]:
        """Mean, std, min, max and n of returns in fresh environments, as `pg_theano.evaluate` gives them.

        `policy`: "greedy" or "sampled".
        """
        if policy not in ("greedy", "sampled"):
            raise UserError.at("policy", f"got {policy!r:.40}", '"greedy" or "sampled"', '"greedy"')
        folder = self._begun()
        with environments.again(self._environment, self.config.environment):
            return evaluating.evaluate(folder, episodes=episodes, seed=seed, sampled=policy == "sampled")

    # -- what it left

    @property
    def config(self) -> Config:
        """The knobs as they are now: of the run, with what was changed since."""
        if self.run_folder is None:
            return self._new
        config, facts = runs.read_run(self.run_folder)
        return changing.changed(changes.config_after(config, changes.of(facts)), self._changed)

    @property
    def curve(self) -> dict[str, list[float]]:
        """`metrics.jsonl` as columns, NaN where an update has no such figure: `pandas.DataFrame(agent.curve)`."""
        columns = {} if self.run_folder is None else curves.read_metrics(self.run_folder)
        return {name: column.tolist() for name, column in columns.items() if name != "record"}

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Copy the run's folder; the commands read it there too. Errors: `UserError` where something is at `path`.

        With `overwrite` another run's folder there is replaced, and nothing else.
        """
        source, to = self._begun(), Path(path)
        places.check_name(to, "save")
        if to.exists() and not (overwrite and (to / "run.json").is_file() and to.resolve() != source.resolve()):
            raise UserError.at(to, "is there already", "a new folder", "another, or overwrite=True if it is a run's")
        if to.exists():
            shutil.rmtree(to)
        shutil.copytree(source, to, ignore=shutil.ignore_patterns("lock", "*.tmp", "config.yaml"))
        shutil.copy2(source / "config.yaml", to)  # last: it makes the folder a run
        return to

    @classmethod
    def load(cls, path: str | Path, environment: object = None, *, display: Any = None) -> Agent:
        """The agent of a run's folder, whoever trained it; `learn` goes on in it.

        `environment`: the one that it was given in Python, where the run cannot name it.
        """
        path = Path(path)
        config, facts = runs.read_run(path)
        with environments.again(environment, config.environment):
            agent = cls(config=config, display=display) if environment is None else cls(environment, config=config)
        agent._keep(run_folder=path, _options=agent._options | {"folder_of_config": Path(facts["folder"])})
        return agent

    def _repr_html_(self) -> str | None:
        return self.result._repr_html_() if self.result is not None else None

    def __repr__(self) -> str:
        config, folder = self.config, self.run_folder and str(self.run_folder)
        return f"Agent({config.environment.id!r}, {config.algorithm.name!r}, run_folder={folder!r})"

    # -- its knobs

    def __getattr__(self, name: str) -> Any:
        """The value of a knob, by its own name; of a constant schedule, its number."""
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            knob = knob_named(name)
        except UserError as error:
            raise AttributeError(str(error)) from None
        value: Any = self.config
        for part in knob.split("."):
            value = getattr(value, part)
        return value.initial if isinstance(value, Schedule) and value.kind == "constant" else value

    def __setattr__(self, name: str, value: Any) -> None:
        """Change a knob between two calls of `learn`. Errors: `UserError`: an unknown one, or not a value of it."""
        if name in type(self).__dict__ or name in self.__dict__:
            raise UserError.at(name, "is no knob", "one, such as learning_rate", "a new Agent")
        change = in_sections(name, value)
        if self.run_folder is None:
            data = reading.laid_over(copy.deepcopy(self._data), change)
            with self._found() as found:
                self._keep(_data=data, _new=reading.resolved(data, own=found).config)
            return
        knob, before = knob_named(name), dict(self._changed)
        self._changed[knob] = functools.reduce(lambda inner, part: inner[part], knob.split("."), change)
        try:
            _ = self.config
        except UserError:
            self._keep(_changed=before)
            raise

    def _keep(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)

    @contextlib.contextmanager
    def _found(self) -> Iterator[dict[str, Any] | None]:
        """The knobs of the environment that was given, while it is held."""
        if self._environment is None:
            yield None
            return
        with environments.given(self._environment, reading.from_dict(self._data).environment) as found:
            yield found


def _data_of(config: Chosen) -> dict[str, Any]:
    """A config as plain data in which only what was said stands."""
    if config is None:
        return {}
    if isinstance(config, Config):
        return reading.to_dict(config)
    return copy.deepcopy(dict(config)) if isinstance(config, Mapping) else reading.read_data(config).data
