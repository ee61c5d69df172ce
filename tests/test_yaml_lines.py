"""The YAML reader: plain values as YAML 1.2 has them, the line of each, and one clear line for what it refuses."""

import math
import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pg_theano.system import yaml_lines
from pg_theano.system.yaml_lines import read_file, read_text, read_value
from pg_theano.types import UserError

VALUES = [
    ("1e-4", 1e-4),
    ("1e6", 1e6),
    ("1E+3", 1000.0),
    (".5", 0.5),
    ("-3.", -3.0),
    ("-.5e1", -5.0),
    (".inf", math.inf),
    ("-.INF", -math.inf),
    ("10", 10),
    ("010", 10),
    ("+7", 7),
    ("-0", 0),
    ("0x1F", "0x1F"),
    ("0o17", "0o17"),
    ("1_000", "1_000"),
    ("1:30", "1:30"),
    ("٣", "٣"),
    ("1.2.3", "1.2.3"),
    ("-e", "-e"),
    ("inf", "inf"),
    ("nan", "nan"),
    ("true", True),
    ("True", True),
    ("TRUE", True),
    ("false", False),
    ("False", False),
    ("FALSE", False),
    ("tRUE", "tRUE"),
    ("yes", "yes"),
    ("NO", "NO"),
    ("on", "on"),
    ("y", "y"),
    ("null", None),
    ("Null", None),
    ("~", None),
    ("", None),
    ("none", "none"),
    ("2024-01-31", "2024-01-31"),
    ("2024-01-31 10:00:00", "2024-01-31 10:00:00"),
    ("=", "="),
    ("'1e-4'", "1e-4"),
    ('"true"', "true"),
    ("''", ""),
    ("CartPole-v1  # a comment", "CartPole-v1"),
    ("[32, 32]", [32, 32]),
    ("{id: CartPole-v1, steps: 1e3}", {"id": "CartPole-v1", "steps": 1000.0}),
]


def same(one, other):
    """Equal, and of the same types all the way down: 1, 1.0 and True differ here."""
    if isinstance(one, dict):
        return isinstance(other, dict) and list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


@pytest.mark.parametrize(("text", "value"), VALUES)
def test_values_are_read_as_the_table_says(text, value):
    """Caught, when planted: PyYAML's own resolvers, float before int, quotes ignored."""
    assert same(read_value(text, "knob"), value)
    assert same(read_text(f"knob: {text}", "f.yaml").data, {"knob": value})


@pytest.mark.parametrize("text", [".nan", ".NaN", ".NAN"])
def test_not_a_number(text):
    assert math.isnan(read_value(text, "knob"))


def test_every_value_has_its_line():
    """Caught, when planted: lines from 0, the value's line instead of its key's."""
    text = (
        "# one\n"
        "algorithm:\n"
        "  name: ppo\n"
        "\n"
        "  clip_range:\n"
        "    0.2\n"
        "policy:\n"
        "  hidden:\n"
        "  - 64\n"
        "  - {width: 32,\n"
        "     bias: true}\n"
    )
    document = read_text(text, "f.yaml")
    assert document.name == "f.yaml"
    assert document.data == {
        "algorithm": {"name": "ppo", "clip_range": 0.2},
        "policy": {"hidden": [64, {"width": 32, "bias": True}]},
    }
    assert document.lines == {
        ("algorithm",): 2,
        ("algorithm", "name"): 3,
        ("algorithm", "clip_range"): 5,
        ("policy",): 7,
        ("policy", "hidden"): 8,
        ("policy", "hidden", 0): 9,
        ("policy", "hidden", 1): 10,
        ("policy", "hidden", 1, "width"): 10,
        ("policy", "hidden", 1, "bias"): 11,
    }


def test_an_alias_is_a_copy_with_its_anchors_lines():
    """Caught, when planted: one list shared by both."""
    document = read_text("a: &wide\n- 64\n- 32\n\nb: *wide\n", "f.yaml")
    assert document.data == {"a": [64, 32], "b": [64, 32]}
    assert document.data["a"] is not document.data["b"]
    assert (document.lines["b",], document.lines["b", 0]) == (5, 2)


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n", "---\n", "\ufeff"])
def test_an_empty_document_is_an_empty_mapping(text):
    assert read_text(text, "f.yaml") == ({}, {}, "f.yaml")


def nested(depth):
    return "[" * depth + "]" * depth


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10)
)

