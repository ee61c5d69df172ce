"""A model card, and the folder around it that is ready to upload."""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from pg_theano.config.knobs import Config
from pg_theano.config.reading import to_dict
from pg_theano.environments import masks
from pg_theano.environments.naming import maker_of
from pg_theano.runs import folder as runs
from pg_theano.runs import places, recorded
from pg_theano.runs.exported import export
from pg_theano.system import opening, writing
from pg_theano.system.importing import is_own
from pg_theano.system.versions import versions
from pg_theano.training.evaluating import evaluate
from pg_theano.types import UserError

SEED = 0
"""Of the episodes on the card: `pg_theano.evaluate`'s own default, so that its reader gets the same figure."""


def card(run: str | Path, out: str | Path | None = None, *, episodes: int = 100, gif: bool = True) -> Path:
    """Write `README.md` and what it speaks of into a new folder; returns that (by default `<run>-card`, here).

        README.md      the card: Hugging Face's front matter, the figure, how to load it, how to make it again
        policy.npz     what `pg_theano.load` reads
        config.yaml    every knob
        result.json    what the run said at its end
        replay.gif     an episode, where the environment can be drawn
        <run>.png      the run's figure, where it was drawn

    Mean and standard deviation are of `episodes` greedy episodes played now in fresh environments. Errors:
    `UserError`: no run, a folder that is not empty.
    """
    path = Path(run)
    config, facts = runs.read_run(path)
    folder = Path(out) if out is not None else Path(f"{path.resolve().name}-card")
    judged = evaluate(path, episodes=episodes, seed=SEED)  # before there is a folder
    places.exact_folder(folder, "--out")
    try:
        _filled(folder, path, config, facts, judged, gif)
    except BaseException:  # half a card is none, and would be in the way of the next
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def _filled(folder: Path, path: Path, config: Config, facts: dict[str, Any], judged: dict[str, Any], gif: bool) -> None:
    export(path, "npz", folder / "policy.npz")
    for name in ("config.yaml", "result.json"):
        if opening.own_file(path / name).is_file():
            (folder / name).write_bytes(opening.read(path / name, opening.MOST_JSON))
    plot = Path("plots") / f"{path.resolve().name}.png"
    pictures = {"plot": plot.name if opening.own_file(plot).is_file() else None, "gif": None}
    if pictures["plot"]:
        (folder / plot.name).write_bytes(opening.read(plot, opening.most_bytes()))
    if gif and _replayed(path, folder / "replay.gif"):
        pictures["gif"] = "replay.gif"
    result, spec = _result(path), recorded.spec_in(facts, path / "run.json").plain()
    text = card_of(path.resolve().name, config, {**facts, "spec": spec}, judged, result, pictures)
    writing.write_atomically(folder / "README.md", text.encode())


def _replayed(path: Path, gif: Path) -> bool:
    """Draw an episode; returns False if the environment cannot be drawn."""
    from pg_theano.reports.animation import watch

    try:
        return bool(list(watch(path, gif=gif, seed=SEED)))
    except UserError:
        return False


def _result(path: Path) -> dict[str, Any]:
    """What the run said at its end; of one that was killed, how far its policy had come."""
    if (found := runs.read_result(path)) is not None:
        return found
    checkpoint = runs.trained(path).checkpoint
    recorded.checked(recorded.Counted, checkpoint.facts, checkpoint.path.with_suffix(".json"), "facts")
    counters = checkpoint.facts["counters"]
    return {"env_steps": counters["env_steps"], "killed_after": counters["updates"]}


def making_of(config: Config) -> tuple[list[str], str]:
    """(imports, expression) that make the environment of a config in Python."""
    knobs = config.environment
    if knobs.api == "gym" and not knobs.wrappers and knobs.max_episode_steps is None:
        module, _, name = knobs.id.partition(":")
        imports = [f"import {module}", "from pg_theano.environments.old_gym import OldGym"]
        return imports, f"OldGym({module}.{name}(**{knobs.kwargs!r}))"
    if knobs.wrappers or knobs.dynamics is not None or knobs.api == "pettingzoo" or maker_of(knobs) is not None:
        imports = ["from pg_theano import config, environments"]
        return imports, 'environments.single(config.resolved("config.yaml").config.environment, folders=["."])'
    limit = [f"max_episode_steps={knobs.max_episode_steps!r}"] if knobs.max_episode_steps is not None else []
    words = [repr(knobs.id), *limit, *([f"**{knobs.kwargs!r}"] if knobs.kwargs else [])]
    return ["import gymnasium"], f"gymnasium.make({', '.join(words)})"


