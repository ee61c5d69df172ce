"""What the documentation shows is done here, as it stands there."""

import ast
import contextlib
import importlib
import io
import pkgutil
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers_docs import NOT_RUN, PAGES, ROOT, blocks_of, commands_of, pages, python_of, words_of
from helpers_runs import ran, small
from test_policy import policy_of

import pg_theano
from pg_theano import export
from pg_theano.config import reading as configs
from pg_theano.policies import kept
from pg_theano.system import commands

OPTIMISED = False  # see conftest.machine_code

DOCS = Path(__file__).parent.parent / "docs"

pytestmark = pytest.mark.usefixtures("elsewhere", "functions_kept")


def blocks(page, language="python"):
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text(), re.S)


# -- every block of Python, every command

SAID_NOT_TO_RUN = {
    "clinic.md": 1,  # ten minutes of trainings
    "scaling.md": 2,  # a cluster of SLURM's; four processes, as tests/test_distribute.py has them
    "searching.md": 1,  # fifteen searches
    "what-it-does.md": 2,  # a task of MuJoCo's, which is an extra
}
"""How many of a page are marked as not run. Another one is a decision, taken here."""
SHORT = ["evaluation.episodes=2", "environment.max_episode_steps=64"]
SMALLER = {
    "train": ["budget.updates=2", *SHORT],
    "search": ["search.budget.trials=3", "budget.updates=1", *SHORT],
    "by_hand": ["--max-episodes", "20"],
}
"""What is added to a command, so that it takes a second: the rest of it is run as it stands."""
COMPARED = ("ppo", "reinforce")
"""Runs that `what-it-does.md` compares; the page on comparing shows how they are made, and makes them."""
OF_ANOTHER = {"cache --clear"}
"""Parsed only: it would take what is compiled away from all other tests."""
NEEDS = {"graph": "dot"}
WHOLE_ALONE = {"train", "cache", "check", "schema"}
"""Commands that need no more words; another without any is a name in the text."""
MY_MODULE = """
import gymnasium
from gymnasium.envs.classic_control import CartPoleEnv


class MyEnv(CartPoleEnv):
    def __init__(self, difficulty=1, render_mode=None):
        super().__init__(render_mode=render_mode)


gymnasium.register("MyEnv-v0", "my_module:MyEnv", max_episode_steps=500)


def advantages(rewards, values, next_values, terminated, truncated, gamma, lam):
    from pg_theano.clinic import right

    return right.advantages(rewards, values, next_values, terminated, truncated, gamma, lam)
"""


def every(of):
    return [pytest.param(page, one, id=f"{page.name}: {one.text}") for page in pages() for one in of(page)]


def test_what_is_not_run_is_counted():
    """Caught, when planted: one more marker; a marker that stands nowhere near a command."""
    marked = {page.name: len(re.findall(NOT_RUN, page.read_text())) for page in PAGES}
    assert {name: number for name, number in marked.items() if number} == SAID_NOT_TO_RUN
    taken = [one for page in pages() for one in [*python_of(page), *commands_of(page)] if one.not_run]
    assert len(taken) == sum(SAID_NOT_TO_RUN.values())


def test_there_is_something_to_run():
    """A pattern that finds nothing would pass. Caught, when planted: another fence, another prompt."""
    assert sum(len(python_of(page)) for page in pages()) >= 10
    found = [one.text for page in pages() for one in commands_of(page)]
    assert len(found) >= 40
    assert {"python -m pg_theano.check_env my_module:MyEnv-v0", "python -m pg_theano.cache --clear"} <= set(found)
    assert "python -m pg_theano.train docs/examples/spo.yaml" in found  # a comment of its YAML


def is_a_name(text):
    module, arguments = words_of(text)
    return not arguments and module.split(".")[-1] not in WHOLE_ALONE


def main_of(module):
    found = importlib.import_module(module)
    return found if hasattr(found, "main") else importlib.import_module(f"{module}.__main__")


