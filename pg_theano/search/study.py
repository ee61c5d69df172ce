"""The coordinator: asks for a batch, has it evaluated, tells its results in the order of their numbers, and again.

It alone writes; workers only evaluate. What is asked depends on the trials before it and on nothing else, and a batch
is asked for and told as a whole: the outcome is the same with one worker or eight, and after a kill anywhere. Where
nothing is learned from a batch, several make a round, so that workers do not wait for each other.
"""

from __future__ import annotations

import math
import os
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pg_theano.config import user_code
from pg_theano.runs import folder as runs
from pg_theano.runs import places
from pg_theano.search import samplers, trials
from pg_theano.search.best import by_itself
from pg_theano.search.plan import CHANGEABLE, PLAN, Plan, read_plan, written
from pg_theano.search.storage import Store, Trial, TrialState
from pg_theano.system import distribute, locks, opening, seals
from pg_theano.types import UserError

Shown = Callable[[Plan, Sequence[Trial], float], None]
"""Called with the trials so far whenever some have been told, and the seconds."""


FAILURES = 8
"""As many trials, or a batch of them, failing one after the other end a search: a fifth may fail of themselves."""
TRIALS_A_WORKER = 16
"""In a round of several batches: at its end a worker waits for half a trial, 3 % of its time."""


class Outcome(NamedTuple):
    """What a search left."""

    plan: Plan
    folder: Path
    trials: list[Trial]
    status: str  # finished | budget | interrupted
    seconds: float  # of this process; of a resumed search, since it was resumed
    bookkeeping: float  # seconds of these in which the coordinator asked, told and wrote, and nobody was waited for


def new(plan: Plan, run_dir: str | os.PathLike[str] | None, show: Shown, say: Callable[[str], None]) -> Outcome:
    """Begin a search in a new folder: `run_dir`, or runs/<name>, or the next free."""
    code = _code(plan, say, user_code.NEW)
    samplers.next_candidates(plan, [], 1)  # a grid over the limit, a missing library: before there is a folder
    folder = places.new_folder(plan.name) if run_dir is None else places.exact_folder(Path(run_dir))
    lock = locks.locked(folder)
    try:
        if (folder / PLAN).exists():  # it was empty a moment ago
            raise UserError(f"{folder}: not empty; another process has just searched in it; name another folder")
        facts = {"folder": str(plan.folder), "versions": runs.versions(), "argv": sys.argv, "sealed": [PLAN]}
        facts["fingerprint"] = runs.fingerprint(plan.config)
        facts["code"] = code
        with _workers(plan) as workers:
            store = _opened(plan, folder, say)
            seals.write_json(folder / "search.json", facts)
            seals.write_text(folder / PLAN, written(plan).encode())  # last: it makes the folder a search
            return _searched(_Search(plan, folder, store, workers, show, say, False))
    finally:
        locks.unlocked(lock)


def resume(
    path: Path, overrides: Sequence[str], show: Shown, say: Callable[[str], None], *, force: bool = False
) -> Outcome:
    """Go on with the search of a folder. Errors: `UserError`: none, in use (by whom), a knob that may not change, a
    process that differs in what the numbers depend on (without `force`)."""
    for override in overrides:
        if not override.startswith(CHANGEABLE):
            raise UserError(
                f"{override}: a resumed search keeps its config; only search.budget, search.workers and search.cluster "
                "may change"
            )
    read_folder(path)  # before the lock is made in a folder that is none
    lock = locks.locked(path)
    try:
        plan = read_folder(path, overrides)
        then = seals.read_json(path / "search.json")
        code = then.get("code")
        then = then.get("fingerprint", {"versions": then.get("versions", {})})
        _code(plan, say, code)
        runs.check_fingerprint(path, then, runs.fingerprint(plan.config), force)
        with _workers(plan) as workers:
            store = _opened(plan, path, say)
            say(_kept(path, store.trials()))
            return _searched(_Search(plan, path, store, workers, show, say, force))
    finally:
        locks.unlocked(lock)


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
    """What a resumed search has and does not do again, and what it goes on with."""
    counts = counted(found)
    running = counts.pop("running")
    by_state = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    ended = f"{sum(counts.values())} trials kept" + (f" ({by_state})" if by_state else "")
    folders = 0 if found else sum(1 for _ in (path / "trials").glob("*"))
    lost = f"; warning: {folders:,} have a folder and no record: their journal is gone, and they are run again"
    begun = f"; {running} that were begun go on" if running else ""
    return f"{path}: resumed: {ended}{begun}{lost if folders else ''}"


def _code(plan: Plan, say: Callable[[str], None], recorded: Any) -> dict[str, Any]:
    """What is recorded of the user's code: of the base, and of what the space chooses from."""
    choices = [(axis.name, one) for axis in plan.axes if axis.name in user_code.KNOBS for one in axis.choices or ()]
    more = [(knob, name) for knob, one in choices for name in (one if isinstance(one, list) else [one])]
    return user_code.check(plan.config, [plan.folder], say, recorded, [(k, n) for k, n in more if isinstance(n, str)])


