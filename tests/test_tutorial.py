"""The tutorial runs as it stands, in a kernel, and what it shows is what was kept of it."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

OPTIMISED = False  # see conftest.machine_code

DOCS = Path(__file__).parent.parent / "docs"
TUTORIAL = DOCS / "tutorial.ipynb"


def outputs_of(notebook):
    return [output for cell in notebook["cells"] if cell["cell_type"] == "code" for output in cell["outputs"]]


def said(notebook):
    return "".join("".join(output.get("text", "")) for output in outputs_of(notebook))


def html_of(notebook, kind):
    return ["".join(one["data"].get("text/html", "")) for one in outputs_of(notebook) if one["output_type"] == kind]


def in_order(notebook):
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))


def shows_what_it_should(notebook):
    """A display for each of its four runs, with its end in it and no line beside it; three results with curves."""
    in_order(notebook)
    assert not [one for one in outputs_of(notebook) if one["output_type"] == "error" or one.get("name") == "stderr"]
    displays, results = html_of(notebook, "display_data"), html_of(notebook, "execute_result")
    assert len(displays) == 4 and all("What it said" in one and "<polyline" not in one for one in displays)
    assert [one.count("<polyline") for one in results if "<polyline" in one] == [1, 2, 3]
    text = said(notebook)
    assert "compiled" not in text and "evaluation" not in text  # the lines that a terminal gets
    differences = [float(one) for one in re.findall(r"largest difference: (\S+) of W", text)]
    assert len(differences) == 3 and max(differences[:2]) < 1e-14 and differences[2] < 1e-7
    for words in ("the episode paid 500", "PASS", "a callback asked for it", "the same actions: True"):
        assert words in text


def test_its_first_cell_asks_where_it_lies_and_installs_that(monkeypatch):
    """In Colab, where nothing is installed and a notebook cannot know its own address; elsewhere it asks nothing.
    Caught, when planted: an address with OWNER in it; one with https:// twice."""
    transformed = pytest.importorskip("IPython.core.inputtransformer2").TransformerManager().transform_cell
    (cell,) = [one for one in json.loads(TUTORIAL.read_text())["cells"] if one["id"] == "cell-colab"]
    source, lines = "".join(cell["source"]), []
    shell = type("Shell", (), {"run_line_magic": lambda self, name, line: lines.append((name, line))})
    for given in ("git.example/me/pg ", "https://git.example/me/pg"):
        names = {"input": lambda asked, given=given: given, "get_ipython": shell}
        exec(transformed(source), names)  # noqa: S102
        assert not lines
        with monkeypatch.context() as patch:
            patch.setattr(importlib.util, "find_spec", lambda name: None)
            exec(transformed(source), names)  # noqa: S102
        ((name, line),) = lines
        assert (name, line.format(**names)) == ("pip", 'install --quiet "git+https://git.example/me/pg"')
        lines.clear()


def test_no_page_has_a_placeholder():
    """Of an owner, who is not known. Caught, when planted: github.com/OWNER in the notebook."""
    pages = [
        *DOCS.glob("*.md"),
        TUTORIAL,
        *(DOCS.parent / name for name in ("README.md", "CITATION.cff", "CONTRIBUTING.md")),
    ]
    assert [page.name for page in pages if re.search(r"OWNER|YOUR[-_]?(NAME|USER|ORG)|<owner>", page.read_text())] == []


@pytest.mark.slow
def test_the_tutorial_runs_in_a_kernel(tmp_path):
    """Caught, when planted: a cell that raises; the plain screen in a kernel; a display for every picture; a minus left
    out of the gradient by hand; `softmax_d_log_prob` without its expected part."""
    copy = tmp_path / TUTORIAL.name
    shutil.copy(TUTORIAL, copy)
    words = ["-q", "-p", "no:cacheprovider", "--nbmake", "--overwrite", copy.name]
    done = subprocess.run([sys.executable, "-m", "pytest", *words], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]
    shows_what_it_should(json.loads(copy.read_text()))


def test_what_was_kept_of_it_is_a_whole_run_and_small():
    """Caught, when planted: outputs cleared; a cell run twice; a warning with a path of the machine."""
    content = TUTORIAL.read_text()
    shows_what_it_should(json.loads(content))
    assert len(content) < 120_000
    assert not re.search(r"/(home|root|tmp|usr|work)/", content)


def test_the_site_shows_it_with_its_figures():
    """Caught, when planted: HTML put into a block of text; a fence that its content can end."""
    spec = importlib.util.spec_from_file_location("docs_conf", DOCS / "conf.py")
    conf = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(conf)
    page = conf.notebook_page(json.loads(TUTORIAL.read_text()))
    assert page.count("```{raw} html\n<div>") == 7 and page.count("<svg") == 3
    cell = {"cell_type": "code", "source": ["x"], "outputs": [{"output_type": "stream", "text": ["````\n# loose\n"]}]}
    assert conf.notebook_page({"cells": [cell]}).endswith("`````text\n````\n# loose\n`````\n")
