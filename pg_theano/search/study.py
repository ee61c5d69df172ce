"""A search from its beginning to its outcome: begun in a new folder, or resumed; its best trial, as a config."""

import os
import socket
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from pg_theano.config import user_code
from pg_theano.runs import folder as runs
from pg_theano.runs import places
from pg_theano.search import rounds, samplers, trials
from pg_theano.search.plan import CHANGEABLE, PLAN, Plan, read_plan, with_params, written
from pg_theano.search.rounds import Search, Shown
from pg_theano.search.storage import Store, Trial
from pg_theano.system import distribute, locks, opening, seals
from pg_theano.system.console import printable
from pg_theano.system.writing import write_atomically
from pg_theano.types import UserError


class Outcome(NamedTuple):
    """The end of a search."""

    plan: Plan
    folder: Path
    trials: list[Trial]
    status: str  # finished | budget | interrupted
    seconds: float  # of this process; of a resumed search, since it was resumed
    bookkeeping: float  # seconds of these in which the coordinator worked, and waited for no worker


def new(plan: Plan, run_dir: str | os.PathLike[str] | None, show: Shown, say: Callable[[str], None]) -> Outcome:
    """Begin a search in a new folder: `run_dir`, or runs/<name>, or the next free."""
    code = _code(plan, say, user_code.NEW)
    samplers.next_candidates(plan, [], 1)  # a grid over the limit, a missing library: before there is a folder
    folder = places.new_folder(plan.name) if run_dir is None else places.exact_folder(Path(run_dir))
    with locks.held(folder):
        if (folder / PLAN).exists():  # it was empty a moment ago
            raise UserError(f"{folder}: not empty; another process has just searched in it; name another folder")
        facts = {"folder": str(plan.folder), "versions": runs.versions(), "argv": sys.argv, "sealed": [PLAN]}
        facts["fingerprint"] = runs.fingerprint(plan.config)
        facts["code"] = code
        with _workers(plan) as workers:
            store = _opened(plan, folder, say)
            seals.write_json(folder / "search.json", facts)
            seals.write_text(folder / PLAN, written(plan).encode())  # last: it makes the folder a search
            return _outcome(Search(plan, folder, store, workers, show, say, False))


def resume(
    path: Path, overrides: Sequence[str], show: Shown, say: Callable[[str], None], *, force: bool = False
) -> Outcome:
    """Go on with the search of a folder. Errors: `UserError` for a folder without one, or in use (by whom), a knob that
    may not change, and, without `force`, versions or a machine that give other numbers."""
    for override in overrides:
        if not override.startswith(CHANGEABLE):
            raise UserError(
                f"{override}: a resumed search keeps its config; only search.budget, search.workers and search.cluster "
                "may change"
            )
    read_folder(path)  # before the lock is made in a folder that is none
    with locks.held(path):
        plan = read_folder(path, overrides)
        then = seals.read_json(path / "search.json")
        code = then.get("code")
        then = then.get("fingerprint", {"versions": then.get("versions", {})})
        _code(plan, say, code)
        runs.check_fingerprint(path, then, runs.fingerprint(plan.config), force)
        with _workers(plan) as workers:
            store = _opened(plan, path, say)
            say(_kept(path, store.trials()))
            return _outcome(Search(plan, path, store, workers, show, say, force))


def read_folder(path: Path, overrides: Sequence[str] = ()) -> Plan:
    """The plan of a search's folder. Errors: `UserError` where it is none."""
    if not (path / PLAN).is_file():
        raise UserError(f"{path}: no search in it (no {PLAN}); expected a folder such as runs/search-cartpole")
    try:
        facts = seals.read_json(path / "search.json")
        folder, is_sealed = Path(facts["folder"]), PLAN in facts.get("sealed", ())
    except (OSError, KeyError, TypeError, UserError):
        raise UserError(f"{path / 'search.json'}: missing or damaged; expected what pg_theano.search wrote") from None
    if is_sealed and not seals.yaml_is_whole(opening.own_file(path / PLAN)):
        raise UserError(
            f"{path / PLAN}: not as the search wrote it (its checksum does not agree); expected no change by hand; try "
            "putting it back and --resume with search.budget.trials=..., or a new search"
        )
    return read_plan(opening.own_file(path / PLAN), overrides)._replace(folder=folder)


