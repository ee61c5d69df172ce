"""The structure itself: who may import whom."""

import ast
import functools
import json
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "pg_theano"
FILES = sorted(PACKAGE.rglob("*.py"))


def module_of(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in FILES}


@functools.cache
def tree_of(path):
    return ast.parse(path.read_text())


@functools.cache
def imports_of(path):
    """Every module that a file imports anywhere in it, at its top or inside a function."""
    return list(_imports_of(path))


def _imports_of(path):
    name = module_of(path)
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join(
                    [*package.split(".")[: len(package.split(".")) - node.level + 1], *filter(None, [base])]
                )
            inner = [f"{base}.{alias.name}" for alias in node.names if f"{base}.{alias.name}" in MODULES]
            yield from inner or [base]
            if any(f"{base}.{alias.name}" not in MODULES for alias in node.names):
                yield base


def own_imports():
    graph = {
        name: {one for one in imports_of(path) if one in MODULES and one != name} for name, path in MODULES.items()
    }
    # `import pg_theano` alone is for BEGAN and for what notebooks call; the package's own import of the loop is lazy.
    return {name: found - {"pg_theano"} for name, found in graph.items() if name != "pg_theano"}


def cycle_in(graph):
    """Some cycle, as a list of names, or None."""
    done, path = set(), []

    def visit(name):
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return None
        path.append(name)
        for other in sorted(graph.get(name, ())):
            found = visit(other)
            if found:
                return found
        path.pop()
        done.add(name)
        return None

    return next(filter(None, map(visit, sorted(graph))), None)


def test_there_is_no_import_cycle():
    """Lazy imports count. Caught, when planted: `from pg_theano import train` inside a function of evaluate.py."""
    assert cycle_in(own_imports()) is None
    assert cycle_in({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]


CONTRACT = {"pg_theano.types", "pg_theano.parameters"}
CONTRACT |= {name for name in MODULES if name.startswith(("pg_theano.layers", "pg_theano.spec"))}
HOST = {"contract", "system", "config", "compiler", "environments", "policies", "runs", "training", "search", "reports"}
ALLOWED = {
    "contract": set(),
    "system": {"contract"},
    "graphs": {"contract"},
    "by_hand": {"contract"},
    "exact": {"contract"},
    "course": {"contract", "system"},
    "config": {"contract", "system"},
    "compiler": {"contract", "system", "graphs"},
    "environments": {"contract", "system", "config", "compiler"},
    "policies": {"contract", "system", "environments"},
    "runs": HOST - {"environments", "training", "search", "reports"},
    "training": HOST - {"search", "reports"} | {"by_hand"},
    "microscope": HOST - {"search", "reports"} | {"exact"},
    "bias": {"contract", "exact", "microscope", "reports"},
    "search": HOST - {"reports"},
    "reports": HOST | {"exact"},
    "clinic": HOST - {"search", "reports"} | {"by_hand", "exact"},
}
"""Each room, and those that it may import: they stand below it, so that there is no circle between rooms either."""


def room_of(name):
    """The room of a module; "command" for what stands at the top of the package or is a room's own command."""
    parts = name.split(".")
    if name in CONTRACT:
        return "contract"
    if len(parts) == 1 or parts[-1] == "__main__" or not (PACKAGE / parts[1]).is_dir():
        return "command"
    return parts[1]


def test_every_import_is_of_a_room_below():
    """Lazy imports count. Caught, when planted: `from pg_theano import train` in search/trials.py, `from
    pg_theano.reports import screen` inside a function of training/loop.py, a room that is not in the table."""
    upwards = [
        f"{name} imports {other}"
        for name, path in MODULES.items()
        for other in sorted({one for one in imports_of(path) if one in MODULES})
        if room_of(name) != "command" and room_of(other) not in ALLOWED[room_of(name)] | {room_of(name)}
    ]
    assert not upwards


def test_nobody_imports_a_command():
    """But the facade, lazily. Caught, when planted: `from pg_theano.evaluate import evaluate` in reports/model_card.py."""
    importers = [
        f"{name} imports {other}"
        for name, path in MODULES.items()
        for other in imports_of(path)
        if other in MODULES and room_of(other) == "command" and name != "pg_theano" and other != name
    ]
    assert not importers


def test_the_top_level_holds_commands_and_the_contract():
    """Caught, when planted: a module of helpers at the top of the package."""
    top = {name for name in MODULES if name.count(".") == 1 and not (PACKAGE / name.partition(".")[2]).is_dir()}
    commands = {name for name in top if "return commands.run(" in MODULES[name].read_text()}
    assert top - commands <= CONTRACT | {"pg_theano.__main__"}
    assert len(top) <= 20


NAMES_A_MODULE = {
    "pg_theano.compiler.building",
    "pg_theano.system.importing",
    "pg_theano.environments.workers",
    "pg_theano.environments.checking",
    "pg_theano.policies.networks",
}
"""Where a module may be imported, or started as a child, by a name that is data."""


def test_modules_named_in_strings_stand_in_few_places():
    """Caught, when planted: `importlib.import_module("pg_theano.train")` in search/trials.py."""
    found = {
        name
        for name, path in MODULES.items()
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).rpartition(".")[2] in ("import_module", "__import__", "Child")
    }
    assert {name for name in found if not name.startswith("pg_theano.graphs.")} <= NAMES_A_MODULE


