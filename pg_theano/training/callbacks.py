"""Callbacks: functions that look on while a run learns, and may stop it; and those for TensorBoard and other trackers.

def stop_early(update, metrics, policy):
    print(update, metrics["return_mean"], policy(obs))
    return metrics["entropy"] < 0.1                     # True stops the run, which is then saved as at any end

def adaptive(update, metrics, policy):                  # knobs hold from the next update on, until others are given
    if metrics["kl"] > 0.02:
        return {"learning_rate": metrics["learning_rate"] / 1.5}

pg_theano.run("configs/cartpole.yaml", callbacks=[stop_early, TensorBoard()])
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from pg_theano.config import changing
from pg_theano.config.knobs import Config
from pg_theano.config.reading import to_dict
from pg_theano.policies.policy import About, Policy, acting_part
from pg_theano.system import opening
from pg_theano.system.importing import module_named
from pg_theano.training.setting import Setting
from pg_theano.types import Knobs, State, UserError


class Callback(Protocol):
    """Called after every update, with its number (from 0), its record as in `metrics.jsonl`, and the policy as it is.

    The policy is a copy that cannot be written to: what a callback does changes nothing that is learned. It is None for
    a policy of one's own, which NumPy cannot follow. Where the callback has methods `begin(config, folder)` and
    `finish(result)`, they are called before the first update and after the last; of several runs, for each.

    What it returns: True stops the run; a mapping such as `{"learning_rate": 1e-4}` is of knobs for the next update,
    inputs of the graph by name. They hold until another is given, after a resume too, and each record has them.
    """

    def __call__(
        self, update: int, metrics: Mapping[str, Any], policy: Policy | None
    ) -> bool | Mapping[str, float] | None: ...


class Told:
    """The callbacks of one run. Errors: `UserError` that names the callback which raised, and the update."""

    def __init__(self, callbacks: Sequence[Callback], setting: Setting):
        self.callbacks, self.setting, self.folder = list(callbacks), setting, setting.folder.path
        self.begun = False
        self._policy: Policy | None = None

    def begin(self) -> None:
        """Before the first update."""
        for callback in self.callbacks:
            self._called(callback, "begin", self.setting.config, self.folder)
        self.begun = True

    def update(self, record: Mapping[str, Any], state: State) -> tuple[bool, Knobs]:
        """Tell all of them; returns (whether any asked the run to stop, the knobs that they gave; the last one's hold).

        Errors: `UserError` for a knob that is none, and a value that it cannot have.
        """
        policy, stop = self._policy_at(state), False
        given: Knobs = {}
        for callback in self.callbacks:
            answer = self._told(callback, dict(record), policy)
            if isinstance(answer, Mapping):
                given |= self._checked(callback, record["update"], answer)
            else:
                stop = stop or bool(answer)
        return stop, given

    def _checked(self, callback: Callback, update: int, given: Mapping[str, Any]) -> Knobs:
        try:
            return changing.inputs(self.setting.config, given)
        except UserError as error:
            where = f"{self.folder}: the callback {_name_of(callback)} at update {update}"
            raise UserError.at(where, str(error)) from None

    def _policy_at(self, state: State) -> Policy | None:
        setting = self.setting
        if not setting.spec.acting.in_numpy:  # NumPy cannot follow it
            return None
        if self._policy is None:
            name, knobs = setting.config.algorithm.name, to_dict(setting.config)
            about = About(setting.task.id, name, knobs, self.folder.name, "training")
            self._policy = Policy(*acting_part(setting.spec, state), setting.task.spaces or {}, about)
        return self._policy.at(setting.spec, state)

    def _told(self, callback: Callback, record: dict[str, Any], policy: Policy | None) -> Any:
        with self._named(callback, f"at update {record['update']}", "; the run is saved as it was before that update"):
            return callback(record["update"], record, policy)

    def finish(self, result: Mapping[str, Any]) -> None:
        for callback in self.callbacks if self.begun else ():
            self._called(callback, "finish", dict(result))

    def _called(self, callback: Callback, method: str, *arguments: Any) -> None:
        with self._named(callback, f"in {method}"):
            getattr(callback, method, lambda *_: None)(*arguments)

    @contextlib.contextmanager
    def _named(self, callback: Callback, where: str, more: str = "") -> Iterator[None]:
        try:
            yield
        except UserError:
            raise
        except Exception as error:
            told = f"{type(error).__name__}: {error}{more}"
            raise UserError(f"{self.folder}: the callback {_name_of(callback)} raised {where}: {told}") from error


def _name_of(callback: Callback) -> str:
    return getattr(callback, "__name__", type(callback).__name__)


# -- the names that dashboards have

STABLE_BASELINES = {
    "return_mean": "rollout/ep_rew_mean",
    "length_mean": "rollout/ep_len_mean",
    "exploration_rate": "rollout/exploration_rate",
    "cost": "train/loss",
    "policy_loss": "train/policy_gradient_loss",
    "value_loss": "train/value_loss",
    "kl": "train/approx_kl",
    "clip_fraction": "train/clip_fraction",
    "explained_variance": "train/explained_variance",
    "learning_rate": "train/learning_rate",
    "return_std": "rollout/ep_rew_std",
    "return_min": "rollout/ep_rew_min",
    "return_max": "rollout/ep_rew_max",
    "length_max": "rollout/ep_len_max",
    "evaluation_mean": "eval/mean_reward",
    "evaluation_std": "eval/std_reward",
    "evaluation_min": "eval/min_reward",
    "evaluation_max": "eval/max_reward",
    "evaluation_sampled_mean": "eval/mean_reward_sampled",
    "episodes": "time/episodes",
    "seconds": "time/time_elapsed",
}
"""Our names to those of Stable-Baselines3's logger, or to new ones where it has none; all others are `train/<name>`."""


def scalars(metrics: Mapping[str, Any]) -> dict[str, float]:
    """A record with the names of Stable-Baselines3's logger. Figures that are null are left out.

    `time/total_timesteps` is env steps, `time/iterations` counts from 1, `time/fps` is env steps a second, and
    `train/entropy_loss` is minus the entropy, as there.
    """
    found = {
        STABLE_BASELINES.get(name, f"train/{name}"): float(value)
        for name, value in metrics.items()
        if name not in ("update", "env_steps") and isinstance(value, int | float)
    }
    if isinstance(metrics.get("entropy"), int | float):
        found["train/entropy_loss"] = -float(metrics["entropy"])
    found["time/total_timesteps"] = float(metrics["env_steps"])
    found["time/iterations"] = float(metrics["update"] + 1)
    if metrics.get("seconds"):
        found["time/fps"] = metrics["env_steps"] / metrics["seconds"]
    return found


class TensorBoard:
    """Writes `<run>/tensorboard/` over env steps. Needs the extra `tensorboard`: tensorboardX, without TensorFlow."""

    def __init__(self) -> None:
        self._module = _imported("tensorboardX", "tensorboard")

    def begin(self, config: Config, folder: Path) -> None:
        self._writer = self._module.SummaryWriter(str(opening.own_folder(folder / "tensorboard")))
        self._writer.add_text("config", _as_markdown(to_dict(config)), 0)

    def __call__(self, update: int, metrics: Mapping[str, Any], policy: Policy | None) -> None:
        for name, value in scalars(metrics).items():
            self._writer.add_scalar(name, value, metrics["env_steps"])

    def finish(self, result: Mapping[str, Any]) -> None:
        if result.get("evaluation"):
            self._writer.add_scalar("eval/mean_reward_final", result["evaluation"]["mean"], result["env_steps"])
        self._writer.close()


class Tracker:
    """Logs each run as a run of Weights & Biases, or of trackio, which is called in the same way."""

    def __init__(self, library: str = "wandb", project: str = "pg_theano", **options: Any):
        self._library, self._project, self._options = _imported(library, None), project, options

    def begin(self, config: Config, folder: Path) -> None:
        self._library.init(project=self._project, name=folder.name, config=to_dict(config), **self._options)

    def __call__(self, update: int, metrics: Mapping[str, Any], policy: Policy | None) -> None:
        self._library.log(scalars(metrics))

    def finish(self, result: Mapping[str, Any]) -> None:
        self._library.finish()


LOGS: dict[str, Callable[[], Callback]] = {
    "tensorboard": TensorBoard,
    "wandb": lambda: Tracker("wandb"),
    "trackio": lambda: Tracker("trackio"),
}
"""What `--log` takes."""


def of_logs(names: Sequence[str], where: str = "--log") -> list[Callback]:
    """The callbacks of `--log` words. Errors: `UserError` for a name that is none, a library that is not installed."""
    for name in names:
        if name not in LOGS:
            raise UserError(f"{where}: got {name:.60}; expected {', '.join(LOGS)}")
    return [LOGS[name]() for name in names]


def _imported(name: str, extra: str | None) -> Any:
    try:
        return module_named(name)
    except ImportError:
        wanted = f'"pg_theano[{extra}]"' if extra else name
        raise UserError(f"{name}: not installed; try pip install {wanted}") from None


def _as_markdown(data: Mapping[str, Any], prefix: str = "") -> str:
    """A line for each knob, indented by four spaces: TensorBoard shows that as it is, as a block of code."""
    return "\n".join(
        _as_markdown(value, f"{prefix}{key}.") if isinstance(value, dict) else f"    {prefix}{key}: {value}"
        for key, value in data.items()
    )