REFUSED = [
    ("a: 1\nb: 2\n\na: 3", "f:4 a: got it twice (first on line 1); expected it once; try without one"),
    ("x: {a: 1,\n  a: 2}", "f:2 x.a: got it twice (first on line 1); expected it once; try without one"),
    ("x:\n- a: 1\n  a: 2", "f:3 x.0.a: got it twice (first on line 2); expected it once; try without one"),
    ("'a': 1\na: 2", "f:2 a: got it twice (first on line 1); expected it once; try without one"),
    ('"a\\nb": 1\n"a\\nb": 2', "f:2 'a\\nb': got it twice (first on line 1); expected it once; try without one"),
    ("a:\n\tb: 1", "f:2: got a tab; expected spaces; try two of them for each level"),
    (
        "a: @b",
        "f:1: got the character '@' at the start of a value; expected a letter or digit; try the value in quotes",
    ),
    (
        "a: 1\nb: [1, 2\n",
        "f:3: got the end; expected ',' or ']' (of what begins on line 2); try closing the bracket or quote",
    ),
    ("a: b: c", "f:1: got a second ': ' in one value; expected one; try"),
    ("a: *x", "f:1: got the alias 'x'; expected an anchor above it; try"),
    ("a: \x00", "f:1: got the character U+0000; expected printable text; try without it"),
    ("a: 1\nb: \x1b", "f:2: got the character U+001B; expected printable text; try without it"),
    ("a: !!python/object x", "f:1: got the tag !!python/object; expected plain values; try the value without it"),
    (
        "a: 1\nb: !!python/object/apply:os.system [ls]",
        "f:2: got the tag !!python/object/apply:os.system; expected plain values",
    ),
    ("!!map {a: 1}", "f:1: got the tag !!map; expected plain values; try the value without it"),
    ("a: !!float 3", "f:1: got the tag !!float; expected plain values"),
    ("a: !mine 3", "f:1: got the tag !mine; expected plain values"),
    ("!!str a: 3", "f:1: got the tag !!str; expected plain values"),
    ("- 1", "f:1: got a list; expected a mapping of knobs; try 'environment: {id: CartPole-v1}'"),
    ("# a comment\nhello", "f:2: got text; expected a mapping"),
    ("3.5", "f:1: got a number; expected a mapping"),
    ("true", "f:1: got a boolean; expected a mapping"),
    ("a: 1\n---\nb: 2", "f:2: got a second document, which starts here; expected one; try without the line ---"),
    ("1: a", "f:1: got '1' as a key; expected a name; try it in quotes"),
    ("x:\n  true: a", "f:2 x: got 'true' as a key"),
    ("? [a]\n: b", "f:1: got a collection as a key"),
    ("a: &x {b: 1}\nc:\n  <<: *x", "f:3 c: got a merge key (<<); expected plain keys; try writing the values out"),
    ("a: &x [*x]", "f:1: got more than 50 levels; expected fewer; try writing it flatter"),
    (f"a: {nested(51)}", "f:1: got more than 50 levels; expected fewer; try writing it flatter"),
    (nested(100_000), "f:1: got more than 50 levels; expected fewer; try writing it flatter"),
    (BOMB, "f:1: got more than 10,000 keys and values, aliases unfolded; expected fewer; try without aliases"),
    (
        "a:\n" + "- 1\n" * 10_000,
        "f:9999: got more than 10,000 keys and values, aliases unfolded; expected fewer; try without aliases",
    ),
]


@pytest.mark.parametrize(("text", "said"), REFUSED, ids=[said for _, said in REFUSED])
def test_what_is_refused_is_refused_in_one_line(text, said):
    """Caught, when planted: no duplicate check, tags let through, either size check left out, keys not checked."""
    with pytest.raises(UserError) as refusal:
        read_text(text, "f")
    assert str(refusal.value).startswith(said)
    assert "\n" not in str(refusal.value)


def test_the_limits_themselves_are_allowed():
    assert read_text(f"a: {nested(50)}", "f").lines[("a", *[0] * 49)] == 1
    assert len(read_text("a:\n" + "- 1\n" * 9_997, "f").data["a"]) == 9_997  # root, key, list and the items: 10,000


def test_a_quoted_merge_key_is_a_name():
    assert read_text("'<<': 1", "f").data == {"<<": 1}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1, 2", "policy.hidden: got the end; expected ',' or ']'"),
        ("{a: 1, a: 2}", "policy.hidden a: got it twice; expected it once; try without one"),
        ("!!python/none x", "policy.hidden: got the tag !!python/none; expected plain values"),
        ("@x", "policy.hidden: got the character '@'"),
        ("\udcff", "policy.hidden: got the character U+DCFF; expected"),
    ],
)
def test_a_bad_value_is_refused_without_a_line(text, said):
    with pytest.raises(UserError) as refusal:
        read_value(text, "policy.hidden")
    assert str(refusal.value).startswith(said)