@pytest.mark.parametrize(("page", "shown"), every(commands_of))
def test_every_command_is_one(page, shown, monkeypatch):
    """Its parser takes it, and its knobs are knobs. Caught, when planted: an option of a page that is not there any
    more (`--gif` renamed), a knob with a typing error, a command that is gone."""
    module, arguments = words_of(shown.text)
    if is_a_name(shown.text):
        assert main_of(module).main
        return
    parsed = []
    monkeypatch.setattr(commands, "run", lambda made, command, argv: parsed.append(made.parse_intermixed_args(argv)))
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):  # of -h
        main_of(module).main(arguments)
        (found,) = parsed
        if module.split(".")[-1] in ("train", "check", "graph") and not getattr(found, "resume", None):
            file, overrides = commands.config_and_overrides(found.what)
            configs.resolved(ROOT / file if file else None, overrides)


@pytest.mark.parametrize(
    ("page", "shown"), [pytest.param(page, one, id=page.name) for page in pages() for one in python_of(page)]
)
def test_every_block_of_python_is_python(page, shown):
    assert ast.parse(shown.text, page.name).body


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder such as the pages speak of: configs, examples, runs, a search, a module of one's own."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(ROOT / "configs", folder / "configs")
    shutil.copytree(ROOT / "docs" / "examples", folder / "docs" / "examples")
    (folder / "my_module.py").write_text(MY_MODULE)
    (folder / "configs" / "mine.yaml").write_text("environment: {id: my_module:MyEnv-v0}\n")
    with contextlib.chdir(folder):
        assert_succeeds(
            "pg_theano.train", ["configs/cartpole.yaml", "budget.updates=1", "evaluation.episodes=2", "--no-plot"]
        )
        assert_succeeds("pg_theano.search", ["configs/search-cartpole.yaml", *SMALLER["search"]])
    for name in ("a", "b"):
        shutil.copytree(folder / "runs" / "cartpole", folder / "runs" / name)
    for name in COMPARED:
        with contextlib.chdir(folder):
            words = [f"algorithm.name={name}", "runs=2", "--run-dir", f"runs/{name}", "--no-plot"]
            assert_succeeds("pg_theano.train", [*words, *SMALLER["train"]])
    return folder


@pytest.fixture
def on_a_page(site, tmp_path, monkeypatch):
    """The test runs in a copy of that folder."""
    shutil.copytree(site, tmp_path / "site")
    monkeypatch.chdir(tmp_path / "site")
    monkeypatch.syspath_prepend(tmp_path / "site" / "docs" / "examples")
    yield
    sys.modules.pop("my_module", None)