def _opened(plan: Plan, folder: Path, say: Callable[[str], None]) -> Store:
    store = Store(folder, plan.search.storage, plan.name, plan.axes, plan.maximise, say)
    store.claim(plan.identity(), f"{folder.resolve()} on {socket.gethostname()}")
    return store


def _workers(plan: Plan) -> distribute.Workers:
    """Opened before the study is: they import what they need meanwhile."""
    search = plan.search
    return distribute.opened(workers=search.workers, cluster=search.cluster, function=trials.evaluate_group)


class _Search(NamedTuple):
    """A search while it goes on."""

    plan: Plan
    folder: Path
    store: Store
    workers: distribute.Workers
    show: Shown
    say: Callable[[str], None]
    force: bool


def _searched(search: _Search) -> Outcome:
    """Round after round until the method or the budget ends."""
    plan, store = search.plan, search.store
    began = time.perf_counter()
    waited = 0.0
    found = store.trials()
    status = "budget"
    try:
        while True:
            search.show(plan, found, time.perf_counter() - began)
            spent = plan.search.budget.seconds
            is_open = any(trial.state == "running" for trial in found)
            if not is_open and spent is not None and time.perf_counter() - began >= spent:
                break
            found = _begun(search, found)
            running = [trial for trial in found if trial.state == "running"]
            if not running:
                left = plan.search.budget.trials
                status = "budget" if left is not None and len(found) >= left else "finished"
                break
            asked, told = time.perf_counter(), 0.0

            def tell(ended: Sequence[Trial]) -> None:
                """A batch of this round has ended, its trials in the order of their numbers."""
                nonlocal found, told
                at = time.perf_counter()
                for trial in ended:
                    store.end(trial)
                found = store.trials()
                _stop_if_all_failed(plan, found, ended, search.say)
                search.show(plan, found, at - began)
                told += time.perf_counter() - at

            if plan.search.pruning != "none":
                tell(_at_rungs(search, found, running[0].facts["batch"]))
            else:
                _to_the_end(search, running, tell)
            waited += time.perf_counter() - asked - told
        if found and all(trial.state == "failed" for trial in found):
            raise UserError(
                f"all {len(found)} trials failed; the first: {found[0].facts['reason']}; "
                "expected a finite score of one at least"
            )
    except KeyboardInterrupt:
        status = "interrupted"
    seconds = time.perf_counter() - began
    return Outcome(plan, search.folder, store.trials(), status, seconds, seconds - waited)


