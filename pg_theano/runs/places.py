"""Where a new run goes: its name, and its folder, which is made, refused, or taken away again."""

import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from pg_theano.config.kinds import NAME
from pg_theano.system import locks, machine
from pg_theano.types import UserError


def name_of(id: str) -> str:
    """A run's name from its environment: CartPole-v1 is cartpole, my_module:MyEnv is myenv."""
    bare = re.sub(r"-v\d+$", "", id.rpartition(":")[2].rpartition("/")[2])
    return "".join(c if c.isalnum() and c.isascii() else "-" for c in bare).strip("-").lower()[:64] or "run"


def new_folder(name: str, parent: Path = Path("runs")) -> Path:
    """`runs/<name>`, or the first free of `runs/<name>-2`, `-3`, ...; made here, so that no other process takes it."""
    for number in range(1, 100_000):
        folder = parent / (name if number == 1 else f"{name[: 63 - len(str(number))]}-{number}")
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            continue
        except OSError as error:
            raise UserError(
                f"{folder}: cannot be made ({error.strerror}); expected a folder that can be written; try another "
                "with --run-dir"
            ) from None
    raise UserError(f"{parent / name}: got 100,000 runs of this name; expected fewer; try another name")


def check_name(path: Path, option: str = "--run-dir") -> None:
    """A run's name is the last part of its folder, and part of other files' names. Errors: `UserError`."""
    name = path.resolve().name
    if not re.fullmatch(NAME, name):
        raise UserError(
            f"{path}: got {name!r} as the name of a run; expected letters, digits, '.', '_' or '-', at most 64, "
            f"beginning with a letter or digit; try another with {option}"
        )


def exact_folder(path: Path, option: str = "--run-dir") -> Path:
    """The folder that the user named with an option. It is made if it is missing, and refused if it is not empty."""
    check_name(path, option)
    if path.resolve() == Path.cwd():  # which holds what the user has there; `''` is it too
        raise UserError(f"{option}: got the folder that you are in; expected one of its own; try {option} runs/mine")
    try:
        path.mkdir(parents=True, exist_ok=True)
        occupied = any(not _of_a_false_start(one) for one in path.iterdir())
    except OSError as error:
        raise UserError(
            f"{path}: cannot be made ({error.strerror}); expected a folder that can be written; "
            f"try another with {option}"
        ) from None
    if occupied:
        locks.refuse_in_use(path)
        of_runs = option == "--run-dir"
        advice = f"try another, or --resume {path} to go on with that run" if of_runs else f"try another with {option}"
        raise UserError(f"{path}: not empty; expected a new folder; {advice}")
    return path


@contextlib.contextmanager
def new(name: str, run_dir: str | os.PathLike[str] | None) -> Iterator[Path]:
    """The folder of a new run. If a `UserError` ends the run before it has begun, the folder is removed again."""
    wanted = Path("runs") / name if run_dir is None else Path(run_dir)
    made = [folder for folder in (wanted, *wanted.parents) if not folder.exists()]
    path = new_folder(name) if run_dir is None else exact_folder(wanted)
    try:
        yield path
    except UserError:
        if not any(path.rglob("checkpoints/*.npz")):  # a run that has begun saves what it began with
            _forget_false_start(path, made if path == wanted else [path, *made])
        raise


def _forget_false_start(path: Path, folders: Sequence[Path]) -> None:
    """Remove the files of a run, or of several seeds, that has not begun, and nothing else."""
    try:
        lock = locks.locked(path)
    except UserError:  # somebody else is about to begin in it
        return
    if not machine.REMOVES_OPEN_FILES:
        os.close(lock)
    begun = ("seeds.yaml", "config.yaml", "result.json", "metrics.jsonl")
    for folder in [*path.glob("seed-*"), path]:
        for one in folder.iterdir():
            if one.is_file() and (one.name in begun or _of_a_false_start(one)):
                one.unlink(missing_ok=True)
    for folder in [*path.glob("seed-*/checkpoints"), *path.glob("seed-*"), path / "checkpoints", *folders]:
        with contextlib.suppress(OSError):  # not empty, or gone
            folder.rmdir()
    if machine.REMOVES_OPEN_FILES:
        os.close(lock)


def _of_a_false_start(path: Path) -> bool:
    """Whether a file is one that a run writes before its config."""
    left = path.name in ("lock", "run.json", "start.npz", "start.json") or (
        path.name.startswith(".") and path.suffix == ".tmp"
    )
    return left or (path.name == "metrics.jsonl" and path.stat().st_size == 0)