def functions_of(path):
    """(qualified name, node) of every function and method of a file."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{module_of(path)}.{node.name}", node


def test_functions_are_short():
    """At most 60 lines without the docstring. Caught, when planted: a function of 61."""
    long = []
    for path in FILES:
        for name, node in functions_of(path):
            first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
            if node.end_lineno - first.lineno + 1 > 60:
                long.append((name, node.end_lineno - first.lineno + 1))
    assert not long


EQUATIONS = ("pg_theano.graphs.", "pg_theano.by_hand.")


def test_functions_have_few_parameters():
    """At most seven, but for an equation's arrays. Caught, when planted: an eighth in training/run.py."""
    many = []
    for path in FILES:
        for name, node in functions_of(path):
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            number = len([one for one in arguments if one.arg not in ("self", "cls")])
            if number > 7 and not name.startswith(EQUATIONS):
                many.append((name, number))
    assert not many


def test_what_is_known_has_a_type():
    """No `spec: dict`, no `Any` for an environment, a trainer or a spec. Caught, when planted: each."""
    loose = []
    for path in FILES:
        for name, node in functions_of(path):
            for one in [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]:
                said = ast.unparse(one.annotation) if one.annotation else ""
                if one.arg in ("environment", "trainer", "spec") and ("Any" in said or said.startswith("dict")):
                    loose.append(f"{name}({one.arg}: {said})")
    assert not loose


def top_of(name):
    return name.partition(".")[0]


def test_only_graphs_and_the_bridge_import_pytensor():
    """Caught, when planted: `import pytensor` inside a function of programs.py."""
    users = {name for name, path in MODULES.items() if "pytensor" in map(top_of, imports_of(path))}
    assert users
    bridge = {f"pg_theano.compiler.{name}" for name in ("building", "pictures", "convolving")}
    assert all(name in bridge or name.startswith("pg_theano.graphs.") for name in users), users


def test_only_the_bridge_imports_jax():
    users = {name for name, path in MODULES.items() if "jax" in map(top_of, imports_of(path))}
    assert users == {f"pg_theano.compiler.{name}" for name in ("lowering", "starting", "convolving")}


FOREIGN = {
    "gymnasium", "yaml", "pydantic", "rich", "matplotlib", "json", "os", "pathlib", "io", "shutil", "tempfile", "argparse",
    "subprocess", "sys", "jax",
}  # fmt: skip
MAY_KNOW = CONTRACT


def test_graphs_know_no_config_no_file_and_no_gymnasium():
    """Caught, when planted: `from pg_theano import config` in graphs/reinforce.py."""
    for name, path in MODULES.items():
        if name.startswith("pg_theano.graphs"):
            for one in imports_of(path):
                assert top_of(one) not in FOREIGN, (name, one)
                if top_of(one) == "pg_theano":
                    assert one in MAY_KNOW or one.startswith("pg_theano.graphs"), (name, one)


