"""The declarations of algorithms: each fact against the code that it is a fact of, and that they are all there is."""

import contextlib
import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers_graphs import floats

from pg_theano.by_hand import program as twin
from pg_theano.config import reading, schedules
from pg_theano.config.algorithms import ALGORITHMS, NOT_OF_ALL
from pg_theano.config.kinds import INPUT
from pg_theano.config.knobs import Config
from pg_theano.config.tables import knobs
from pg_theano.training import specs
from pg_theano.training.population import searchers
from pg_theano.types import UserError

PACKAGE = Path(__file__).parents[1] / "pg_theano"
BY_GRADIENT = [name for name, record in ALGORITHMS.items() if not record.searches]
SEARCHES = [name for name, record in ALGORITHMS.items() if record.searches]
EVERY_PART = {
    "environment": {"engine": "gymnasium"},
    "exploration": {"name": "epsilon_softmax"},
    "algorithm": {"entropy_coefficient": 0.1, "target_kl": 0.02, "value_clip_range": 0.3},
    "optimizer": {"max_gradient_norm": 1.0},
}
OF_A_PATH = {
    "environment": {"id": "Pendulum-v1"},
    "algorithm": {"entropy_coefficient": 0.1},
    "optimizer": {"max_gradient_norm": 1.0},
}


def spec_with_every_part(name):
    """The spec of a config that switches on all that an algorithm can do with its knobs."""
    record = ALGORITHMS[name]
    data = {section: dict(part) for section, part in (OF_A_PATH if record.pathwise else EVERY_PART).items()}
    data["algorithm"] = {"name": name} | {k: v for k, v in data["algorithm"].items() if record.reads(f"algorithm.{k}")}
    config = reading.from_dict(data)
    with contextlib.closing(specs.environment_of(config, [])) as environment:
        return specs.spec_of(config, environment.task, environment)


class Watched(dict):
    """Knobs or fields, and which of them have been read."""

    def __init__(self, *args):
        super().__init__(*args)
        self.read = set()

    def __getitem__(self, name):
        self.read.add(name)
        return super().__getitem__(name)


NOT_READ = {"npg": {"learning_rate"}, "trpo": {"learning_rate"}}
"""Read by the loop alone, which records it: their policy's step has its own length."""


@pytest.mark.parametrize("name", BY_GRADIENT)
def test_a_graph_reads_the_inputs_that_its_algorithm_declares(name, monkeypatch):
    """Caught, when planted: a2c without its value_coefficient, vpg with ppo's clip_range."""
    from pg_theano.graphs.algorithms import common

    spec, seen = spec_with_every_part(name), []
    before = common.named

    def named(spec, vector):
        seen.append(Watched(before(spec, vector)))
        return seen[-1]

    monkeypatch.setattr(common, "named", named)
    with floats(spec.dtype):
        importlib.import_module(f"pg_theano.graphs.algorithms.{name}").train(spec)
    declared = {one for one, section in schedules.INPUTS.items() if ALGORITHMS[name].reads(f"{section}.{one}")}
    assert set().union(*(one.read for one in seen)) == declared - NOT_READ.get(name, set())


@pytest.mark.parametrize("name", BY_GRADIENT)
def test_a_graph_needs_the_fields_and_the_optimisers_that_its_algorithm_declares(name):
    """Caught, when planted: reinforce with next_obs, trpo with an optimiser of the policy."""
    from pytensor.graph.traversal import ancestors

    spec = spec_with_every_part(name)
    with floats(spec.dtype):
        graph = importlib.import_module(f"pg_theano.graphs.algorithms.{name}").train(spec)
    needed = set(ancestors(list(graph.outputs.values())))
    used = {entry for entry, variable in graph.inputs.items() if variable in needed}
    of_an_objective = {"log_prob"} if ALGORITHMS[name].reads("algorithm.objective") else set()  # a user's may read it
    taken = {"record"} if spec.engine else set(spec.learning.takes)  # of which a compiled task's fields are rows
    assert taken - used <= of_an_objective
    for entry, output in graph.outputs.items():
        if "optimizer/" in entry:
            _, before, after = output.owner.inputs  # switch(broken, before, after)
            assert before is not after, entry
    moved = {entry.partition("/")[0] for entry in graph.outputs if "optimizer/" in entry}
    assert moved == set(spec.learning.optimizers)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_facts_of_a_declaration_agree_with_each_other(name):
    """Caught, when planted: vpg with one optimiser, a2c without its values."""
    record = ALGORITHMS[name]
    assert record.name == name
    assert record.reads("schedules.value_learning_rate") == ("value_optimizer" in record.optimizers)
    assert record.reads("policy.shared") == record.one_loss
    assert record.reads("normalize.rewards") == record.learns_values
    assert record.reads("algorithm.advantage") == (record.learns_values and not record.pathwise)
    assert record.reads("algorithm.population_size") == record.searches == (not record.optimizers)
    assert record.switches <= record.knobs
    assert not record.searches or not (record.learns_values or record.twin or record.step_by_step)
    assert reading.from_dict({"algorithm": {"name": name}}).algorithm.name == name


