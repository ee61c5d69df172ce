"""The coordinator: asks for a batch, has it evaluated, records the results in the order of their numbers, and again.

It alone writes; workers only evaluate. A batch depends on the trials before it and on nothing else, and is asked for
and recorded as a whole: the outcome is the same with one worker or eight, and after a kill anywhere. Methods that learn
nothing from a batch ask for several in a round, so that workers do not wait for each other.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pg_theano.search import samplers, trials
from pg_theano.search.plan import Plan
from pg_theano.search.storage import Store
from pg_theano.search.stored import Trial, TrialState
from pg_theano.system import distribute, opening
from pg_theano.types import UserError

Shown = Callable[[Plan, Sequence[Trial], float], None]
"""Called with the plan, the trials so far and the seconds, whenever some trials have ended."""

FAILURES = 8
"""So many trials that fail one after the other, or a whole batch, end a search: a fifth may fail by their nature."""
TRIALS_A_WORKER = 16
"""In a round of several batches: at the end of it a worker waits for half a trial, 3 % of its time."""


class Search(NamedTuple):
    """A search that runs."""

    plan: Plan
    folder: Path
    store: Store
    workers: distribute.Workers
    show: Shown
    say: Callable[[str], None]
    force: bool


def searched(search: Search) -> tuple[str, float, float]:
    """Round after round until the method or the budget ends: (status, seconds, seconds without waiting for workers)."""
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
                """Record a batch of this round, its trials in the order of their numbers."""
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
    return status, seconds, seconds - waited


def _begun(search: Search, found: list[Trial]) -> list[Trial]:
    """The trials, with those of a running round: a new one, or the one that was left open. If a kill left its last
    batch incomplete, that is filled up."""
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


def _batches_at_once(search: Search) -> int:
    """Batches in a round. The workers wait for its last trial; they need not wait after each batch if the method learns
    nothing from it. 120 trials of 0.4 seconds took two workers 27 seconds batch by batch, 25 in rounds."""
    settings, count = search.plan.search, search.workers.count
    if settings.method not in samplers.INDEPENDENT or settings.pruning != "none" or settings.budget.seconds is not None:
        return 1
    return math.ceil(TRIALS_A_WORKER * count * _group_size(search.plan) / settings.batch) if count > 1 else 1


def _group_size(plan: Plan) -> int:
    """Trials whose runs train together."""
    return max(1, plan.config.agents_per_process // plan.search.seeds_per_trial)


def _seeds(plan: Plan, repeat: int) -> list[int]:
    """Seeds of a trial's runs: the same for all candidates, so that they share their luck; a repeat has its own."""
    count = plan.search.seeds_per_trial
    return [plan.config.seed + repeat * count + i for i in range(count)]


def _groups(search: Search, running: Sequence[Trial], share: float) -> list[list[dict[str, Any]]]:
    """Tasks of these trials, in groups that train together."""
    tasks = [task(search.plan, search.folder, trial, share) | {"force": search.force} for trial in running]
    size = _group_size(search.plan)
    return [tasks[start : start + size] for start in range(0, len(tasks), size)]


def _to_the_end(search: Search, running: Sequence[Trial], tell: Callable[[Sequence[Trial]], None]) -> None:
    """Evaluate a round without rungs. `tell` is called with each batch as soon as it and all before it have ended."""
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


def _at_rungs(search: Search, found: Sequence[Trial], number_of_batch: int) -> list[Trial]:
    """Evaluate the running trials of a batch; from each rung the survivors go on together. They come back ended, in the
    order of their numbers. Trials of the batch that ended before a kill count at the rungs as they did.
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
    """The trials that go on from a rung (greater is better): `here` are a batch's scores, `earlier` other batches'.

    median: all that are not below the median of every score of this rung (Golovin et al. 2017, section 3.2).
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


def task(plan: Plan, folder: Path, trial: Trial, share: float) -> dict[str, Any]:
    path = opening.own_folder(folder.resolve() / "trials" / f"{trial.number:05}", above=1)
    return {
        "number": trial.number,
        "base": plan.base,
        "params": trial.params,
        "seeds": trial.facts["seeds"],
        "path": str(path),
        "folder": str(plan.folder),
        "objective": plan.search.objective,
        "share": share,
    }


def _checked(result: Mapping[str, Any]) -> Mapping[str, Any]:
    """The result, as a failure where its score is not finite, which could not be compared with other scores.

    Errors: `UserError` where there was no room for the trial, which stays open: it says nothing about its candidate.
    """
    if result.get("no_room"):
        raise UserError(
            f"trial {result['number']}: {result['reason']}; expected room for the rest of the search; "
            "try --resume once there is"
        )
    score = result["score"]
    if score is None or math.isfinite(score):
        return result
    return {**result, "score": None, "reason": f"its score is {score}; expected a finite number"}


def _ended(trial: Trial, result: Mapping[str, Any]) -> Trial:
    facts = {key: result[key] for key in ("scores", "seconds", "env_steps", "reason") if key in result}
    state: TrialState = "failed" if result["score"] is None else "complete"
    return trial._replace(state=state, score=result["score"], facts=trial.facts | facts)


def _stop_if_all_failed(plan: Plan, found: Sequence[Trial], ended: Sequence[Trial], say: Callable[[str], None]) -> None:
    """Report the trials that failed. Errors: `UserError` if a whole batch of the last ones did."""
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
