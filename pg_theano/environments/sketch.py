"""A new task to change into one's own: a folder with an environment that runs, its config, its test, a README."""

import importlib.util
import keyword
import re
import shutil
import sys
from pathlib import Path

from pg_theano.types import UserError

SKETCHES = Path(__file__).parent / "sketches"
FILES = {"py": "{}.py", "yaml": "{}.yaml", "test": "test_{}.py", "md": "README.md"}


def sketch(name: str, *, symbolic: bool = False) -> list[Path]:
    """Make the folder `name` in the current one, and its files, which are returned. All of them or none.

    Errors: `UserError` for a name that is there, that Python cannot import, or that is another module's.
    """
    _check(name)
    folder, kind = Path(name), "symbolic" if symbolic else "gymnasium"
    words = {"@NAME@": name, "@CLASS@": _class_of(name)}
    texts = {
        folder / file.format(name): (SKETCHES / f"{part}.{kind}").read_text("utf-8") for part, file in FILES.items()
    }
    try:
        folder.mkdir()
    except FileExistsError:
        raise UserError.at(name, "is there already", "the name of a new folder", "another") from None
    try:
        for path, text in texts.items():
            path.write_text(re.sub("@NAME@|@CLASS@", lambda found: words[found[0]], text), "utf-8")
    except BaseException:  # a full disk, Ctrl-C
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return list(texts)


def _class_of(name: str) -> str:
    """MyTask of my_task."""
    return "".join(one[0].upper() + one[1:] for one in name.split("_") if one)


def _check(name: str) -> None:
    if not re.fullmatch("[A-Za-z][A-Za-z0-9_]{0,31}", name):
        expected = "the name of a module: at most 32 letters, digits and _, a letter first"
        raise UserError.at("NAME", f"got {name[:60] or 'nothing'}", expected, "my_task")
    if keyword.iskeyword(name) or keyword.iskeyword(_class_of(name)):
        raise UserError.at("NAME", f"got {name}, a word of Python's grammar", "another", f"{name}_task")
    if name in sys.stdlib_module_names or importlib.util.find_spec(name) is not None:
        whose = "Python's own" if name in sys.stdlib_module_names else "that of a package"
        raise UserError.at("NAME", f"got {name}, and a module of this name is {whose}", "another", f"{name}_task")