def _kept(path: Path, found: Sequence[Trial]) -> str:
    """One line: the trials that a resumed search has and does not repeat, and those that go on."""
    counts = counted(found)
    running = counts.pop("running")
    by_state = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    ended = f"{sum(counts.values())} trials kept" + (f" ({by_state})" if by_state else "")
    folders = 0 if found else sum(1 for _ in (path / "trials").glob("*"))
    lost = f"; warning: {folders:,} have a folder and no record: their journal is gone, and they are run again"
    begun = f"; {running} that were begun go on" if running else ""
    return f"{path}: resumed: {ended}{begun}{lost if folders else ''}"


def _code(plan: Plan, say: Callable[[str], None], recorded: Any) -> dict[str, Any]:
    """The record of the user's code: of the base, and of the choices of the space."""
    choices = [(axis.name, one) for axis in plan.axes if axis.name in user_code.KNOBS for one in axis.choices or ()]
    more = [(knob, name) for knob, one in choices for name in (one if isinstance(one, list) else [one])]
    return user_code.check(plan.config, [plan.folder], say, recorded, [(k, n) for k, n in more if isinstance(n, str)])


def _opened(plan: Plan, folder: Path, say: Callable[[str], None]) -> Store:
    store = Store(folder, plan.search.storage, plan.name, plan.axes, plan.maximise, say)
    store.claim(plan.identity(), f"{folder.resolve()} on {socket.gethostname()}")
    return store


def _workers(plan: Plan) -> distribute.Workers:
    """Started before the study is opened, so that they import their modules meanwhile."""
    search = plan.search
    return distribute.opened(workers=search.workers, cluster=search.cluster, function=trials.evaluate_group)


def _outcome(search: Search) -> Outcome:
    status, seconds, bookkeeping = rounds.searched(search)
    return Outcome(search.plan, search.folder, search.store.trials(), status, seconds, bookkeeping)


def alone(plan: Plan, folder: Path, trial: Trial) -> Trial:
    """The trial with the score that its config has by itself.

    Agents that train together round differently from one that trains alone, and a rounding may change an action. The
    reported score of the best trial is the one that its config reproduces.
    """
    path = folder / "best" / f"{trial.number:05}"
    task = rounds.task(plan, folder, trial, 1.0) | {"base": by_itself(plan.base), "path": str(path.resolve())}
    result = trials.evaluate(task)
    return trial if result["score"] is None else trial._replace(score=result["score"])


# -- results


def best(outcome_trials: Sequence[Trial], maximise: bool) -> Trial | None:
    """The best complete trial, the earlier of equals; None where there is none."""
    complete = [trial for trial in outcome_trials if trial.state == "complete" and trial.score is not None]
    sign = -1.0 if maximise else 1.0
    return min(complete, key=lambda trial: (sign * (trial.score or 0.0), trial.number), default=None)


def counted(found: Sequence[Trial]) -> dict[str, int]:
    """Trials by state, all four named."""
    counts = Counter(trial.state for trial in found)
    return {state: counts[state] for state in ("complete", "pruned", "failed", "running")}


def by_itself(base: dict[str, Any]) -> dict[str, Any]:
    """A base whose runs train one after the other."""
    return {key: value for key, value in base.items() if key != "agents_per_process"}


def config_of(plan: Plan, trial: Trial) -> dict[str, Any]:
    """The base with the trial's parameters and its seeds; several seeds become the runs of one command."""
    seeds = trial.facts["seeds"]
    data = with_params(by_itself(plan.base), trial.params) | {"seed": seeds[0]}
    return {"name": f"best-{plan.name}"[:64], **data, **({"runs": len(seeds)} if len(seeds) > 1 else {})}


def write_best(plan: Plan, trial: Trial, folder: Path, trials: int) -> Path:
    """Write `configs/best-<search>.yaml`; it replaces an earlier one."""
    path = Path("configs") / f"best-{plan.name}.yaml"
    score = f"{trial.score:.10g}"
    seeds = trial.facts["seeds"]
    mean = "" if len(seeds) == 1 else f" in the mean of seeds {seeds[0]} to {seeds[-1]}"
    text = (
        f"# Trial {trial.number} of {trials}, the best that {plan.search.method} found in {printable(str(folder))}.\n"
        f"# {plan.search.objective}: {score}{mean}. The score is of the seeds that chose it; on others expect less.\n"
        f"#\n#   python -m pg_theano.train {path}\n\n"
    )
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, (text + yaml.safe_dump(config_of(plan, trial), sort_keys=False)).encode())
    return path
