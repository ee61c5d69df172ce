"""The graph of one compiled function of a config, before and after rewriting."""

import importlib.util
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pg_theano.compiler import building
from pg_theano.config import reading as configs
from pg_theano.config import user_code
from pg_theano.config.algorithms import ALGORITHMS
from pg_theano.config.knobs import Config
from pg_theano.training import specs
from pg_theano.types import UserError

FUNCTIONS = ("act", "train", "rollout")
PICTURES = ("svg", "png", "pdf")


class Size(NamedTuple):
    """Apply nodes: operations on tensors."""

    nodes: int
    in_loops: int  # those inside scans, each counted once however often it runs


class Drawn(NamedTuple):
    """What `graph` found and wrote."""

    function: str
    algorithm: str
    environment: str
    before: Size
    after: Size
    files: list[Path]


def graph(
    config: Config | Mapping[str, Any] | str | os.PathLike[str] | None = None,
    *,
    overrides: Sequence[str] = (),
    function: str = "train",
    out: str | os.PathLike[str] | None = None,
) -> Drawn:
    """Build one function's graph, as it is written and as it is compiled, and draw both where `out` says.

    `out` is a .svg, .png or .pdf, which needs graphviz and pydot, or a .txt, which needs neither; the graph before
    rewriting goes beside it, with `-before` in its name. Errors: `UserError` where one of them is missing, or where
    the config has no such function.
    """
    kind = _kind(out) if out is not None else None
    config, folder, *_ = configs.resolved(config, overrides)
    user_code.check(config, [folder], user_code.to_stderr)
    if ALGORITHMS[config.algorithm.name].searches and function == "train":
        raise UserError(f"--function train: {config.algorithm.name} has no such graph; expected act or rollout")
    if config.gradients == "by_hand":
        raise UserError("gradients: by_hand has no graph; expected symbolic")
    environment = specs.environment_of(config, [folder])
    try:
        spec = specs.spec_of(config, environment.task, environment, [folder])
    finally:
        environment.close()
    if function == "rollout" and not spec.engine:
        raise UserError(
            f"--function rollout: {environment.task.id} is stepped by Gymnasium here; expected act or train"
        )
    pair = building.graphs_of(spec, function, around=building.around(spec, [folder]))

    from pg_theano.compiler import pictures

    files = []
    if out is not None:
        after = Path(out)
        after.parent.mkdir(parents=True, exist_ok=True)
        for nodes, path in zip(pair, (after.with_stem(f"{after.stem}-before"), after), strict=True):
            if kind == "txt":
                path.write_text(pictures.as_text(nodes), encoding="utf-8")
            else:
                pictures.draw(nodes, str(path), kind)
            files.append(path)
    before, after_rewriting = (Size(*pictures.size(nodes)) for nodes in pair)
    return Drawn(function, config.algorithm.name, environment.task.id, before, after_rewriting, files)


def _kind(out: str | os.PathLike[str]) -> str:
    """What kind of file it is to be, once it is known that it can be made."""
    kind = Path(out).suffix.removeprefix(".").lower()
    if kind not in (*PICTURES, "txt"):
        raise UserError(f"--out: got {out}; expected a name that ends in .svg, .png, .pdf or .txt")
    if kind in PICTURES:
        missing = [
            what
            for what, there in (
                ("graphviz' dot (apt install graphviz)", shutil.which("dot")),
                ("pydot (pip install pg_theano[graph])", importlib.util.find_spec("pydot")),
            )
            if not there
        ]
        if missing:
            raise UserError(f"--out {out}: a picture needs {' and '.join(missing)}; a .txt needs neither")
    return kind