def test_the_twin_knows_types_alone():
    """`by_hand/`'s mathematics, NumPy only; its program may read a layout as well, its command may import the loop.

    Caught, when planted: `from pg_theano import parameters` in by_hand/vpg.py, `import scipy` in program.py.
    """
    for name, path in MODULES.items():
        if name.startswith("pg_theano.by_hand") and not name.endswith("__main__"):
            may_know = MAY_KNOW if name.endswith(".program") else {"pg_theano.types"}
            for one in imports_of(path):
                assert top_of(one) in {"numpy", "pg_theano", *sys.stdlib_module_names}, (name, one)
                if top_of(one) == "pg_theano":
                    assert one in may_know or one.startswith("pg_theano.by_hand"), (name, one)


OPTIONAL = {
    "matplotlib": {"pg_theano.reports.plots"},
    "rich": {"pg_theano.reports.screen"},
    "PIL": {"pg_theano.reports.animation"},
    "dask": {"pg_theano.system.dask_client"},
    "distributed": {"pg_theano.system.dask_client"},
    "cmaes": {"pg_theano.training.population.cma"},
    "IPython": {"pg_theano.reports.notebook"},
    "optuna": {"pg_theano.search.storage"},
    "sklearn": {"pg_theano.search.bayesian"},
}


@pytest.mark.parametrize("library", OPTIONAL)
def test_a_library_for_one_purpose_is_imported_in_one_file(library):
    users = {name for name, path in MODULES.items() if library in map(top_of, imports_of(path))}
    assert users <= OPTIONAL[library]


ROOT = PACKAGE.parent
EVERY_FILE = [
    path for part in ("pg_theano", "old", "benchmarks", "docs") for path in sorted((ROOT / part).rglob("*.py"))
]
RUNS_CODE = {"eval", "exec", "__import__", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "os.system", "os.popen"}
LOADERS = {
    "np.load": "allow_pickle",
    "numpy.load": "allow_pickle",
    "np.savez": "allow_pickle",
    "torch.load": "weights_only",
}
RUN_CODE_AS_THEY_LOAD = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "jsonpickle"}
PEERS = ROOT / "benchmarks" / "peers"  # whole programs of others, as they are used


def what_runs_code(tree, imported):
    """Whatever in a file would run what it reads: calls by their name as it is written, and imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called, given = ast.unparse(node.func), {word.arg: ast.unparse(word.value) for word in node.keywords}
            if called in RUNS_CODE or given.get("shell") not in (None, "False"):
                yield ast.unparse(node)
            if called in LOADERS and given.get(LOADERS[called]) != str(LOADERS[called] == "weights_only"):
                yield ast.unparse(node)
            if given.get("allow_pickle") not in (None, "False"):
                yield ast.unparse(node)
    yield from RUN_CODE_AS_THEY_LOAD & set(imported)


@pytest.mark.parametrize("path", EVERY_FILE, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_runs_what_it_reads(path):
    """No pickle, no eval, no exec, no yaml.load, no shell. Caught, when planted: `np.load(path)` in benchmarks/report.py,
    `subprocess.run(command, shell=True)` in measuring.py, `import pickle` inside a function of runs.py."""
    tree = tree_of(path)
    imported = {
        top_of(name)
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    found = set(what_runs_code(tree, imported))
    assert found <= ({"cloudpickle"} if path == PACKAGE / "system" / "handed.py" else set())  # by a pipe of our own


def test_only_worker_processes_take_in_what_was_handed_to_them():
    """It runs what it reads, which must come by our own pipe. Caught, when planted: a call in runs/folder.py."""
    called = {
        (name, ast.unparse(node.func))
        for name, path in MODULES.items()
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("taken_in")
    }
    worker = {(f"pg_theano.environments.{name}", "given.taken_in") for name in ("worker", "inspection")}
    assert called == worker | {("pg_theano.environments.given", "held.taken_in")}


def test_the_linter_looks_for_it_too():
    """ruff's S rules but for one (random numbers that are no secrets), and none is taken back in a file."""
    import tomllib

    lint = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]
    assert "S" in lint["select"]
    assert [rule for rule in lint["ignore"] if rule.startswith("S") and not rule.startswith("SIM")] == ["S311"]
    ignored = {rule for rules in lint["per-file-ignores"].values() for rule in rules if rule.startswith("S")}
    assert ignored <= {"S101", "S603", "S607"}
    silenced = [
        (path.name, line)
        for path in EVERY_FILE
        for line in path.read_text().splitlines()
        if any(f"noqa: {rule}" in line for rule in ("S102", "S301", "S302", "S307", "S506", "S602", "S604", "S605"))
    ]
    assert not silenced


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_every_module_says_what_it_is(path):
    assert ast.get_docstring(tree_of(path))