def assert_succeeds(module, arguments):
    """A command in this process, which keeps what is compiled, ends with 0; what it said, where it does not."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = main_of(module).main(arguments)
    assert code == 0, (module, arguments, said.getvalue()[-2000:])


def done_once():
    """Every page with its commands, each once: on the first page that shows it."""
    seen = set()
    for page in pages():
        found = [one.text for one in commands_of(page) if one.not_run is None and not is_a_name(one.text)]
        fresh = [text for text in dict.fromkeys(found) if text not in seen]
        seen |= set(fresh)
        if fresh or python_of(page):
            yield pytest.param(page, fresh, id=page.name)


@pytest.mark.slow
@pytest.mark.parametrize(("page", "texts"), list(done_once()))
def test_what_a_page_shows_does_what_it_is_shown_for(on_a_page, page, texts):
    """Its commands as they stand, with a budget of two updates, and two seeds of many; then its Python, block after block, with the same names.
    Caught, when planted: a config of a page renamed; an example that does not train; `--resume` of a run that cannot go
    on; a name that no block before defines."""
    for text in texts:
        module, arguments = words_of(text)
        name = module.split(".")[-1]
        if (
            f"{name} {' '.join(arguments)}" in OF_ANOTHER
            or "-h" in arguments
            or not shutil.which(NEEDS.get(name, "sh"))
        ):
            continue
        more = SMALLER.get(name, [])
        if "--run-dir" in arguments:
            shutil.rmtree(arguments[arguments.index("--run-dir") + 1], ignore_errors=True)
        if "--resume" in arguments:
            more = ["search.budget.trials=4"] if name == "search" else ["budget.updates=3"]
        if any(one.startswith("runs=") for one in arguments):
            more = [*more, "runs=2"]
        assert_succeeds(module, [*arguments, *more])
    if page.name == "hand-over.md":  # whose Python has a test of its own, below
        return
    names = {"__name__": "__docs__"}
    with contextlib.redirect_stdout(io.StringIO()):
        for shown in python_of(page):
            if shown.not_run is None:
                exec(compile(shown.text, page.name, "exec"), names)  # noqa: S102 - our own documentation


@pytest.mark.slow
def test_the_page_on_handing_over(tmp_path):
    """Its twenty lines of NumPy act as every policy of a discrete space does. Caught, when planted: a bias taken away;
    tanh for the sigmoid; the normaliser, the start, or the logit of 0 of a logistic policy left out."""
    config = small(
        environment={"id": "CartPole-v1", "max_episode_steps": 64},
        normalize={"observations": True},
        budget={"updates": 3},
    )
    ran(config, tmp_path / "runs" / "cartpole")
    export.export("runs/cartpole", "npz")
    shutil.copytree(DOCS.parent / "configs", tmp_path / "configs")
    loaded, reader, callback = blocks("hand-over.md")
    names = {}
    exec(loaded, names)  # noqa: S102 - our own documentation
    assert names["env"].action_space.contains(names["action"]) and np.isclose(names["probs"].sum(), 1)
    exec(reader, names)  # noqa: S102
    obs = np.random.default_rng(0).normal(size=(1000, 4)).astype(np.float32)
    np.testing.assert_array_equal(names["act"](obs), pg_theano.load("runs/cartpole")(obs))
    for other in ("logistic", "starts at 1", "matrix observed"):
        ours = policy_of(other)
        np.savez("cartpole.npz", allow_pickle=False, **kept.arrays_of(ours))
        exec(reader, names)  # noqa: S102
        obs = np.random.default_rng(0).normal(size=(1000, ours.acting.obs_size)).astype(ours.acting.dtype)
        np.testing.assert_array_equal(names["act"](obs), ours(obs))
    exec(callback, names)  # noqa: S102
    assert names["result"].figures["status"] in ("stopped", "solved")


def leads_nowhere(site):
    """(page, link) of every internal link without a file, or without its anchor."""
    texts = {path.resolve(): path.read_text() for path in site.rglob("*.html")}
    for page, text in texts.items():
        for target, anchor in re.findall(r'href="([^"#:?]+)(?:\?[^"#]*)?(?:#([^"]*))?"', text):
            there = (page.parent / target).resolve()
            if not (there.exists() and (not anchor or there not in texts or f'id="{anchor}"' in texts[there])):
                yield page.name, target, anchor


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_asks_no_other_host(tmp_path):
    """Equations are drawn, the tutorial is there as it was run. Caught, when planted: a link to a page that is not
    there; MathJax, which is another host's; `math` blocks taken for code; a \\big\\lVert that is shown as it is written."""
    words = ["-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", "-d", str(tmp_path / "trees"), str(DOCS)]
    done = subprocess.run([sys.executable, *words, str(tmp_path / "html")], capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done.stderr
    built = {path.name: path.read_text() for path in (tmp_path / "html").rglob("*.html")}
    asked = [
        re.findall(r"<(?:script|link|img|iframe)\b[^>]*?(?:src|href)=\"(?:https?:)?//[^\"]*", one)
        for one in built.values()
    ]
    assert not any(asked)
    pages = [built[name] for name in built if re.match(r"\d\d-", name)] + [built["derivations.html"]]
    assert len(pages) == 14 and sum(page.count("<math ") for page in pages) > 250
    assert not [one for page in pages for one in re.findall(r"<math.*?</math>", page, re.S) if "\\" in one]
    assert "70 trajectories; their probabilities" in built["02-the-gradient-is-real.html"]
    assert not list(leads_nowhere(tmp_path / "html"))
    assert built["tutorial.html"].count('<polyline stroke="#') == 6
    assert "Time to solve" in built["speed.html"] and "the default command, warm" in built["measured.html"]


def figures_in(text):
    """(as it is written, its value, half of its last digit) of every number."""
    for written in re.findall(r"\d[\d,]*(?:\.\d+)?", text):
        digits = written.replace(",", "")
        unit = 10.0 ** -len(digits.partition(".")[2])
        if "." not in digits and digits.endswith("000"):
            unit = 10.0 ** (len(digits) - len(digits.rstrip("0")))
        yield written, float(digits), unit / 2


def measured_by(program):
    """What a program of `benchmarks/` has written: its section of the page of speed, or all of a page of its own."""
    sections = re.split(r"^## ", (ROOT / "benchmarks" / "README.md").read_text(), flags=re.M)[1:]
    for text in [*sections, (ROOT / "benchmarks" / "quality.md").read_text()]:
        if f"python {program}" in text:
            return text
    raise AssertionError(f"{program}: no page of benchmarks/ names it")


@pytest.mark.parametrize(("page", "least"), [("README.md", 5), ("docs/measured.md", 10)])
def test_measured_figures_are_those_of_the_program_that_the_row_names(page, least):
    """Each stands in what that program wrote, with as many digits or more. Caught, when planted: 0.43 for 0.44, as it
    was; a median of another run; a figure that only another program's table has."""
    text = (ROOT / page).read_text().partition("## Measured")[2] or (ROOT / page).read_text()
    rows = [row.split("|")[2:-1] for row in text.splitlines() if row.startswith("| ")][1:]
    assert len(rows) >= least
    for *cells, program in rows:
        found = [value for _, value, _ in figures_in(measured_by(re.search(r"benchmarks/\w+\.py", program)[0]))]
        for written, value, half in figures_in("|".join(cells).replace("Baselines3", "Baselines")):
            near = [x for x in found for unit in (1, 1e6) if abs(x / unit - value) <= half * 1.0001]
            assert near, f"{page}, Measured: {written} is no figure of {program}"


def test_what_tuned_configs_reach_is_what_was_measured():
    """Caught, when planted: MountainCarContinuous's figures of an older run, as they stood."""
    found = {value for _, value, _ in figures_in((ROOT / "benchmarks" / "quality.md").read_text())}
    rows = [row for row in (DOCS / "configs.md").read_text().splitlines() if re.match(r"\| \[`(ppo|pgpe)-", row)]
    assert len(rows) == 9
    for row in rows:
        for written, value, half in figures_in(row.partition(") |")[2]):
            assert any(abs(x - value) <= half * 1.0001 for x in found) or written in ("3", "10"), f"{row}: {written}"


def test_a_reward_passes_at_most_twelve_files():
    """On the page that says how it is built, each numbered and named once. Caught, when planted: a thirteenth; one twice."""
    way = (DOCS / "how-it-is-built.md").read_text().partition("## The way of a reward")[2].partition("\n## ")[0]
    files = re.findall(r"^\| (\d+) \| `([\w/]+\.py)` \|", way, re.M)
    assert [int(number) for number, _ in files] == list(range(1, len(files) + 1))
    assert 8 <= len({name for _, name in files}) == len(files) <= 12


def test_the_readme_is_short_and_says_what_theano_and_gym_are():
    """Caught, when planted: a table too many; a sentence lost."""
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 120
    assert "Theano ended with version 1.0.5 in 2020; its code base lives on as [PyTensor]" in text
    assert "OpenAI Gym lives on as [Gymnasium]" in text and "Those two are this project's `theano` and `gym`" in text


def test_what_make_and_python_are_told_is_there():
    """Targets of the Makefile, files of the project. Caught, when planted: `make bands`, `python benchmarks/biases.py`."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    for page in [*PAGES, ROOT / "CONTRIBUTING.md"]:
        shown = [text for _, language, text in blocks_of(page) if language in ("", "sh")]
        shown += re.findall(r"`([^`\n]+)`", page.read_text())
        for text in shown:
            for target in re.findall(r"^make ([a-z]+)\b", text, re.M):
                assert target in targets, f"{page.name}: make {target}"
            for file in re.findall(r"^python ((?:old|benchmarks|tests|docs)/\S+)", text, re.M):
                assert (ROOT / file).exists(), f"{page.name}: python {file}"


def test_links_between_pages_lead_somewhere():
    """Caught, when planted: a page renamed."""
    for page in [*DOCS.glob("*.md"), DOCS.parent / "README.md", DOCS.parent / "CONTRIBUTING.md"]:
        for target in re.findall(r"\]\(([^)\s#]+?)(?:#[^)]*)?\)", page.read_text()):
            if "://" in target or target == "x":
                continue
            made = ("benchmarks/reliability.md", "generated/")
            assert (page.parent / target).exists() or any(one in target for one in made), f"{page.name}: {target}"


KEPT_BY_USERS = ("runs/", "plots/", "checkpoints/")
FILE = r"((?:[\w.-]+/)*[\w-]+\.(?:py|md|json|svg|css|js|cff))"


def spans_of(page):
    """What stands between backticks in a page's text."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.S | re.M))


def paths_named_by(page):
    """Every file and folder of ours that a page names; NAME stands for what is yet to be written."""
    for shown in spans_of(page):
        path = shown.removeprefix("python ")
        ours = "/" in path and not path.startswith(KEPT_BY_USERS)
        if ours and (re.fullmatch(FILE, path) or re.fullmatch(r"(?:[\w.-]+/)+", path)):
            yield path.replace("NAME.py", "")
        elif page.name in IN_THE_PACKAGE and re.fullmatch(r"\w+\.py", path) and path != "NAME.py":
            yield path


IN_THE_PACKAGE = ("how-it-is-built.md", "CONTRIBUTING.md")
"""Pages that say that their paths are in `pg_theano/`: there, names without a folder are paths too."""


def test_every_path_that_a_page_names_is_there():
    """Caught, when planted: a file of a room renamed; a page that names the old house."""
    pages_of_ours = [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"]
    named = {(page.name, path) for page in pages_of_ours for path in paths_named_by(page)}
    assert len([1 for page, _ in named if page == "how-it-is-built.md"]) >= 25
    missing = sorted(
        f"{page}: {path}"
        for page, path in named
        if not any((top / path).exists() for top in (ROOT, ROOT / "pg_theano"))
    )
    assert not missing, "\n".join(missing)


def test_every_name_of_the_package_that_a_page_writes_out_is_there():
    """`pg_theano.room.module`, or a function of it. Caught, when planted: a module of the old house."""
    found = {
        name for page in pages() for one in spans_of(page) for name in re.findall(r"\bpg_theano(?:\.[a-z_]+)+", one)
    }
    assert {"pg_theano.load", "pg_theano.search.minimise"} <= found
    gone = []
    for name in sorted(found):
        try:
            pkgutil.resolve_name(name)
        except (ImportError, AttributeError):
            gone.append(name)
    assert not gone


def test_every_room_stands_in_the_house():
    """Caught, when planted: a file beside the commands; a package that docs/rooms.py does not know; an import upwards."""
    drawn = (DOCS / "rooms.svg").read_text()
    assert "stands in no room of the house" not in drawn
    assert not re.findall(r"<title>([^<]*)</title></rect>", drawn)


def test_every_page_of_the_site_is_reachable():
    """Caught, when planted: a page that no toctree names."""
    named = re.findall(r"^([a-z][\w/-]+)$", "\n".join(blocks("index.md", r"\{toctree\}")), re.M)
    there = {page.stem for page in DOCS.glob("*.md")} - {"index"}
    there |= {f"course/{page.stem}" for page in DOCS.glob("course/*.md")}
    assert there == {name for name in named if not name.startswith("generated/")}
