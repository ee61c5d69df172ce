"""`pg_theano.graph`: how large a graph is before and after rewriting, and what is drawn of it."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from pg_theano import graph
from pg_theano.types import UserError

pytestmark = pytest.mark.usefixtures("elsewhere")


def test_the_sizes_are_those_of_the_graph_as_built_and_as_compiled():
    """Rewriting leaves fewer nodes, and a wider layer none more. Caught, when planted: before and after exchanged."""
    found = graph.graph(function="act")
    assert (found.function, found.algorithm, found.environment) == ("act", "reinforce", "CartPole-v1")
    assert found.before.nodes > found.after.nodes > 10
    assert found.before.in_loops == 0
    assert graph.graph({"policy": {"hidden": [30]}}, function="act").before == found.before
    assert graph.graph({"policy": {"hidden": [8, 8]}}, function="act").before.nodes > found.before.nodes


def test_nodes_inside_loops_are_counted_apart():
    """The rollout is one scan: nearly all of it is inside."""
    found = graph.graph(function="rollout")
    assert found.before.in_loops > found.before.nodes > found.after.nodes


def test_text_needs_no_other_program(monkeypatch, capsys):
    monkeypatch.setenv("PATH", "")
    assert graph.main(["--function", "act", "--out", "drawn/act.txt", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["files"] == ["drawn/act-before.txt", "drawn/act.txt"]
    before, after = (Path(name).read_text() for name in found["files"])
    for text in (before, after):
        assert "params" in text and "'action'" in text and "'log_prob'" in text
    assert len(before.splitlines()) > len(after.splitlines())


def test_without_out_only_the_sizes_are_printed(capsys):
    assert graph.main(["--function", "act"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.rpartition(":")[0] for line in lines] == [
        f"reinforce on CartPole-v1, act, {when} rewriting" for when in ("before", "after")
    ]
    assert not list(Path().iterdir())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--out", "a.gif"], "--out: got a.gif; expected a name that ends in .svg, .png, .pdf or .txt"),
        (["--out", "a"], "expected a name that ends in"),
        (["--function", "gradients"], "--function: invalid choice: 'gradients'"),
        (["--function", "rollout", "environment.engine=gymnasium"], "CartPole-v1 is stepped by Gymnasium here"),
        (["gradients=by_hand", "algorithm.name=vpg"], "gradients: by_hand has no graph"),
        (["a.yaml", "b.yaml"], "got 2 config files"),
    ],
)
def test_bad_input_is_one_line(words, message, capsys):
    assert graph.main(words) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1


@pytest.mark.parametrize(("dot", "pydot"), [(None, None), ("/usr/bin/dot", None), (None, "a spec")])
def test_what_a_picture_lacks_is_named_with_how_to_get_it(dot, pydot, monkeypatch, capsys):
    monkeypatch.setattr(shutil, "which", lambda name: dot)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: pydot)
    assert graph.main(["--out", "a.svg"]) == 2
    err = capsys.readouterr().err
    assert ("apt install graphviz" in err) == (dot is None)
    assert ("pip install pg_theano[graph]" in err) == (pydot is None)
    assert "a .txt needs neither" in err


def test_a_picture_of_each_is_drawn_where_it_was_asked_for(monkeypatch):
    """PyTensor's drawing stands aside. Caught, when planted: both drawn after rewriting."""
    from pg_theano.compiler import pictures

    drawn = []
    monkeypatch.setattr(shutil, "which", lambda name: name)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    monkeypatch.setattr(pictures, "draw", lambda *found: drawn.append(found))
    found = graph.graph(function="act", out="here/act.svg")
    assert found.files == [Path("here/act-before.svg"), Path("here/act.svg")]
    assert [(file, kind) for _, file, kind in drawn] == [("here/act-before.svg", "svg"), ("here/act.svg", "svg")]
    sizes = [pictures.size(nodes) for nodes, *_ in drawn]
    assert sizes == [found.before, found.after]


@pytest.mark.skipif(not shutil.which("dot"), reason="no graphviz")
def test_a_real_picture_shows_every_node():
    pytest.importorskip("pydot")
    found = graph.graph(function="act", out="act.svg")
    for path, size in zip(found.files, (found.before, found.after), strict=True):
        text = path.read_text()
        assert text.lstrip().startswith("<?xml") and "</svg>" in text
        assert text.count("<ellipse") == size.nodes


@pytest.mark.slow
def test_ones_own_policy_is_in_the_graph(monkeypatch):
    monkeypatch.delitem(sys.modules, "mirror", raising=False)  # of another test, before this one
    examples = Path(__file__).parent.parent / "docs" / "examples"
    found = graph.graph(examples / "mirror.yaml", function="train", out="mirror.txt")
    assert "Tanh" in found.files[0].read_text()
    assert "mirror" not in sys.modules


def test_a_config_of_a_notebook_is_taken_too():
    with pytest.raises(UserError, match="did you mean algorithm"):
        graph.graph({"algorithm": {"clip_rage": 1}})