@pytest.mark.parametrize(
    "module",
    [
        f"pg_theano{name}"
        for name in (
            "",
            ".train",
            ".evaluate",
            ".watch",
            ".plot",
            ".compare",
            ".check",
            ".check_env",
            ".graph",
            ".report",
            ".migrate",
            ".search.__main__",
        )
    ],
)
def test_importing_a_command_is_cheap(module):
    """Neither PyTensor nor JAX nor matplotlib until they are needed. Caught, when planted: `import jax` at the top of
    backends.py."""
    heavy = "{'pytensor', 'jax', 'matplotlib', 'rich', 'scipy', 'PIL', 'optuna', 'sklearn', 'distributed', 'cmaes'}"
    code = f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent)
    assert done.stdout.strip() == "[]"


COMMANDS = sorted(name for name, path in MODULES.items() if "commands.parser(" in path.read_text())
COMMANDS.remove("pg_theano.__main__")  # which lists them
HELP = """
import contextlib, importlib, io, json, sys

heavy, found = set(json.loads(sys.argv[1])), {}
for name in json.loads(sys.argv[2]):
    before, said = set(sys.modules), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
        importlib.import_module(name).main(["-h"])
    assert said.getvalue().startswith("usage: python -m pg_theano."), name
    assert "\\nexample:\\n  python -m pg_theano." in said.getvalue(), name
    if imported := heavy & {one.partition(".")[0] for one in set(sys.modules) - before}:
        found[name] = sorted(imported)
print(json.dumps(found))
"""
NOT_FOR_HELP = [
    "pytensor", "jax", "jaxlib", "matplotlib", "rich", "scipy", "PIL", "pandas", "optuna", "sklearn", "dask", "distributed",
    "cmaes", "onnx", "torch", "tensorboardX", "IPython", "asyncio", "sqlite3",
]  # fmt: skip


def test_every_command_answers_h_without_what_it_works_with():
    """That is what keeps `-h` under half a second, whatever machine measures it. Caught, when planted: `import scipy.stats`
    at the top of cho.py, `import pytensor` in `knobs`, a command without an example."""
    assert len(COMMANDS) >= 14
    words = [sys.executable, "-c", HELP, json.dumps(NOT_FOR_HELP), json.dumps(COMMANDS)]
    done = subprocess.run(words, capture_output=True, text=True, cwd=PACKAGE.parent)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {}


def test_the_list_and_the_site_have_every_command():
    """Caught, when planted: the commands of packages left out of what is listed."""
    from pg_theano.system.commands import does

    found = does()
    assert sorted(found) == sorted(name.removeprefix("pg_theano.").removesuffix(".__main__") for name in COMMANDS)
    assert all(found.values())
    assert "for name in sources():" in (ROOT / "docs" / "conf.py").read_text()


def test_what_is_printed_cannot_move_the_cursor():
    """Names of runs, environments and files may be a stranger's: what is no constant and no JSON goes through `say` or
    `printable`. Caught, when planted: `print(f"wrote {path}")`."""
    bare = []
    for path in FILES:
        for node in ast.walk(tree_of(path)):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"):
                continue
            first = node.args[0] if node.args else ast.Constant("")
            made_by = ast.unparse(first.func) if isinstance(first, ast.Call) else ""
            safe = isinstance(first, ast.Constant) or made_by in ("json.dumps", "printable", "console.printable")
            where = path.relative_to(PACKAGE).as_posix()
            if not safe and where not in (
                "system/console.py",
                "config/__main__.py",
            ):  # `say` itself, and our own schema
                bare.append(f"{where}:{node.lineno} {ast.unparse(first)}")
    assert not bare


def uses_of(name):
    """The modules that write this dotted name anywhere."""
    return {
        module for module, path in MODULES.items() if any(_dotted(node) == name for node in ast.walk(tree_of(path)))
    }


def _dotted(node):
    return ast.unparse(node) if isinstance(node, ast.Attribute) else None