def test_what_is_declared_to_be_read_is_a_knob():
    assert {key for key, *_ in knobs()} >= NOT_OF_ALL


def test_every_mark_of_an_input_is_found():
    """Caught, when planted: a marked knob of a section that is not looked at."""
    marked = {
        (name, key)
        for name, part in Config()
        for key, field in getattr(type(part), "model_fields", {}).items()
        if INPUT in field.metadata
    }
    assert marked == {(section, name) for name, section in schedules.INPUTS.items()}


def test_every_input_is_a_number_of_every_update():
    """Caught, when planted: a schedule that is not marked."""
    config = reading.from_dict(
        {"schedules": {"exploration_rate": {"kind": "linear", "initial": 1.0, "final": 0.0, "over_updates": 10}}}
    )
    assert {name for name, section in schedules.INPUTS.items() if section == "schedules"} == {
        name for name in type(config.schedules).model_fields if name != "episodes_per_update"
    }
    at = schedules.knobs_at(config, 5)
    assert set(at) == set(schedules.INPUTS) == set(schedules.constant_knobs(config))
    assert all(isinstance(value, float) for value in at.values())
    assert at["exploration_rate"] == 0.5
    assert schedules.constant_knobs(config)["exploration_rate"] == 1.0


def test_the_searches_are_those_that_there_are():
    assert set(SEARCHES) == set(searchers.NAMES)


@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_is_mirrored_where_it_needs_pairs(name):
    def make():
        return searchers.make(name, size=3, population_size=5, initial_std=1.0)

    if ALGORITHMS[name].mirrored:
        with pytest.raises(UserError, match="even"):
            make()
    else:
        make()


def test_those_with_a_twin_are_those_that_the_twin_has():
    assert set(twin.LEARNERS) == {name for name, record in ALGORITHMS.items() if record.twin}


DECLARATION = """
BOLD = Algorithm(
    name="bold",
    knobs=A2C.knobs - {"algorithm.value_coefficient"} | {"algorithm.clip_range"},
    defaults={"policy": {"hidden": [4]}, "algorithm": {"baseline": "value", "num_steps": 8}},
)
"""
GRAPH = '''"""An algorithm of a test."""

from pg_theano.graphs import networks
from pg_theano.graphs.algorithms import a2c, common
from pg_theano.graphs.algorithms.common import act, rollout


def describe(spec):
    return common.describe(spec, ["cost", "entropy", "gradient_norm", "explained_variance", "advantage_mean", "finite"])


def train(spec):
    update = common.opened(spec)
    state, knobs = update.state, update.knobs
    layers = networks.views(state["params"], spec.acting.layout)
    loss, measured = a2c.loss_of(spec, layers, update.batch, knobs | {"value_coefficient": knobs["clip_range"]})
    gradient = common.flat_gradient(loss, layers)
    params, optimiser, norm = common.stepped(spec, state["params"], gradient, state, knobs)
    metrics = {"cost": loss, "entropy": measured["entropy"], "gradient_norm": norm}
    return common.closed(update, {"params": params} | optimiser, metrics)
'''


def test_a_new_algorithm_is_a_declaration_and_the_file_of_its_mathematics(tmp_path):
    """A copy of the package with one more of each trains it, knows its knobs and lists it in its schema.

    Caught, when planted: a table of names elsewhere in the host (`{"ppo": ..., "a2c": ...}[config.algorithm.name]`).
    """
    copy = shutil.copytree(PACKAGE, tmp_path / "pg_theano")
    (copy / "graphs" / "algorithms" / "bold.py").write_text(GRAPH)
    declared = copy / "config" / "algorithms.py"
    before, line, after = declared.read_text().partition("ALGORITHMS = {")
    declared.write_text(before + DECLARATION + line + after.replace("CMAES)}", "CMAES, BOLD)}"))

    def run(*words):
        environment = os.environ | {"PYTHONPATH": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-m", *words], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        return done.returncode, done.stdout, done.stderr

    knobs = ["algorithm.name=bold", "environment.engine=gymnasium", "environment.num_envs=2", "budget.updates=2"]
    code, out, err = run("pg_theano.train", *knobs, "evaluation.episodes=2", "--run-dir", "run")
    assert code == 0, (out, err)
    rows = [json.loads(row) for row in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [row["update"] for row in rows if "cost" in row] == [0, 1]
    code, out, err = run("pg_theano.train", *knobs, "algorithm.target_kl=0.1")
    assert code == 2
    assert "which bold does not read; expected algorithm.name to be one of ppo, npg, trpo" in err
    assert '"bold"' in run("pg_theano.config", "--schema")[1]