def refusal_of(path):
    with pytest.raises(UserError) as refusal:
        read_file(path)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def test_a_file_is_read_under_the_name_the_user_wrote(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_bytes("\ufeffname: Wärme\r\nsteps: 1e3\r\n".encode())
    assert read_file("./mine.yaml") == (
        {"name": "Wärme", "steps": 1000.0},
        {("name",): 1, ("steps",): 2},
        "./mine.yaml",
    )


def test_a_missing_file_suggests_the_nearest_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "cartpole.yaml").touch()
    (tmp_path / "configs" / "pendulum.yaml").touch()
    said = refusal_of("configs/cartpoel.yaml")
    assert said == "configs/cartpoel.yaml: no such file; expected a YAML file; did you mean configs/cartpole.yaml?"
    assert (
        refusal_of("configs/x")
        == "configs/x: no such file; expected a YAML file; no name in configs/ is like it; try its path"
    )
    assert (
        refusal_of("nowhere/x")
        == "nowhere/x: no such file; expected a YAML file; there is no folder nowhere either; try its path from here"
    )
    assert refusal_of("configs") == "configs: got a folder; expected a YAML file; try one of those in it"


def test_files_that_are_not_text_are_refused(tmp_path):
    path = tmp_path / "f.yaml"
    path.write_bytes(b"a: 1\nb: \xff\n")
    assert (
        refusal_of(path)
        == f"{path}:2: got bytes that are no UTF-8; expected text; try saving the file with the encoding UTF-8"
    )
    assert refusal_of("/dev/zero") == "/dev/zero: got no regular file; expected a YAML file; try another"
    assert refusal_of("x" * 5000).endswith("cannot be read: File name too long")


def test_a_large_file_is_refused_before_it_is_read(tmp_path, monkeypatch):
    """Caught, when planted: reading first."""
    path = tmp_path / "f.yaml"
    path.write_bytes(b"#" * (yaml_lines.MAX_BYTES + 1))
    monkeypatch.setattr(yaml_lines.Path, "read_bytes", lambda path: pytest.fail("was read"))
    assert (
        refusal_of(path) == f"{path}: got 1,000,001 bytes; expected a YAML file of at most 1,000,000; try a shorter one"
    )


NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")  # YAML 1.2.2, section 10.3.2

names = st.text(max_size=20).filter(lambda text: not NUMBER.fullmatch(text))  # safe_dump leaves 1e5, text in 1.1, bare
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | names
plain = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4))


def paths(data, path=()):
    """Every key path of nested data, the data's own excepted."""
    items = data.items() if isinstance(data, dict) else list(enumerate(data)) if isinstance(data, list) else ()
    return {(*path, key) for key, _ in items} | {deep for key, value in items for deep in paths(value, (*path, key))}


@pytest.mark.slow
@given(st.dictionaries(names, plain, max_size=4), st.booleans())
def test_what_safe_dump_writes_reads_back(data, flow):
    """Caught, when planted: None read as text, floats through PyYAML 1.1, a list item without a line."""
    document = read_text(yaml.safe_dump(data, default_flow_style=flow, sort_keys=False), "f")
    assert same(document.data, data)
    assert set(document.lines) == paths(data)


# -- files that were written for other programs

FOREIGN = """\
base: &base
  n_envs: 8
  n_timesteps: !!float 1e5
other: &other {n_envs: 2, gamma: 0.9}
task:
  <<: *base
  n_envs: 1
both:
  <<: [*base, *other]
deeper: {inner: {<<: *other}}
"""


def test_a_foreign_file_may_merge_mappings_and_say_that_a_number_is_one():
    """YAML 1.1's merge key: the keys beside it hold, and of several mappings the first. Caught, when planted: the last
    of two holds; a merged key over the one beside it; the line of the anchor for a mapping that merges it."""
    document = read_text(FOREIGN, "f.yml", foreign=True)
    assert document.data == {
        "base": {"n_envs": 8, "n_timesteps": 1e5},
        "other": {"n_envs": 2, "gamma": 0.9},
        "task": {"n_envs": 1, "n_timesteps": 1e5},
        "both": {"n_envs": 8, "gamma": 0.9, "n_timesteps": 1e5},
        "deeper": {"inner": {"n_envs": 2, "gamma": 0.9}},
    }
    lines = document.lines
    assert [lines[path] for path in [("task",), ("task", "n_envs"), ("task", "n_timesteps")]] == [5, 7, 3]
    assert [lines[path] for path in [("both",), ("both", "n_envs"), ("both", "gamma")]] == [8, 2, 4]
    one_each = FOREIGN.replace("[*base, *other]", "*other")  # of two, PyYAML 6.0.4 lets the last hold
    assert read_text(one_each, "f.yml", foreign=True).data == yaml.safe_load(one_each)
    for text in FOREIGN, "a: !!float 1e5", "a: {<<: {b: 1}}":
        with pytest.raises(UserError):  # our own may have neither
            read_text(text, "f.yml")
