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
import difflib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pg_theano.config import reading
from pg_theano.config.tables import in_sections
from pg_theano.environments import given as environments
from pg_theano.policies.policy import Policy
from pg_theano.reports import animation, shown_run
from pg_theano.reports.held import Held, data_of, word_of
from pg_theano.runs import checkpoints, curves, places, policy_of_run, starting
from pg_theano.runs import folder as runs
from pg_theano.system.writing import replacing_folder
from pg_theano.training import evaluating, explaining
from pg_theano.training.run import Chosen
from pg_theano.types import UserError

if TYPE_CHECKING:
    from pg_theano.training.callbacks import Callback

LEARNS = ("env_steps", "updates", "seconds", "callbacks", "live")
"""What `Agent.learn` takes."""


class Agent(Held):
    """Learns in an environment, and keeps a run folder of all that it did.

    `environment` is an id, a class, a function that makes one, an environment, a `gymnasium.vector.VectorEnv`; without
    one, the config's. `algorithm` is one of `algorithm.name`. Each may be its section as a dict. `config` is a file, a
    dict or a Config that lies below. Every other word is a knob, by its own name where only one has it
    (`learning_rate`), or by its path (`**{"policy.hidden": [64]}`); a section may be a dict. `display` makes the screen
    from a title, as for `pg_theano.run`.

    A knob can be read and, between two calls of `learn`, written: `agent.learning_rate = 1e-4`.
    Errors: `UserError` for an unknown knob, and wherever `pg_theano.run` raises it.
    """

    def __init__(
        self,
        environment: object = None,
        algorithm: str | Mapping[str, Any] | None = None,
        *,
        config: Chosen = None,
        run_dir: str | Path | None = None,
        display: Any = None,
        **knobs: Any,
    ):
        shown_run.check_config(config)
        name_of: dict[str, Any] = {} if algorithm is None else {"name": algorithm}
        own: dict[str, Any] = {"algorithm": dict(algorithm) if isinstance(algorithm, Mapping) else name_of}
        if isinstance(environment, Mapping):
            own, environment = own | {"environment": dict(environment)}, None
        for name, value in knobs.items():
            own = reading.laid_over(own, in_sections(name, value))
        folder = Path.cwd() if isinstance(config, Mapping) else reading.resolved(config).folder
        self._keep(
            _data=reading.laid_over(data_of(config), own),
            _environment=environment,
            _options={"display": display, "folder_of_config": folder, "run_dir": run_dir},
            _changed={},
            _policy=None,
            run_folder=None,
            result=None,
        )
        self._keep(_new=self._resolved(self._data))  # what is wrong is said here

    # -- learning

    def learn(
        self,
        env_steps: int | None = None,
        *,
        updates: int | None = None,
        seconds: float | None = None,
        callbacks: Sequence[Callback | str] | Callback | str = (),
        live: str | Path | None = None,
        **others: Any,
    ) -> Agent:
        """Learn for so many more environment steps, updates or seconds; without any, as long as the config's budget.

        It ends before where the task is solved, as the command does; asked once more, it goes on. Ctrl-C keeps what was
        learned. `callbacks` and `live` are those of `pg_theano.run`.
        """
        for name in others:
            near = difflib.get_close_matches(name.replace("timesteps", "env_steps"), LEARNS, 1)
            advice = f"{near[0]}=..." if near else f"agent.{name} = ... before it" if hasattr(self, name) else ""
            raise UserError.at(name, "is nothing that learn takes", ", ".join(LEARNS), advice)
        wanted: dict[str, Any] = {"env_steps": env_steps, "updates": updates, "seconds": seconds}
        if any(value is not None for value in wanted.values()):
            wanted = reading.from_dict({"budget": wanted}, name="learn:").budget.model_dump()
        else:
            wanted = self._new.budget.model_dump()
        self._run({"budget": wanted}, callbacks=callbacks, live=live)
        return self

    def _run(self, over: Mapping[str, Any], **options: Any) -> None:
        """A new run, or one that goes on."""
        options = {"display": self._options["display"], "environment": self._environment, "plot": False} | options
        if self.run_folder is None:
            config = reading.laid_over(copy.deepcopy(self._data), over)
            where = {name: value for name, value in self._options.items() if name != "display"}
            result = shown_run.run(config, (), shown_run.Options(**where, **options))
        else:
            words = [
                *self._more(over["budget"]),
                *(f"{knob}={json.dumps(value)}" for knob, value in self._changed.items()),
            ]
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
            self._run({}, only_begin=True)
        return self.run_folder

    # -- acting

    @property
    def policy(self) -> Policy:
        """The policy as a function of the observation: the best of those that were evaluated, as `pg_theano.load`."""
        if self._policy is None:
            self._keep(_policy=policy_of_run.load(self._begun()))
        return self._policy

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
        action_masks: Any = None,
    ) -> tuple[Any, Any]:
        """(actions, state) of one observation or a batch, as Stable-Baselines3 calls a model; see `Policy.predict`."""
        return self.policy.predict(observation, state, episode_start, deterministic, action_masks)

    def evaluate(
        self, episodes: int = 100, *, environment: object = None, policy: str = "greedy", seed: int = 0
    ) -> dict[str, Any]:
        """Mean, std, min, max and n of returns in fresh environments, as `pg_theano.evaluate` gives them.

        `environment`: another one with the same spaces. `policy`: "greedy" or "sampled".
        """
        with self._at_play(policy, episodes, seed) as how:
            return evaluating.evaluate(self.run_folder, environment=environment, **how)

    def explain(self, episodes: int = 10, *, policy: str = "greedy", seed: int = 0) -> explaining.Explained:
        """Which numbers of the observation the policy reacts to, over the states that it meets: a table in a notebook.

        See `pg_theano.training.explaining.explain`.
        """
        with self._at_play(policy, episodes, seed) as how:
            return explaining.explain(self.run_folder, **how)

    def watch(
        self, gif: str | Path | None = None, *, episodes: int = 1, policy: str = "greedy", seed: int = 0
    ) -> list[animation.Played]:
        """Play episodes in a window or into a GIF, as `python -m pg_theano.watch`; (return, steps, ended) of each."""
        with self._at_play(policy, episodes, seed) as how:
            return list(animation.watch(self.run_folder, gif=gif and _path("watch", gif), **how))

    @contextlib.contextmanager
    def _at_play(self, policy: str, episodes: int, seed: int) -> Iterator[dict[str, Any]]:
        """How a run's policy plays, while its environment is held."""
        checked = reading.from_dict({"evaluation": {"episodes": episodes}, "seed": seed}, name="play:")
        if policy not in ("greedy", "sampled"):
            raise UserError.at("policy", f"got {policy!r:.40}", '"greedy" or "sampled"', '"greedy"')
        self._begun()
        with environments.again(self._environment, self.config.environment):
            yield {"episodes": checked.evaluation.episodes, "seed": checked.seed, "sampled": policy == "sampled"}

    # -- what it left

    @property
    def curve(self) -> dict[str, list[float]]:
        """`metrics.jsonl` as columns, NaN where an update has no such figure: `pandas.DataFrame(agent.curve)`."""
        columns = {} if self.run_folder is None else curves.read_metrics(self.run_folder)
        return {name: column.tolist() for name, column in columns.items() if name != "record"}

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Copy the run's folder; the commands read it there too. Errors: `UserError` where something is at `path`.

        With `overwrite` another run's folder there is replaced, and nothing else.
        """
        source, to = self._begun(), _path("save", path)
        places.check_name(to, "save")
        runs.read_run(source)
        one, other = source.resolve(), to.resolve()
        apart = not (one.is_relative_to(other) or other.is_relative_to(one))
        if os.path.lexists(to) and not (overwrite and apart and (to / "run.json").is_file()):
            raise UserError.at(to, "is there already", "a new folder", "another, or overwrite=True if it is a run's")
        if not apart:
            raise UserError.at(to, f"lies in {source}", "a folder of its own", "another")
        try:
            with replacing_folder(to) as new:  # whole, or not at all
                shutil.copytree(source, new, ignore=shutil.ignore_patterns("lock", "*.tmp"))
        except OSError as error:
            raise UserError.at(to, f"cannot be written ({error.strerror or error})", "another folder") from error
        return to

    @classmethod
    def load(
        cls,
        path: str | Path,
        environment: object = None,
        *,
        display: Any = None,
        run_dir: str | Path | None = None,
        from_optimizer: bool = False,
        **knobs: Any,
    ) -> Agent:
        """The agent of a run's folder, whoever trained it; `learn` goes on in it.

        `environment`: the one that it was given in Python, where the run cannot name it. With other knobs, or another
        environment, the agent is a new one that begins with what that run has learned, as `run(start_from=...)`: what
        fits is taken, and the optimiser's state too with `from_optimizer`.
        """
        path = _path("load", path)
        config, facts = runs.read_run(path)
        if knobs or run_dir or from_optimizer or not environments.is_of(environment, config.environment):
            words = [word_of(name, value) for name, value in knobs.items()]
            begun = starting.resolved(starting.From(path, from_optimizer), words)
            agent = cls(environment, config=begun.config, run_dir=run_dir, display=display)
            source = {"start_from": path, "from_optimizer": from_optimizer, "folder_of_config": begun.folder}
            agent._keep(_options=agent._options | source)
            return agent
        with environments.again(environment, config.environment):
            agent = cls(environment, config=config, display=display)
        agent._keep(run_folder=path, _options=agent._options | {"folder_of_config": Path(facts["folder"])})
        return agent

    def _repr_html_(self) -> str | None:
        return self.result._repr_html_() if self.result is not None else None

    def __repr__(self) -> str:
        config, folder = self.config, self.run_folder and str(self.run_folder)
        return f"Agent({config.environment.id!r}, {config.algorithm.name!r}, run_folder={folder!r})"


def _path(of: str, given: Any) -> Path:
    if not isinstance(given, str | os.PathLike) or "\0" in os.fspath(given):
        raise UserError.at(of, f"got {given!r:.60}", "a path", f"{of}('lander')")
    return Path(given)
