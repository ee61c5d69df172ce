"""Several runs that differ in nothing but their seed: in turn, each in a run folder of its own, and their summary."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pg_theano.config.knobs import Config
from pg_theano.config.reading import as_then, from_dict, to_dict
from pg_theano.runs import folder as runs
from pg_theano.system import opening, seals
from pg_theano.system.yaml_lines import read_file
from pg_theano.types import UserError

PLAN = "seeds.yaml"
"""The config of all of them, in the folder above theirs; beside it `summary.json` at the end."""


def begin(config: Config, path: Path, folder_of_config: Path, code: dict[str, Any]) -> None:
    """Write the plan, from which an interrupted set goes on; last, as without `run.json` it could not be read."""
    facts = {"folder": str(folder_of_config), "versions": runs.versions(), "sealed": [PLAN], "code": code}
    seals.write_json(path / "run.json", facts)
    seals.write_yaml(path / PLAN, to_dict(config))


def read_plan(path: Path) -> tuple[Config, Path, Any]:
    """(config, folder of the config, record of the user's code) of a set of seeds. Errors: `UserError`: none."""
    try:
        facts = seals.read_json(path / "run.json")
        folder = Path(facts["folder"])
    except (OSError, KeyError, TypeError, UserError):
        raise UserError(f"{path / 'run.json'}: missing or damaged; expected what `pg_theano.train` wrote") from None
    document = read_file(opening.own_file(path / PLAN))
    config = from_dict(as_then(document.data), document.lines, document.name)
    if PLAN in facts.get("sealed", ()) and not seals.yaml_is_whole(path / PLAN):
        raise UserError(
            f"{path / PLAN}: not as it was written (its checksum does not agree); put it back, or begin a new set"
        )
    return config, folder, facts.get("code")


def folders_of(path: Path) -> list[Path]:
    """The folders of a set's seeds, in the order of the seeds."""

    def number(folder: Path) -> tuple[int, str]:
        digits = folder.name.rpartition("-")[2]
        return (int(digits) if digits.isdecimal() and len(digits) < 20 else 0, folder.name)

    return sorted((opening.own_folder(one) for one in path.glob("seed-*") if one.is_dir()), key=number)


def play(
    config: Config, path: Path, train: Callable[[list[Config], list[Path]], list[dict[str, Any]]]
) -> list[dict[str, Any]]:
    """The figures of every seed, in order: read where it is finished, else of `train`, `agents_per_process` at a time.

    `train` gets configs and their folders, and goes on with a run that is in one. Stops after one that was interrupted.
    """
    figures: list[dict[str, Any]] = []
    for start in range(0, config.runs, config.agents_per_process):
        numbers = range(config.seed + start, config.seed + min(start + config.agents_per_process, config.runs))
        folders = [path / f"seed-{seed}" for seed in numbers]
        found = {folder: finished(folder) for folder in folders}
        left = [(seed, folder) for seed, folder in zip(numbers, folders, strict=True) if found[folder] is None]
        for _, folder in left:
            opening.own_folder(folder).mkdir(exist_ok=True)
        if left:
            configs = [config.model_copy(update={"seed": seed, "runs": 1}) for seed, _ in left]
            trained = train(configs, [folder for _, folder in left])
            found |= dict(zip((folder for _, folder in left), trained, strict=True))
        figures += [one for folder in folders if (one := found[folder]) is not None]
        if any(one["status"] == "interrupted" for one in figures):
            break
    return figures


def finished(folder: Path) -> dict[str, Any] | None:
    """The result of a run that has come to its end, None of one that has not."""
    result = runs.read_result(folder)
    return result if result is not None and result["status"] in ("solved", "budget", "stopped") else None
