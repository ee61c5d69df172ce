"""The memory that a run needs: by hand for one, and what is refused and what is not."""

import tracemalloc
from pathlib import Path

import gymnasium
import probe_environments as probes
import pytest
from helpers_graphs import changed

from pg_theano.config import reading as configs
from pg_theano.training import memory, specs
from pg_theano.types import UserError

ROOT = Path(__file__).parent.parent
LARGE = {
    "environment": {"id": "Pendulum-v1", "num_envs": 4096, "max_episode_steps": 10_000},
    "policy": {"hidden": [1024, 1024]},
}


def spec_of(data):
    config = configs.from_dict(data)
    environment = specs.environment_of(config.model_copy(update={"environment": one_of(config)}), [])
    try:
        return config, specs.spec_of(config, environment.task, environment)
    finally:
        environment.close()


def one_of(config):
    """The same environment once: how many there are is no part of a spec."""
    return config.environment.model_copy(update={"num_envs": 1})


def test_bytes_are_those_of_the_arrays(monkeypatch):
    """PPO, CartPole, [8]: 4·8 + 8 + 8·2 + 2 = 58 numbers of the policy and 4·8 + 8 + 8 + 1 = 49 of V. Caught, when
    planted: the optimiser's two moments forgotten; one environment for all."""
    config, spec = spec_of({"algorithm": {"name": "ppo", "num_steps": 64}, "policy": {"hidden": [8]}})
    parts = memory.needed(config, spec)
    assert parts["parameters"] == 4 * (memory.COPIES * 3 + 2) * (58 + 49)
    assert parts["rollout"] == 2 * 4 * 16 * 64 * (2 * 4 + 2 + 5)
    assert parts["layers"] == 4 * (memory.KEPT * 16 * 64 / 8 * (10 + 9) + memory.KEPT_JUDGING * 16 * 64 * 8)
    double, _ = spec_of({"algorithm": {"name": "ppo", "num_steps": 64}, "policy": {"hidden": [8]}, "dtype": "float64"})
    assert memory.needed(double, spec) == {name: 2 * size for name, size in parts.items()}


def test_a_search_counts_all_of_its_candidates():
    """CEM, CartPole, linear: 4·2 + 2 = 10 numbers, 100 candidates of two episodes. Caught, when planted: one candidate."""
    algorithm = {"name": "cem", "population_size": 100, "episodes_per_candidate": 2}
    config, spec = spec_of({"algorithm": algorithm, "environment": {"engine": "gymnasium"}})
    parts = memory.needed(config, spec)
    assert parts["population"] == 10 * (16 * 100 + 2 * 4 * 200)
    assert parts["layers"] == 2 * 4 * 200 * 2
    assert parts["rollout"] == 4 * 200 * 500 * (4 + 4)
    full, _ = spec_of({"algorithm": algorithm | {"covariance": "full"}})
    assert memory.needed(full, spec)["covariance"] == 3 * 8 * 10**2


@pytest.mark.parametrize(
    ("policy", "kept"), [({"hidden": [16]}, 0), ({"hidden": [32, 32]}, 32 + 32 + 2), ({"hidden": [17]}, 17 + 2)]
)
def test_layers_of_many_episodes_count_where_they_are_kept(policy, kept):
    """REINFORCE on 16,384 episodes of CartPole: 0.7 of 1.0 GB one time step after the other, for narrow layers; 5.3 of
    6.4 GB at once. Caught, when planted: wide layers taken for narrow ones, as it was (18.3 GB where 4.3 were said)."""
    many = {"schedules": {"episodes_per_update": {"initial": 16_384}}, "environment": {"engine": "compiled"}}
    config, spec = spec_of(many | {"policy": policy})
    assert memory.needed(config, spec).get("layers", 0) == 4 * memory.KEPT * 16_384 * 500 * kept


