"""The trials of a search, in Optuna's storage; and Optuna's samplers, used without it. The only importer of optuna.

One process writes: the coordinator. A trial is begun in one operation, with its parameters, and ended in one, after
all that is known of it: a process killed anywhere leaves trials that are whole, or running and evaluated again.
"""

import json
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pg_theano.search import journal
from pg_theano.search.axes import Axis, label
from pg_theano.search.stored import STATES, Trial, TrialState, decoded, trials_of, unreadable
from pg_theano.system import importing, opening
from pg_theano.types import UserError

JOURNAL = "study.journal"
BEING_MADE = 10.0
"""Seconds that a study in a shared storage may take from being made to saying whose it is."""


class Store:
    """The study of one search, from opening to closing. Errors: `UserError` if it belongs to another search."""

    def __init__(
        self,
        folder: Path,
        address: str | None,
        name: str,
        axes: Sequence[Axis],
        maximise: bool,
        say: Callable[[str], None] = lambda text: None,  # called where something had to be mended
    ):
        optuna = _optuna()
        self.axes, self.maximise, self.name = tuple(axes), maximise, name
        self.place, self.shared = str(folder / JOURNAL) if address is None else address, address is not None
        try:
            self.storage = _journal(optuna, folder / JOURNAL, say) if address is None else _rdb(optuna, address)
            self.study, self.made = _study(optuna, self.storage, name, maximise)
        except (UserError, OSError):
            raise
        except Exception as error:  # whatever follows from operations that are none
            raise unreadable(self.place, error) from None
        self.id = self.study._study_id

    def claim(self, identity: dict[str, Any], holder: str) -> None:
        """Take a new study, or go on with the search's own. Errors: `UserError` if it belongs to another search."""
        found = self.study.user_attrs
        until = time.monotonic() + BEING_MADE
        while self.shared and not self.made and "identity" not in found and time.monotonic() < until:
            if self.study.get_trials(deepcopy=False):
                break
            time.sleep(0.05)  # of two processes that begin at once one makes the study, and is about to say whose it is
            found = self.study.user_attrs
        if "identity" not in found:
            if self.study.get_trials(deepcopy=False) or (self.shared and not self.made):
                raise UserError(f"{self.place}: study {self.name} was not made by pg_theano.search; give another name")
            self.study.set_user_attr("holder", holder)
            self.study.set_user_attr("identity", json.dumps(identity, sort_keys=True))
            return
        try:
            before = dict(opening.parsed(found["identity"]))
        except (ValueError, TypeError) as error:
            raise unreadable(self.place, error) from None
        ours = json.loads(json.dumps(identity))
        before |= {"base": _with_newer_knobs(before.get("base"), ours["base"])}
        for base in (before["base"], ours["base"]):
            if isinstance(base, dict) and isinstance(base.get("environment"), dict):
                base["environment"].pop("workers", None)  # who steps the environments changes nothing that comes of it
        if before != ours:
            differ = sorted(key for key in before | ours if before.get(key) != ours.get(key))
            space = ", ".join(before.get("space", {}))
            raise UserError(
                f"{self.place}: study {self.name} is another search's: {before.get('method')} for "
                f"{before.get('objective')} over {space}, of {found.get('holder')}; {', '.join(differ)} differ. Give "
                "this one another name or storage"
            )
        if self.shared and found.get("holder") != holder:  # a journal file moves with its folder
            raise UserError(
                f"{self.place}: study {self.name} is the search of {found.get('holder')}; to go on with it: "
                "--resume that folder, or give this one another name"
            )

    def trials(self) -> list[Trial]:
        return trials_of(self.study, self.axes, self.place)

    def begin(self, trial: Trial) -> None:
        self.study.add_trial(_frozen(trial, self.axes))

    def report(self, number: int, rung: int, score: float) -> None:
        self.storage.set_trial_intermediate_value(self._id_of(number), rung, score)

    def end(self, trial: Trial) -> None:
        """Write its facts, in one operation (each is synced to the disk), and then its state, which ends it."""
        id = self._id_of(trial.number)
        begun = self.storage.get_trial(id).user_attrs
        facts = {name: value for name, value in trial.facts.items() if name not in begun}
        self.storage.set_trial_user_attr(id, "result", facts)
        state = _state_of(trial.state)
        self.storage.set_trial_state_values(id, state, None if trial.score is None else [trial.score])

    def _id_of(self, number: int) -> int:
        return self.storage.get_trial_id_from_study_id_trial_number(self.id, number)


def read(folder: Path, address: str | None, name: str, axes: Sequence[Axis]) -> list[Trial]:
    """The trials of a search, for one who only reads: nothing is made, mended or locked.

    Errors: `UserError`: no such study or storage; with `--no-user-code`, a database that is no file.
    """
    optuna, place = _optuna(), str(folder / JOURNAL) if address is None else address
    try:
        if address is None:
            storage = optuna.storages.JournalStorage(journal.Read(folder / JOURNAL))
        else:
            storage = optuna.storages.RDBStorage(_to_read(address), skip_table_creation=True)
        study = optuna.load_study(storage=storage, study_name=name)
    except (UserError, OSError):
        raise
    except Exception as error:  # and those of each database's driver
        raise unreadable(place, error) from None
    return trials_of(study, axes, place)