def card_of(
    name: str,
    config: Config,
    facts: dict[str, Any],
    judged: dict[str, Any],
    result: dict[str, Any],
    pictures: dict[str, str | None],
) -> str:
    """The card's Markdown, from plain data. What comes from the run is quoted: it may hold anything."""
    bare = _environment(config).rpartition(":")[2]
    algorithm = config.algorithm.name.upper()
    figure = f"{judged['mean']:.2f} +/- {judged['std']:.2f}"
    front = yaml.safe_dump(_front(config, bare, figure), sort_keys=False, allow_unicode=False).rstrip()
    parts = (config.policy.name, config.algorithm.objective, *(name for name, _ in config.environment.wrapped()))
    own = [part for part in parts if is_own(part)]
    needs = ", ".join(map(_code, [_environment(config), *own])) if own or ":" in _environment(config) else ""
    rows = _rows(config, facts, judged, result, figure)
    figure_of_run = "![The run: cost, episode length, return, schedules]"
    until = f" budget.updates={result['killed_after']}" if result.get("killed_after") else ""
    return "\n".join(
        [
            *["---", front, "---", "", f"# {algorithm} on {_code(bare)}", ""],
            f"A policy that {_code(config.algorithm.name)} of pg_theano trained."
            + (f"\n\nIt needs code of its author's own: {needs}." if needs else ""),
            "",
            *([f"![An episode]({pictures['gif']})", ""] if pictures["gif"] else []),
            *([f"{figure_of_run}({pictures['plot']})", ""] if pictures["plot"] else []),
            *["| | |", "|---|---|"],
            *[f"| {key} | {_code(value)} |" for key, value in rows if value is not None],
            *["", "## Use it", "", *_fenced(_use(config, facts.get("task", {}).get("spaces") or {}), "python"), ""],
            *["## Make it again", "", *_fenced(_again(name, until), "sh"), ""],
            "Same versions, backend and kind of processor: the same parameters, bit for bit.",
            *["", "<details><summary>Every knob</summary>", ""],
            *_fenced(yaml.safe_dump(to_dict(config), sort_keys=False).rstrip(), "yaml"),
            *["", "</details>", ""],
        ]
    )


def _environment(config: Config) -> str:
    return config.environment.dynamics or config.environment.id


def _front(config: Config, bare: str, figure: str) -> dict[str, Any]:
    """Hugging Face's front matter: what its index of models reads."""
    metric = {"type": "mean_reward", "value": figure, "name": "mean_reward", "verified": False}
    task = {"type": "reinforcement-learning", "name": "reinforcement-learning"}
    result = {"task": task, "dataset": {"name": bare, "type": bare}, "metrics": [metric]}
    return {
        "library_name": "pg_theano",
        "tags": [bare, config.algorithm.name, "reinforcement-learning", "deep-reinforcement-learning"],
        "model-index": [{"name": config.algorithm.name.upper(), "results": [result]}],
    }


def _rows(
    config: Config, facts: dict[str, Any], judged: dict[str, Any], result: dict[str, Any], figure: str
) -> list[tuple[str, Any]]:
    """The table of the card: (name, value), None where the run has not said."""
    later = " when this policy was kept; the run was killed later" if result.get("killed_after") else ""
    return [
        ("environment", _environment(config)),
        ("algorithm", config.algorithm.name),
        ("mean reward", f"{figure} ({judged['n']} greedy episodes in fresh environments, seed {judged['seed']})"),
        ("env steps", f"{result['env_steps']:,}{later}" if "env_steps" in result else None),
        (
            "seconds, start to end",
            f"{result['seconds']['total']:.1f}" if "total" in result.get("seconds", {}) else None,
        ),
        ("parameters", f"{facts['spec']['num_params']:,}"),
        ("seed", config.seed),
        ("made with", ", ".join(f"{key} {value}" for key, value in result.get("versions", versions()).items())),
    ]


def _use(config: Config, spaces: Mapping[str, Any]) -> str:
    """Python that loads the policy and takes one action in its environment."""
    imports, making = making_of(config)
    load = 'policy = pg_theano.load("policy.npz")  # NumPy only'
    ways = {"info": ", mask={}", "method": ", mask=env.get_wrapper_attr({!r})()"}
    mask = ""  # a key is in the observation, and what `single` makes are rows that end with it
    if "mask" in spaces and "environments.single(" not in making:
        source = masks.Source(**spaces["mask"])
        mask = ways.get(source.kind, "").format(source.name if source.kind == "method" else source.place)
    lines = [*imports, "import pg_theano", "", load, f"env = {making}"]
    lines += [f"obs, {'info' if mask else '_'} = env.reset(seed=0)", f"action = policy(obs{mask})"]
    return "\n".join(lines)


def _again(name: str, until: str) -> str:
    """The commands that train the policy anew and evaluate it."""
    train = f"python -m pg_theano.train config.yaml{until} --run-dir runs/{name}"
    return f"{train}\npython -m pg_theano.evaluate runs/{name}"


def _code(value: Any) -> str:
    """Text of a run's as it is, whatever Markdown or HTML would make of it; it cannot end its cell of a table."""
    text = " ".join(str(value).split()).replace("|", "&#124;").replace("<", "&lt;")
    return re.sub(r"([\\`*_\[\]#!$~])", r"\\\1", text)


def _fenced(text: str, language: str) -> list[str]:
    """A block of code, with a fence longer than any in it."""
    longest = max((len(found) for found in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}{language}", text, fence]