@pytest.mark.parametrize("name", ["reinforce", "vpg", "a2c", "ppo", "npg", "trpo", "cem", "pgpe", "es", "cmaes"])
@pytest.mark.parametrize("engine", ["gymnasium", "compiled"])
def test_what_does_not_fit_is_refused_with_the_memory_that_it_needs(name, engine, monkeypatch):
    """4,096 environments (episodes, candidates), two layers of 1,024, 10,000 steps, beside 16 GB. Caught, when planted:
    layers not counted."""
    monkeypatch.setattr(memory, "available", lambda: 16e9)
    algorithm = {"name": name}
    data = LARGE | {"environment": LARGE["environment"] | {"engine": engine}, "algorithm": algorithm}
    if name in ("a2c", "ppo"):
        algorithm["num_steps"] = 10_000
    elif name in ("cem", "pgpe", "es", "cmaes"):
        algorithm["population_size"] = 4096
    else:
        data["schedules"] = {"episodes_per_update": {"initial": 65536 if name == "reinforce" else 4096}}
    config, spec = spec_of(data)
    with pytest.raises(UserError, match=r"^[a-z._]+: got .*, which needs [\d,.]+ [GTP]B of memory \(") as refused:
        memory.check(config, spec)
    assert "expected at most 16.0 GB, which there is; try " in str(refused.value)


def _is_there(data):
    """Whether a config needs no extra of what is installed here: Box2D, MuJoCo, PettingZoo."""
    entry = str(gymnasium.spec(data.get("environment", {}).get("id", "CartPole-v1")).entry_point)
    return "box2d" not in entry and "mujoco" not in entry


def test_no_config_of_ours_is_near_the_limit():
    """Caught, when planted: 65,536 episodes an update for all of them."""
    checked = 0
    for path in sorted((ROOT / "configs").glob("*.yaml")):
        data = configs.read_data(path).data
        if (
            "search" in data
            or data.get("environment", {}).get("id", "CartPole-v1") not in gymnasium.registry
            or not _is_there(data)
        ):
            continue
        data.pop("name", None)
        config, spec = spec_of(data)
        assert sum(memory.needed(config, spec).values()) < 1e9, path.name
        checked += 1
    assert checked >= 10


def test_episodes_count_at_their_limit_up_to_ten_thousand_steps():
    """An environment without a limit is not refused for what it would take at 131,072 steps. Caught, when planted: the
    limit as it is; the first update alone, where a schedule grows."""
    one, spec = spec_of({"environment": {"id": "Pendulum-v1"}})
    assert memory.needed(one, spec)["rollout"] == 2 * 4 * 16 * 200 * (2 * 3 + 2 + 5)
    for limit in (None, 10**7):
        assert memory.needed(one, changed(spec, time_limit=limit))["rollout"] == 2 * 4 * 16 * 10_000 * 13
    growing, _ = spec_of(
        {"schedules": {"episodes_per_update": {"kind": "linear", "initial": 1, "final": 100, "over_updates": 10}}}
    )
    assert memory.needed(growing, spec)["rollout"] == 2 * 4 * 128 * 200 * 13


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"memory.max": "5000000", "memory.current": "1000000"}, 4e6),
        ({"memory.max": "max", "memory.current": "1000000"}, None),
        ({"memory/memory.limit_in_bytes": "7000000", "memory/memory.usage_in_bytes": "1000000"}, 6e6),
        ({}, None),
    ],
)
def test_a_control_group_may_allow_less_than_the_machine_has(files, expected, tmp_path, monkeypatch):
    """Both versions of them. Caught, when planted: the machine's memory alone."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n")
    machine = memory.available()
    monkeypatch.setattr(memory, "CGROUPS", tmp_path)
    found = memory.available()
    assert found == expected if expected is not None else found > 1e8 and machine > 1e8


@pytest.mark.parametrize("inside", [False, True])
def test_a_wide_observation_is_counted_before_anything_of_its_width_is_made(inside, monkeypatch):
    """Found: 6.4 GB of a table with a row for each of 40,000 cells, before the check spoke."""
    monkeypatch.setattr(memory, "available", lambda: 8e9)
    cells = gymnasium.spaces.Discrete(40_000)
    monkeypatch.setattr(probes.AnySpaces, "observation_space", gymnasium.spaces.Dict(a=cells) if inside else cells)
    tracemalloc.start()
    try:
        config, spec = spec_of({"environment": {"id": "probe_environments:AnySpaces-v0", "max_episode_steps": 1000}})
        with pytest.raises(UserError, match=r"observations of 40,000 numbers, which needs 10\..* GB .*; try fewer"):
            memory.check(config, spec)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100e6