def proposals(
    axes: Sequence[Axis], trials: Sequence[Trial], count: int, maximise: bool, sampler_of: Callable[[int], Any]
) -> list[dict[str, Any]]:
    """What an Optuna sampler proposes for the next `count` trials, each knowing of those before it.

    Asked in memory of a copy of the history: a function of history and seed, the same in a search that was killed and
    resumed. `sampler_of` (trial number) -> sampler.
    """
    optuna = _optuna()
    study = optuna.create_study(direction="maximize" if maximise else "minimize")
    study.add_trials([_frozen(trial, axes) for trial in trials])
    distributions = {axis.name: _distribution(axis) for axis in axes}
    made = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that this option of a sampler is experimental
        for number in range(len(trials), len(trials) + count):
            study.sampler = sampler_of(number)
            made.append(decoded(study.ask(distributions).params, axes))
    return made


def importances(axes: Sequence[Axis], trials: Sequence[Trial], maximise: bool) -> dict[str, float]:
    """Each knob's share of the variance of the scores (fANOVA, Hutter et al. 2014); {} of fewer than four trials."""
    optuna = _optuna()
    complete = [trial for trial in trials if trial.state == "complete"]
    if len(complete) < 4 or len({trial.score for trial in complete}) < 2:
        return {}
    study = optuna.create_study(direction="maximize" if maximise else "minimize")
    study.add_trials([_frozen(trial, axes) for trial in complete])
    varied = [axis.name for axis in axes if len({label(trial.params[axis.name]) for trial in complete}) > 1]
    evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=32, seed=0)
    return dict(optuna.importance.get_param_importances(study, evaluator=evaluator, params=varied))


def tpe(seed: int) -> Any:
    """Tree-structured Parzen estimator (Bergstra et al. 2011), multivariate; running trials count as bad ones."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _optuna().samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)


def gp(seed: int) -> Any:
    """Optuna's own Gaussian process. Errors: `UserError` without torch."""
    try:
        import torch  # noqa: F401 - Optuna needs it later, and would fail in the middle
    except ImportError:
        raise UserError(
            "search.method: gp is Optuna's sampler on torch, which is missing; pip install torch, or take bayesian"
        ) from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _optuna().samplers.GPSampler(seed=seed)


def base_sampler() -> Any:
    """The base class of our own sampler."""
    return _optuna().samplers.BaseSampler


# -- between ours and Optuna's


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise UserError('pg_theano.search needs Optuna: pip install "pg_theano[search]"') from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _journal(optuna: Any, path: Path, say: Callable[[str], None]) -> Any:
    backend = journal.backend_class(optuna.storages.journal.JournalFileBackend)
    return optuna.storages.JournalStorage(backend(opening.own_file(path), say))


def _study(optuna: Any, storage: Any, name: str, maximise: bool) -> tuple[Any, bool]:
    """(the study, whether this process made it). If several processes ask at once, one of them makes it."""
    direction = "maximize" if maximise else "minimize"
    try:
        return optuna.create_study(storage=storage, study_name=name, direction=direction), True
    except optuna.exceptions.DuplicatedStudyError:
        return optuna.load_study(storage=storage, study_name=name), False


def _rdb(optuna: Any, address: str) -> Any:
    try:
        return optuna.storages.RDBStorage(address)
    except Exception as error:  # SQLAlchemy's own, of which there are many, and those of each database's driver
        first = str(error).strip().splitlines()[0]
        raise UserError(f"search.storage: {address} cannot be opened ({first})") from None


def _to_read(address: str) -> str:
    """The address of a database that is read. One that is a file has to be there, and is not written to."""
    from sqlalchemy.engine import make_url

    url = make_url(address)
    if url.get_backend_name() == "sqlite":
        path = opening.own_file(Path(url.database or ""))
        if not path.is_file():
            raise UserError(f"{address}: no such file; expected the storage of the search; try from its folder")
        return f"sqlite:///file:{quote(str(path.resolve()))}?mode=ro&uri=true"
    if importing.refused():
        raise UserError(f"search.storage: got {address}; expected a file with --no-user-code; try it without")
    return address


def _state_of(state: TrialState) -> Any:
    optuna = _optuna()
    return optuna.trial.TrialState[next(name for name, ours in STATES.items() if ours == state)]


def _distribution(axis: Axis) -> Any:
    kinds = _optuna().distributions
    if axis.choices is not None:
        return kinds.CategoricalDistribution([label(choice) for choice in axis.choices])
    if axis.integer:
        return kinds.IntDistribution(int(axis.low), int(axis.high), log=axis.log)
    return kinds.FloatDistribution(axis.low, axis.high, log=axis.log)


def _frozen(trial: Trial, axes: Sequence[Axis]) -> Any:
    return _optuna().create_trial(
        state=_state_of(trial.state),
        value=trial.score if trial.state in ("complete", "pruned") else None,
        params={axis.name: label(trial.params[axis.name]) for axis in axes},
        distributions={axis.name: _distribution(axis) for axis in axes},
        user_attrs=trial.facts,
        intermediate_values=trial.rungs,
    )


def _with_newer_knobs(before: Any, now: Any) -> Any:
    """A search as it was written; knobs that there have come to be since are no difference."""
    if not (isinstance(before, dict) and isinstance(now, dict)):
        return before
    return now | {key: _with_newer_knobs(value, now.get(key)) for key, value in before.items()}