def _begun(search: _Search, found: list[Trial]) -> list[Trial]:
    """The trials with a round that is running: the one that was left open, its last batch filled up where it was
    killed being asked; or a new one."""
    plan, batch = search.plan, search.plan.search.batch
    last = found[-1].facts["batch"] if found else -1
    if any(trial.state == "running" for trial in found):
        room = batch - sum(trial.facts["batch"] == last for trial in found)
    else:
        last, room = last + 1, batch * _batches_at_once(search)
    if plan.search.budget.trials is not None:
        room = min(room, plan.search.budget.trials - len(found))
    if room <= 0:
        return found
    for i, candidate in enumerate(samplers.next_candidates(plan, found, room)):
        facts = {"batch": last + i // batch, "seeds": _seeds(plan, candidate.repeat)}
        trial = Trial(len(found), candidate.params, facts=facts)
        search.store.begin(trial)
        found = [*found, trial]
    return found


def _batches_at_once(search: _Search) -> int:
    """How many batches make a round: the workers wait for its last trial, and need not do so after every batch where
    nothing is learned from it. 120 trials of 0.4 seconds took two workers 27 seconds batch by batch, 25 in rounds."""
    settings, count = search.plan.search, search.workers.count
    if settings.method not in samplers.INDEPENDENT or settings.pruning != "none" or settings.budget.seconds is not None:
        return 1
    return math.ceil(TRIALS_A_WORKER * count * _group_size(search.plan) / settings.batch) if count > 1 else 1


def _group_size(plan: Plan) -> int:
    """Trials whose runs train together."""
    return max(1, plan.config.agents_per_process // plan.search.seeds_per_trial)


def _seeds(plan: Plan, repeat: int) -> list[int]:
    """Those of a trial's runs: the same for all candidates, so that luck is shared; a repeat has its own."""
    count = plan.search.seeds_per_trial
    return [plan.config.seed + repeat * count + i for i in range(count)]


def _groups(search: _Search, running: Sequence[Trial], share: float) -> list[list[dict[str, Any]]]:
    """Tasks of these trials, those together that train together."""
    tasks = [_task(search.plan, search.folder, trial, share) | {"force": search.force} for trial in running]
    size = _group_size(search.plan)
    return [tasks[start : start + size] for start in range(0, len(tasks), size)]


def _to_the_end(search: _Search, running: Sequence[Trial], tell: Callable[[Sequence[Trial]], None]) -> None:
    """Evaluate a round without rungs; each of its batches is told as soon as all before it have been."""
    left = list(running)
    ended: list[Trial] = []

    def take(results: Sequence[Mapping[str, Any]]) -> None:
        for result in map(_checked, results):
            trial = left.pop(0)
            ended.append(_ended(trial, result))
            if not left or left[0].facts["batch"] != trial.facts["batch"]:
                tell(ended)
                ended.clear()

    search.workers.map(trials.evaluate_group, _groups(search, running, 1.0), told=take)


def _at_rungs(search: _Search, found: Sequence[Trial], number_of_batch: int) -> list[Trial]:
    """The running trials of a batch, ended, in the order of their numbers; from each rung those left go on together.

    Trials of the batch that were told before a kill count at the rungs as they did.
    """
    settings, store = search.plan.search, search.store
    batch = [trial for trial in found if trial.facts["batch"] == number_of_batch]
    going = {trial.number: trial for trial in batch if trial.state == "running"}
    ended: dict[int, Trial] = {}
    for rung, share in enumerate([*settings.rungs, 1.0]):
        groups = _groups(search, list(going.values()), share)
        parts = search.workers.map(trials.evaluate_group, groups)
        results = {result["number"]: _checked(result) for part in parts for result in part}
        here = {trial.number: trial.rungs[rung] for trial in batch if rung in trial.rungs}
        for number, trial in list(going.items()):
            result = results[number]
            if result["score"] is None or result["ended"]:
                ended[number] = _ended(trial, result)
                del going[number]
            if result["score"] is not None and share < 1:
                here[number] = result["score"]
                store.report(number, rung, result["score"])
        if share < 1:
            earlier = [one.rungs[rung] for one in found if one.facts["batch"] < number_of_batch and rung in one.rungs]
            kept = survivors(here, earlier, settings.pruning)
            for number in sorted(set(going) - kept):
                ended[number] = _ended(going.pop(number), results[number])._replace(state="pruned")
    return [ended[number] for number in sorted(ended)]


def survivors(here: Mapping[int, float], earlier: Sequence[float], pruning: str) -> set[int]:
    """Who goes on from a rung, where greater is better: `here` are a batch's scores there, `earlier` other batches'.

    median: who is not below the median of all that were ever here (Golovin et al. 2017, section 3.2).
    successive_halving: the better half of the batch, rounded up (Jamieson and Talwalkar 2016); on a tie the earlier.
    """
    if not here:
        return set()
    if pruning == "median":
        values = sorted([*here.values(), *earlier])
        middle = (values[(len(values) - 1) // 2] + values[len(values) // 2]) / 2
        return {number for number, score in here.items() if score >= middle}
    order = sorted(here, key=lambda number: (-here[number], number))
    return set(order[: (len(order) + 1) // 2])


def _task(plan: Plan, folder: Path, trial: Trial, share: float) -> dict[str, Any]:
    return {
        "number": trial.number,
        "base": plan.base,
        "params": trial.params,
        "seeds": trial.facts["seeds"],
        "path": str((folder / "trials" / f"{trial.number:05}").resolve()),
        "folder": str(plan.folder),
        "objective": plan.search.objective,
        "share": share,
    }


def alone(plan: Plan, folder: Path, trial: Trial) -> Trial:
    """The trial with the score that its config has by itself.

    Agents that train together differ from those alone in their rounding, and a rounding may change an action. What is
    reported of the best one is what its config reproduces.
    """
    path = folder / "best" / f"{trial.number:05}"
    task = _task(plan, folder, trial, 1.0) | {"base": by_itself(plan.base), "path": str(path.resolve())}
    result = trials.evaluate(task)
    return trial if result["score"] is None else trial._replace(score=result["score"])


def _checked(result: Mapping[str, Any]) -> Mapping[str, Any]:
    """A score that is not finite is a failure: compared with others it would be the best, or the worst, or neither."""
    score = result["score"]
    if score is None or math.isfinite(score):
        return result
    return {**result, "score": None, "reason": f"its score is {score}; expected a finite number"}


def _ended(trial: Trial, result: Mapping[str, Any]) -> Trial:
    facts = {key: result[key] for key in ("scores", "seconds", "env_steps", "reason") if key in result}
    state: TrialState = "failed" if result["score"] is None else "complete"
    return trial._replace(state=state, score=result["score"], facts=trial.facts | facts)


def _stop_if_all_failed(plan: Plan, found: Sequence[Trial], ended: Sequence[Trial], say: Callable[[str], None]) -> None:
    """A failure is told and the search goes on; where a whole batch of them failed it would go on for nothing."""
    for trial in ended:
        if trial.state == "failed":
            say(f"trial {trial.number} failed: {trial.facts['reason']}")
    so_far = found[: ended[-1].number + 1]
    last = so_far[-max(plan.search.batch, FAILURES) :]
    if plan.search.method in ("cho", "grid") and any(trial.state != "failed" for trial in so_far):
        return  # neighbours in a grid fail together
    if len(last) >= max(plan.search.batch, FAILURES) and all(trial.state == "failed" for trial in last):
        raise UserError(
            f"the last {len(last)} trials failed; the first: {last[0].facts['reason']}; expected a finite score of one "
            "at least; mend that, or go on with --resume"
        )


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