def test_one_place_writes_files_atomically():
    """Caught, when planted: `os.replace` in plots.py, `path.rename(` in card.py."""
    assert uses_of("os.replace") == {"pg_theano.system.machine"}
    assert uses_of("machine.replace") == {"pg_theano.system.writing"}
    assert (
        not uses_of("os.rename")
        | uses_of("shutil.move")
        | {
            name
            for name, path in MODULES.items()
            for node in ast.walk(tree_of(path))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "rename"
        }
    )


HASHES = {
    "pg_theano.system.seals",  # the seal
    "pg_theano.system.importing",  # which source a user's module has
    "pg_theano.compiler.cached",  # the names of the cache's files
    "pg_theano.runs.records",  # of metrics.jsonl, carried on as it grows
    "pg_theano.reports.pages.html",  # which scripts a page may run
}


def test_there_is_one_seal():
    """Caught, when planted: a checkpoint that makes its own."""
    assert uses_of("hashlib.sha256") == HASHES
    assert "seal" not in {
        node.value
        for name, path in MODULES.items()
        if name != "pg_theano.system.seals"
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Constant)
    }


def test_one_place_locks():
    """Caught, when planted: a `machine.lock` in journal.py."""
    assert uses_of("machine.lock") == {"pg_theano.system.locks"}


def test_one_place_reads_results():
    """Caught, when planted: `seals.read_json(folder / "result.json")` in curves.py."""
    readers = {
        name
        for name, path in MODULES.items()
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call) and "read" in ast.unparse(node.func) and "'result.json'" in ast.unparse(node)
    }
    assert readers == {"pg_theano.runs.folder"}


def looked_into(tree):
    """Where the text of a caught `UserError` is taken apart, searched or compared."""
    for handler in (node for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler)):
        if handler.name is None or handler.type is None or "UserError" not in ast.unparse(handler.type):
            continue
        texts = {
            f"str({handler.name})",
            f"f'{{{handler.name}}}'",
            f"{handler.name}.args",
            f"str({handler.name}.problem)",
        }
        texts |= {
            node.targets[0].id
            for node in ast.walk(handler)
            if isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and ast.unparse(node.value) in texts
        }
        for node in ast.walk(handler):
            taken = (
                [node.value]
                if isinstance(node, ast.Attribute | ast.Subscript)
                else [node.left, *node.comparators]
                if isinstance(node, ast.Compare)
                else node.args
                if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("re.")
                else []
            )
            if any(ast.unparse(one) in texts for one in taken):
                yield f"{node.lineno} {ast.unparse(node)}"


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_no_place_takes_the_line_of_an_error_apart(path):
    """What another place has put together has parts: `error.problem`. Caught, when planted:
    `str(error).startswith(f"{knobs.id}: ")` in programs.py, `re.match(..., str(error))` in reading.py."""
    assert not list(looked_into(tree_of(path)))


def test_what_looks_into_an_error_is_seen():
    for line in (
        "str(error).partition(': ')",
        "'x' in str(error)",
        "re.match('x', str(error))",
        "error.args[0]",
        "(text := str(error)) and str(error)[:3]",
    ):
        code = f"try:\n    pass\nexcept (UserError, OSError) as error:\n    {line}\n"
        assert list(looked_into(ast.parse(code))), line


NAMES_ALGORITHMS = {
    "config/algorithms.py",  # their declarations
    "config/rl_zoo/words.py",  # the names that rl-zoo has for them
    "by_hand/program.py",  # the two that have a twin: what learns, and the names of its metrics
    "by_hand/__main__.py",  # its own choices
    "clinic/measuring.py",  # the one that its faults are planted into
    "training/population/searchers.py",  # searches are found by name without a config, too: `pg_theano.search.minimise`
    "training/population/minimise.py",
    "training/population/pgpe.py",
}


def test_algorithms_are_named_where_they_are_declared():
    """What an algorithm is like is asked of its declaration: another algorithm changes no other file of the host.

    Caught, when planted: `if algorithm.name == "ppo"` in training/memory.py.
    """
    from pg_theano.config.algorithms import ALGORITHMS

    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in FILES
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in ALGORITHMS
    }
    assert found <= NAMES_ALGORITHMS
