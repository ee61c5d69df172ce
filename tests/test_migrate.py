"""What comes from rl-zoo: each name by a literal, what has no equivalent said, what is hostile never run."""

import contextlib
import json
import re
import stat
from pathlib import Path

import pytest
import yaml
from helpers_docs import ROOT
from hypothesis import given
from hypothesis import strategies as st

from pg_theano import migrate
from pg_theano.config import reading as configs
from pg_theano.config import tables
from pg_theano.config.rl_zoo import words as sb3
from pg_theano.system import yaml_lines
from pg_theano.types import UserError

pytestmark = pytest.mark.usefixtures("elsewhere")
NEEDED = {"n_timesteps": 1e5, "policy": "MlpPolicy"}


def entry(values, name="CartPole-v1", file="ppo.yml"):
    """A file of rl-zoo's with one entry, in the folder of the test."""
    Path(file).write_text(yaml.safe_dump({name: NEEDED | values}))
    return file


def migrated(values, algorithm="ppo", name="CartPole-v1"):
    return migrate.sb3_zoo(entry(values, name, f"{algorithm}.yml"), name)


def read(made):
    """The config as whoever trains it gets it: all knobs, from the text that is written."""
    Path("made.yaml").write_text(made.text)
    return configs.read_config("made.yaml")


def at(config, knob):
    for part in knob.split("."):
        config = getattr(config, part)
    return config.model_dump(exclude_none=True) if hasattr(config, "model_dump") else config


def linear(initial, updates):
    return {"kind": "linear", "initial": initial, "final": 0.0, "over_updates": updates}


NETS = "dict(log_std_init=-2, ortho_init=False, activation_fn=nn.ReLU, net_arch=dict(pi=[256], vf=[128, 64]))"
MAPPINGS = [  # algorithm, what the entry says, and what the config then is; n_timesteps is 100,000
    ("ppo", {"n_envs": 8}, {"environment.num_envs": 8}),
    ("ppo", {"n_steps": 32}, {"algorithm.num_steps": 32}),
    ("ppo", {"n_envs": 8, "n_steps": 32, "batch_size": 64}, {"algorithm.num_minibatches": 4}),
    ("ppo", {"n_envs": 1, "n_steps": 8, "batch_size": 256}, {"algorithm.num_minibatches": 1}),
    ("ppo", {"n_envs": 3, "n_steps": 50, "batch_size": 64}, {"algorithm.num_minibatches": 3}),
    ("trpo", {"n_envs": 2, "n_steps": 512, "batch_size": 256}, {"algorithm.num_minibatches": 4}),
    ("ppo", {"n_epochs": 3}, {"algorithm.num_epochs": 3}),
    ("trpo", {"n_critic_updates": 20}, {"algorithm.num_epochs": 20}),
    ("ppo", {"gamma": 0.9}, {"algorithm.discount": 0.9}),
    ("a2c", {"gae_lambda": 0.9}, {"algorithm.gae_lambda": 0.9}),
    ("ppo", {"learning_rate": 7.77e-5}, {"schedules.learning_rate": {"kind": "constant", "initial": 7.77e-5}}),
    (
        "ppo",
        {"learning_rate": "lin_2.5e-4", "n_steps": 32, "n_envs": 8, "batch_size": 256},
        {"schedules.learning_rate": linear(2.5e-4, 391)},
    ),
    ("a2c", {"learning_rate": "lin_0.001", "n_envs": 8}, {"schedules.learning_rate": linear(0.001, 2500)}),
    ("trpo", {"learning_rate": 0.01}, {"schedules.value_learning_rate": {"kind": "constant", "initial": 0.01}}),
    ("ppo", {"clip_range": 0.1}, {"algorithm.clip_range": 0.1}),
    ("ppo", {"clip_range": "lin_0.4"}, {"algorithm.clip_range": 0.4}),
    ("ppo", {"clip_range_vf": 0.3}, {"algorithm.value_clip_range": 0.3}),
    ("ppo", {"ent_coef": 0.01}, {"algorithm.entropy_coefficient": 0.01}),
    ("a2c", {"vf_coef": 0.4}, {"algorithm.value_coefficient": 0.4}),
    ("ppo", {"target_kl": 0.03}, {"algorithm.target_kl": 0.03}),
    ("trpo", {"target_kl": 0.04}, {"algorithm.target_kl": 0.04}),
    ("a2c", {"normalize_advantage": True}, {"algorithm.standardize_advantages": True}),
    ("ppo", {"normalize_advantage": False}, {"algorithm.standardize_advantages": False}),
    ("trpo", {"cg_damping": 1e-3}, {"algorithm.damping": 1e-3}),
    ("trpo", {"cg_max_steps": 25}, {"algorithm.num_cg_iterations": 25}),
    ("trpo", {"line_search_max_iter": 5}, {"algorithm.num_line_search_steps": 5}),
    ("a2c", {"use_rms_prop": True}, {"optimizer.name": "rmsprop", "optimizer.epsilon": 1e-5}),
    ("a2c", {"use_rms_prop": False}, {"optimizer.name": "adam", "optimizer.epsilon": 1e-5, "optimizer.beta1": 0.9}),
    ("a2c", {"rms_prop_eps": 1e-7}, {"optimizer.epsilon": 1e-7, "optimizer.rmsprop_decay": 0.99}),
    (
        "ppo",
        {"policy_kwargs": "dict(optimizer_kwargs=dict(betas=(0.5, 0.9)))"},
        {"optimizer.beta1": 0.5, "optimizer.beta2": 0.9, "optimizer.epsilon": 1e-8},
    ),
    (
        "ppo",
        {"policy_kwargs": "dict(optimizer_class=th.optim.RMSprop, optimizer_kwargs=dict(alpha=0.95, eps=1e-4))"},
        {"optimizer.name": "rmsprop", "optimizer.rmsprop_decay": 0.95, "optimizer.epsilon": 1e-4},
    ),
    (
        "ppo",
        {"policy_kwargs": "dict(optimizer_class=th.optim.SGD, optimizer_kwargs=dict(momentum=0.8))"},
        {"optimizer.name": "momentum", "optimizer.momentum": 0.8},
    ),
    ("ppo", {"max_grad_norm": 5}, {"optimizer.max_gradient_norm": 5.0}),
    ("ppo", {"normalize": True}, {"normalize.observations": True, "normalize.rewards": True}),
    ("ppo", {"normalize": "dict(norm_obs=True, norm_reward=False)"}, {"normalize.rewards": False}),
    ("ppo", {"normalize": "{'norm_obs': False, 'norm_reward': True}"}, {"normalize.observations": False}),
    ("ppo", {"normalize": {"norm_obs": False}}, {"normalize.observations": False, "normalize.rewards": True}),
    (
        "ppo",
        {"policy_kwargs": NETS},
        {
            "policy.hidden": [256],
            "policy.value_hidden": [128, 64],
            "policy.activation": "relu",
            "policy.initialization": "fan_in",
            "policy.initial_log_std": -2.0,
        },
    ),
    ("ppo", {"policy_kwargs": "dict(net_arch=[dict(pi=[32], vf=[32])])"}, {"policy.hidden": [32]}),
    ("ppo", {"policy_kwargs": "dict(net_arch=[32, 16])"}, {"policy.hidden": [32, 16], "policy.value_hidden": None}),
    ("ppo", {"policy_kwargs": "dict(net_arch=dict(pi=[32]))"}, {"policy.hidden": [32], "policy.value_hidden": []}),
    ("ppo", {"policy_kwargs": {"net_arch": [16]}}, {"policy.hidden": [16]}),
    ("ppo", {"use_sde": True}, {"policy.noise": "state_dependent", "policy.noise_every": None}),
    ("ppo", {"use_sde": True, "sde_sample_freq": 4}, {"policy.noise_every": 4}),
    ("ppo", {"n_timesteps": 2e4}, {"budget.env_steps": 20_000, "budget.updates": None}),
    ("ppo", {"eval_freq": 10_000, "n_steps": 500}, {"evaluation.every_updates": 20}),
    ("ppo", {"seed": 7}, {"seed": 7}),
    ("ppo", {"env_wrapper": "minigrid.wrappers.FlatObsWrapper"}, {"environment.wrappers": ["minigrid.wrappers:FlatObsWrapper"]}),
    ("ppo", {"env_wrapper": [{"a.B": {"skip": 2}}, "c.d.E"]}, {"environment.wrappers": [{"a:B": {"skip": 2}}, "c.d:E"]}),
    ("ppo", {"env_wrapper": [{"a.B": None}, "c.d.E"]}, {"environment.wrappers": ["a:B", "c.d:E"]}),
    ("ppo", {"env_kwargs": {"goal velocity": 0.1}}, {"environment.kwargs": {"goal velocity": 0.1}}),
]  # fmt: skip


@pytest.mark.parametrize(("algorithm", "values", "expected"), MAPPINGS)
def test_what_an_entry_says_becomes_the_knob_that_means_it(algorithm, values, expected):
    """Caught, when planted: gamma and gae_lambda exchanged; batch_size // instead of ⌈/⌉; lin_ taken for a constant; the
    learning rate of TRPO given to the policy; Adam's epsilon of 1e-5 where optimizer_kwargs are given."""
    made = migrated(values, algorithm)
    found = read(made)
    assert found.algorithm.name == algorithm
    assert {knob: at(found, knob) for knob in expected} == expected


def test_every_equivalent_is_in_a_row_above():
    """Caught, when planted: `cg_damping` of the table named `damping`; a row of the table that nothing reads."""
    tried = {(knob, key) for _, values, expected in MAPPINGS for key in named(values) for knob in expected}
    assert {pair for pair in sb3.EQUIVALENT if pair not in tried} == set()


def named(values):
    """The keys of an entry, and those inside its strings of Python."""
    return {*values, *re.findall(r"\w+", " ".join(str(one) for one in values.values()))}


RESOLVED = {
    # rl_zoo3 2.9.2, hyperparams/ppo.yml, CartPole-v1, over the defaults of PPO.__init__ and ActorCriticPolicy.__init__
    # of stable_baselines3 2.9.2: by SB3's name, the number, and where it stands here.
    "n_envs": (8, "environment.num_envs"),
    "n_timesteps": (100_000, "budget.env_steps"),
    "n_steps": (32, "algorithm.num_steps"),
    "n_steps * n_envs / batch_size": (1, "algorithm.num_minibatches"),
    "n_epochs": (20, "algorithm.num_epochs"),
    "gae_lambda": (0.8, "algorithm.gae_lambda"),
    "gamma": (0.98, "algorithm.discount"),
    "ent_coef": (0.0, "algorithm.entropy_coefficient"),
    "vf_coef": (0.5, "algorithm.value_coefficient"),
    "max_grad_norm": (0.5, "optimizer.max_gradient_norm"),
    "learning_rate": (linear(0.001, 391), "schedules.learning_rate"),  # ⌈100,000 / (8 · 32)⌉
    "clip_range": (0.2, "algorithm.clip_range"),  # at the start
    "clip_range_vf": (None, "algorithm.value_clip_range"),
    "normalize_advantage": (True, "algorithm.standardize_advantages"),
    "target_kl": (None, "algorithm.target_kl"),
    "net_arch": ([64, 64], "policy.hidden"),
    "activation_fn": ("tanh", "policy.activation"),
    "ortho_init": ("orthogonal", "policy.initialization"),
    "optimizer_class": ("adam", "optimizer.name"),
    "optimizer_kwargs: eps": (1e-5, "optimizer.epsilon"),
    "optimizer_kwargs: betas[0]": (0.9, "optimizer.beta1"),
    "optimizer_kwargs: betas[1]": (0.999, "optimizer.beta2"),
    "norm_obs": (False, "normalize.observations"),
    "norm_reward": (False, "normalize.rewards"),
    "use_sde": ("white", "policy.noise"),
}
CARTPOLE = {
    "n_envs": 8, "n_timesteps": 1e5, "policy": "MlpPolicy", "n_steps": 32, "batch_size": 256, "gae_lambda": 0.8,
    "gamma": 0.98, "n_epochs": 20, "ent_coef": 0.0, "learning_rate": "lin_0.001", "clip_range": "lin_0.2",
}  # fmt: skip


def test_cartpole_has_the_numbers_that_sb3_resolves():
    """Caught, when planted: ours where the entry is silent; `vf_coef` of the table 0.25."""
    found = read(migrated(CARTPOLE))
    assert {key: at(found, knob) for key, (_, knob) in RESOLVED.items()} == {
        key: one for key, (one, _) in RESOLVED.items()
    }


SHIPPED = {  # rl_zoo3 2.9.2, hyperparams/ppo.yml
    "CartPole-v1": CARTPOLE,
    "Pendulum-v1": {
        "n_envs": 4, "n_timesteps": 1e5, "n_steps": 1024, "gae_lambda": 0.95, "gamma": 0.9, "n_epochs": 10, "ent_coef": 0.0,
        "learning_rate": 1e-3, "clip_range": 0.2, "use_sde": True, "sde_sample_freq": 4,
    },
    "Acrobot-v1": {
        "normalize": True, "n_envs": 16, "n_timesteps": 1e6, "n_steps": 256, "gae_lambda": 0.94, "gamma": 0.99,
        "n_epochs": 4, "ent_coef": 0.0,
    },
    "MountainCarContinuous-v0": {
        "normalize": True, "n_envs": 1, "n_timesteps": 20000, "batch_size": 256, "n_steps": 8, "gamma": 0.9999,
        "learning_rate": 7.77e-5, "ent_coef": 0.00429, "clip_range": 0.1, "n_epochs": 10, "gae_lambda": 0.9,
        "max_grad_norm": 5, "vf_coef": 0.19, "use_sde": True, "policy_kwargs": "dict(log_std_init=-3.29, ortho_init=False)",
    },
}  # fmt: skip


@pytest.mark.parametrize("name", SHIPPED)
def test_the_configs_that_were_written_by_hand_from_rl_zoos_are_what_comes_out(name):
    """All knobs but when it is evaluated and how the budget is counted. Caught, when planted: sde_sample_freq kept from
    the noise; the value of V's coefficient from elsewhere."""
    ours = ROOT / "configs" / f"ppo-{name.rpartition('-')[0].lower()}.yaml"
    shipped, found = configs.read_config(ours), read(migrated(SHIPPED[name], name=name))
    apart = ("name", "budget", "evaluation", "solved")
    assert found.model_dump(exclude=set(apart)) == shipped.model_dump(exclude=set(apart))
    rollout = found.environment.num_envs * found.algorithm.num_steps
    assert shipped.budget.updates == -(-found.budget.env_steps // rollout)


@pytest.mark.parametrize("algorithm", sb3.DEFAULTS)
def test_what_an_entry_leaves_to_sb3_is_sb3s(algorithm):
    """The defaults of the three signatures (2.9.2), by literal. Caught, when planted: ours left for 2048 steps."""
    expected = {
        "ppo": (2048, 10, 32, 0.99, 0.95, True, {"kind": "constant", "initial": 3e-4}, "adam", 1e-5, 0.5, [64, 64]),
        "a2c": (5, None, None, 0.99, 1.0, False, {"kind": "constant", "initial": 7e-4}, "rmsprop", 1e-5, 0.5, [64, 64]),
        "trpo": (2048, 10, 16, 0.99, 0.95, True, {"kind": "constant", "initial": 1e-3}, "adam", 1e-5, None, [64, 64]),
    }[algorithm]
    found = read(migrated({}, algorithm))
    inner, rate = found.algorithm, "value_learning_rate" if algorithm == "trpo" else "learning_rate"
    fitted = (None, None) if algorithm == "a2c" else (inner.num_epochs, inner.num_minibatches)
    optimizer = found.optimizer
    assert expected == (
        inner.num_steps, *fitted, inner.discount, inner.gae_lambda, inner.standardize_advantages,
        at(found, f"schedules.{rate}"), optimizer.name, optimizer.epsilon, optimizer.max_gradient_norm, found.policy.hidden,
    )  # fmt: skip
    assert found.environment.num_envs == 1 and not found.solved.stop and found.policy.activation == "tanh"
    if algorithm == "trpo":
        assert (inner.num_cg_iterations, inner.damping, inner.num_line_search_steps, inner.target_kl) == (
            15,
            0.1,
            10,
            0.01,
        )


def test_what_is_written_is_what_the_entry_says_and_where_sb3_differs():
    """Caught, when planted: every knob written out; a knob that the entry gives left out as it is the default here."""
    written = {
        f"{section}.{key}" for section, inner in migrated({"gamma": 0.99, "n_envs": 16}).data.items() for key in inner
    }
    assert written == {
        "environment.id", "environment.num_envs", "algorithm.name", "algorithm.discount",  # the last two: given, and ours
        "algorithm.num_steps", "algorithm.num_minibatches", "schedules.learning_rate", "budget.updates",
        "budget.env_steps", "solved.stop", "evaluation.every_updates",
    }  # fmt: skip


def test_every_knob_says_where_it_came_from():
    """Caught, when planted: the line of the mapping, not of the key; a merged key without its own line."""
    Path("ppo.yml").write_text(
        "a: &a\n  policy: MlpPolicy\n  n_timesteps: !!float 1e5\n  gamma: 0.9\nCartPole-v1:\n  <<: *a\n  n_steps: 64\n"
    )
    text = migrate.sb3_zoo("ppo.yml", "CartPole-v1").text
    assert "  discount: 0.9  # ppo.yml:4 gamma: 0.9\n" in text
    assert "  num_steps: 64  # ppo.yml:7 n_steps: 64\n" in text
    assert "  num_minibatches: 1  # SB3's batch_size: 64, of 1 x 64 steps\n" in text
    assert "  env_steps: 100000  # ppo.yml:3 n_timesteps: 100000.0\n" in text
    uncommented = [line for line in text.splitlines() if re.match(" +[a-z_]+: [^#]*$", line)]
    assert uncommented == ["  id: CartPole-v1", "  name: ppo"]
    assert text.count("# yaml-language-server: $schema=schema.json\n") == 1


REMARKS = [
    ({"clip_range": "lin_0.2"}, "clip_range", "lin_0.2 falls to 0 with the budget"),
    ({"policy_kwargs": "dict(activation_fn=nn.GELU)"}, "policy_kwargs.activation_fn", "nn.GELU; policy.activation is"),
    ({"policy_kwargs": "dict(full_std=False)"}, "policy_kwargs.full_std", "false; state-dependent noise has"),
    ({"policy_kwargs": "dict(whatever=3)"}, "policy_kwargs.whatever", "3; no knob here does that"),
    ({"policy_kwargs": "dict(optimizer_class=th.optim.AdamW)"}, "policy_kwargs.optimizer_class", "adam is the nearest"),
    ({"policy_kwargs": "dict(optimizer_kwargs=dict(weight_decay=0.1))"}, "policy_kwargs.optimizer_kwargs", "weight_decay=0.1"),
    ({"frame_stack": 4}, "frame_stack", "4; no frames are stacked; try a wrapper of your own"),
    ({"callback": "rl_zoo3.callbacks.X"}, "callback", "a config names no callbacks"),
    ({"env_wrapper": [{"a.B": [2]}]}, "env_wrapper", "is left out: its arguments are no plain values by name"),
    ({"env_wrapper": "B"}, "env_wrapper", "B is no module.Class; it is left out"),
    ({"vec_env_wrapper": "a.B"}, "vec_env_wrapper", "a.B; there are no wrappers of a whole vector"),
    ({"normalize": "dict(clip_obs=5)"}, "normalize.clip_obs", "5; no knob here does that"),
    ({"normalize": "dict(gamma=0.5)"}, "normalize.gamma", "0.5; no knob here does that"),
    ({"sde_sample_freq": 4}, "sde_sample_freq", "4 is not read without use_sde"),
    ({"n_steps": 100, "batch_size": 64}, "batch_size", "64 does not divide 100 steps"),
    ({"clip_range_vf": 0.2}, "clip_range_vf", "the larger of the clipped and the plain one"),
    ({"verbose": 1}, "verbose", "1; what is printed"),
    ({"gama": 0.9}, "gama", "0.9; SB3's PPO has no such parameter; gamma?"),
    ({"n_critic_updates": 3}, "n_critic_updates", "3; SB3's PPO has no such parameter"),
    ({"policy": "MultiInputPolicy"}, "policy", "joined into one vector"),
]  # fmt: skip


@pytest.mark.parametrize(("values", "key", "said"), REMARKS)
def test_what_has_no_equivalent_is_said_in_the_file_on_stderr_and_to_programs(values, key, said, capsys):
    """With its key and its line. Caught, when planted: `_rest` without an unknown key; a remark kept from the file."""
    file = entry(values)
    line = next(
        n for n, text in enumerate(Path(file).read_text().splitlines(), 1) if f"  {key.partition('.')[0]}:" in text
    )
    assert migrate.main(["sb3-zoo", file, "CartPole-v1"]) == 0
    out, err = capsys.readouterr()
    assert re.search(rf"^not the same: ppo\.yml:{line} {key}: .*{re.escape(said)}", err, re.M), err
    assert re.search(rf"^# - {key}: .*{re.escape(said)}", out, re.M)
    assert migrate.main(["sb3-zoo", file, "CartPole-v1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["not_the_same"]
    assert any(one["key"] == key and one["line"] == line and said in one["said"] for one in found)


def test_what_sb3_does_not_read_either_is_said():
    """Caught, when planted: `use_rms_prop` passed over where policy_kwargs name an optimiser."""
    own = "dict(optimizer_class=th.optim.Adam)"
    said = {
        one.key: one.said
        for one in migrated({"use_rms_prop": True, "policy_kwargs": own, "rms_prop_eps": 1}, "a2c").remarks
    }
    assert set(said) == {"use_rms_prop", "rms_prop_eps"} and all("there as here" in one for one in said.values())
    tf_like = migrated({"policy_kwargs": "dict(optimizer_class=RMSpropTFLike, optimizer_kwargs=dict(eps=1e-5))"}, "a2c")
    assert [one.said for one in tf_like.remarks] == ["RMSpropTFLike; rmsprop is the nearest"]


def test_nothing_is_said_where_all_is_the_same():
    """Caught, when planted: a default that is spelt out taken for a difference."""
    same = {"use_sde": False, "normalize": False, "policy_kwargs": "dict(log_std_init=-1, full_std=True)", "n_envs": 2}
    assert migrated(same).remarks == []
    assert migrated({"sub_sampling_factor": 1, "line_search_shrinking_factor": 0.8}, "trpo").remarks == []
    assert [one.key for one in migrated({"sub_sampling_factor": 2}, "trpo").remarks] == ["sub_sampling_factor"]


def fails(file, name="CartPole-v1", **options):
    with pytest.raises(UserError) as found:
        migrate.sb3_zoo(file, name, **options)
    assert "\n" not in str(found.value)
    return str(found.value)


NOT_RUN = "expected dict(name=value, ...) of plain values, which is read and never run; try that"
HOSTILE = [
    "dict(__import__('os').system('touch pwned'))",
    "dict(x=__import__('os').system('touch pwned'))",
    "__import__('os').system('touch pwned')",
    "dict(x=open('pwned', 'w'))",
    "dict(**{'x': 1})",
    "dict([('x', 1)])",
    "dict(x=[a for a in [1]])",
    "dict(x=lambda: 1)",
    "dict(x=f'{open(1)}')",
    "dict(x=10**10**10)",
    "dict(x='a' * 10**9)",
    "dict(x=nn.ReLU())",
    "dict(x=nn.ReLU[0])",
    "dict(x=(1).real)",
    "dict(x=b'1')",
    "dict(x=1j)",
    "dict(x=...)",
    f"dict(x={'9' * 400})",
    "dict(x=1",
    "x = 1",
    "import os",
    "dict(x=1, x=2)",
    "{1: 2}",
    "{**{}}",
    "dict(x=\0)",
    "dict(x='\\d' if 1 else 2)",
    "{'a', 'b'}",
]


@pytest.mark.parametrize("key", ["policy_kwargs", "normalize", "env_kwargs"])
@pytest.mark.parametrize("text", HOSTILE)
def test_code_in_a_string_is_never_run(text, key, capsys):
    """Caught, when planted: `eval` in place of `ast`; a call of any name taken for dict; `{**...}` passed over."""
    Path("ppo.yml").write_text(json.dumps({"CartPole-v1": NEEDED | {key: text}}))
    assert fails("ppo.yml").endswith(NOT_RUN)
    assert not Path("pwned").exists()
    assert migrate.main(["sb3-zoo", "ppo.yml", "CartPole-v1"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and err.startswith("error: ppo.yml:1 ")


DEEP = [
    ("(" * 500, "Python of 500 characters"),
    ("dict(x=" + "[" * 20 + "]" * 20 + ")", "Python of 48 characters"),
    ("dict(x=[" + "1, " * 700 + "])", "Python of 2,110 characters"),
    ("-" * 1900 + "1", "---"),
    ("a." * 900 + "b", "a.a.a."),
]


@pytest.mark.parametrize(("text", "said"), DEEP)
def test_what_is_deep_or_long_ends_in_one_line(text, said):
    """Caught, when planted: no limit of depth, none of length; a RecursionError of `ast` that is let through."""
    found = fails(entry({"policy_kwargs": text}))
    assert re.match(rf"ppo\.yml:\d+ policy_kwargs: got {said}", found) and len(found) < 400


BOMB = "a0: &a0 {x: 1}\n" + "".join(
    f"a{i}: &a{i} {{{', '.join(f'k{j}: *a{i - 1}' for j in range(9))}}}\n" for i in range(1, 9)
)
MERGED = "a0: &a0 {x: 1}\n" + "".join(f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}\n" for i in range(1, 9))
FILES = [
    (BOMB, "got more than 10,000 keys and values"),
    (MERGED, "got more than 10,000 keys and values"),
    ("a: &a {<<: *a}", "got more than 50 levels"),
    ("a: &a\n  b: {<<: *a}\n", "got more than 50 levels"),
    ("[" * 60 + "]" * 60, "got more than 50 levels"),
    ("CartPole-v1: {<<: 3}", "got no mapping behind <<"),
    ("CartPole-v1: {<<: {a: 1}, <<: {b: 2}}", "got << twice"),
    ("CartPole-v1: !!python/object/apply:os.system ['touch pwned']", "got the tag !!python/object/apply:os.system"),
    ("CartPole-v1: {n_timesteps: !!python/name:os.system }", "got the tag !!python/name:os.system"),
    ("CartPole-v1: {n_steps: !!float [1]}", "got the tag !!float"),
    ("CartPole-v1: {n_steps: 1, n_steps: 2}", "n_steps: got it twice"),
    ("CartPole-v1: [1]", "CartPole-v1: got no mapping"),
    ("CartPole-v1: {1: 2}", "got '1' as a key"),
    ("- 1", "got a list; expected a mapping"),
    ("", "no entry CartPole-v1; expected one of those that it has; it has none at all"),
]


@pytest.mark.parametrize(("text", "said"), FILES)
def test_a_file_that_is_none_ends_in_one_line(text, said):
    """Caught, when planted: merges that are not counted, or not deep; the tags of Python constructed."""
    Path("ppo.yml").write_text(text)
    assert said in fails("ppo.yml")
    assert not Path("pwned").exists()


WRONG = [
    ({"n_steps": "many"}, "ppo.yml:{} n_steps: got many; expected a whole number from 1"),
    ({"n_steps": "a\nb"}, "ppo.yml:{} n_steps: got a b; expected a whole number from 1"),
    ({"n_steps": 1.5}, "ppo.yml:{} n_steps: got 1.5; expected a whole number from 1"),
    ({"batch_size": 0}, "ppo.yml:{} batch_size: got 0; expected a whole number from 1"),
    ({"n_envs": True}, "ppo.yml:{} n_envs: got true; expected a whole number from 1"),
    ({"gamma": 1.5}, "ppo.yml:{} algorithm.discount: got 1.5; expected a number from 0 to 1; try 0.99"),
    ({"gamma": "high"}, "ppo.yml:{} algorithm.discount: got 'high'; expected a number from 0 to 1; try 0.99"),
    ({"learning_rate": "exp_0.1"}, "ppo.yml:{} learning_rate: got exp_0.1; expected a number, or lin_0.001"),
    ({"learning_rate": "lin_1e"}, "ppo.yml:{} learning_rate: got lin_1e; expected a number, or lin_0.001"),
    ({"n_timesteps": float("inf")}, "ppo.yml:{} n_timesteps: got inf; expected a number"),
    ({"use_sde": "yes"}, "ppo.yml:{} use_sde: got yes; expected true or false"),
    ({"normalize": 3}, "ppo.yml:{} normalize: got 3; expected true, false or dict(norm_obs=True)"),
    ({"policy_kwargs": "[1]"}, "ppo.yml:{} policy_kwargs: got [1]; expected dict(name=value, ...)"),
    ({"policy_kwargs": "dict(net_arch=[64, dict(pi=[8])])"}, "ppo.yml:{} policy_kwargs: got net_arch=[64, {{'pi': [8]}}]"),
    ({"policy_kwargs": "dict(net_arch=[nn.ReLU])"}, "ppo.yml:{} policy.hidden.0: got 'nn.ReLU'; expected a whole number"),
    ({"env_kwargs": "dict(reward=nn.ReLU)"}, "ppo.yml:{} env_kwargs: got {{'reward': 'nn.ReLU'}}; expected a mapping"),
    ({"policy": "CnnPolicy"}, "ppo.yml:{} policy: got CnnPolicy, which sees images; expected MlpPolicy"),
    ({"policy": "MlpLstmPolicy"}, "ppo.yml:{} policy: got MlpLstmPolicy, which is not of dense layers"),
    ({"policy": "my.Policy"}, "ppo.yml:{} policy: got my.Policy, which is not of dense layers"),
    ({"n_steps": 4, "batch_size": 1}, "ppo.yml:{} algorithm.num_minibatches: got 4 of a rollout of 4 steps"),
]  # fmt: skip


@pytest.mark.parametrize(("values", "said"), WRONG)
def test_a_value_that_cannot_be_names_its_line_in_the_entry(values, said):
    """Caught, when planted: the lines of the entry not given to the config's own checks."""
    file = entry(values)
    key = list(values)[-1]
    line = next(n for n, text in enumerate(Path(file).read_text().splitlines(), 1) if text.startswith(f"  {key}:"))
    assert fails(file).startswith(said.format(line))


@pytest.mark.parametrize("name", ["dqn", "qrdqn", "sac", "td3", "tqc", "ddpg", "crossq", "her", "ars", "ppo_lstm"])
def test_an_algorithm_without_equivalent_is_one_line(name):
    said = fails(f"hyperparams/{name}.yml")
    assert said.startswith(f"hyperparams/{name}.yml: {name} has no equivalent here; expected ppo, a2c, trpo; ")
    assert "; try " in said
    assert fails("x.yml", algorithm=name).startswith(f"--algorithm: {name} has no equivalent here")


def test_the_algorithm_is_told_by_the_files_name_or_by_the_user():
    file = entry({}, file="mine.yml")
    assert (
        fails(file)
        == "mine.yml: got the algorithm mine by the file's name; expected ppo, a2c, trpo; try --algorithm ppo"
    )
    assert migrate.sb3_zoo(file, "CartPole-v1", algorithm="a2c").data["algorithm"]["name"] == "a2c"


def test_an_entry_that_is_not_there_is_one_line_with_the_near_names():
    Path("ppo.yml").write_text("LunarLander-v2: {a: 1}\nLunarLanderContinuous-v2: {a: 1}\nPendulum-v1: {a: 1}\n")
    said = fails("ppo.yml", "LunarLander-v3")
    assert said.endswith("did you mean LunarLander-v2 or LunarLanderContinuous-v2?")
    assert fails("ppo.yml", "X").endswith("it has LunarLander-v2, LunarLanderContinuous-v2, Pendulum-v1")
    assert "no such file" in fails("none/ppo.yml")


def test_an_entry_for_many_serves_whom_none_names():
    """`default`, as rl-zoo takes it, and `atari` of its games. Caught, when planted: atari for whoever has no entry."""
    base = {"policy": "MlpPolicy", "n_timesteps": 1e6}
    entries = {"atari": base | {"n_envs": 8}, "default": base | {"n_envs": 2}, "CartPole-v1": base}
    Path("ppo.yml").write_text(yaml.safe_dump(entries))
    for name, entry_name, envs in [
        ("CartPole-v1", "CartPole-v1", 1),
        ("Acrobot-v1", "default", 2),
        ("PongNoFrameskip-v4", "atari", 8),
        ("ALE/Pong-v5", "atari", 8),
        ("mine:CartPole-v1", "CartPole-v1", 1),
    ]:
        made = migrate.sb3_zoo("ppo.yml", name)
        assert (made.entry.name, read(made).environment.num_envs) == (entry_name, envs)
        assert (entry_name in [one.key for one in made.remarks]) == (entry_name in ("atari", "default"))
    for name in ("atari", "default"):
        assert "stands for many" in fails("ppo.yml", name)


def test_an_environment_that_gymnasium_has_no_more_becomes_the_one_that_it_has():
    made = migrated({}, name="LunarLander-v2")
    assert made.data["environment"]["id"] == "LunarLander-v3"
    assert made.remarks[0].said.startswith("Gymnasium has no LunarLander-v2 any more; LunarLander-v3 is written")
    made = migrated({}, name="Mine-v7")
    assert made.data["environment"]["id"] == "Mine-v7"
    assert made.remarks[0].said.startswith("Mine-v7 is not registered here; install what has it")


# -- the file that is written


def test_a_strangers_words_cannot_leave_their_comment():
    """Nor can the name of their file. Caught, when planted: a line of the head, or a comment, as it is."""
    evil = "x\nbudget: {seconds: 1}\u2028solved: {stop: true}\x85\x1b[31m"
    file = entry({"device": evil, "zz\nseed: 3": 1, "tensorboard_log": evil, "gamma": 0.9}, file="x\nseed: 4\n.yml")
    made = migrate.sb3_zoo(file, "CartPole-v1", algorithm="ppo")
    assert read(made).budget.seconds is None and "seed" not in made.data
    assert all(one.isprintable() for one in made.text.split("\n"))
    assert len(made.remarks) == 3


WORDS = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=12)


@given(st.dictionaries(WORDS, st.none() | st.booleans() | st.integers() | WORDS, max_size=4))
def test_what_is_written_reads_as_what_was_meant(found):
    """Any keyword arguments of an environment, or one line. Caught, when planted: keys without quotes."""
    file = Path("ppo.yml")
    file.write_text(json.dumps({"CartPole-v1": NEEDED | {"env_kwargs": found}}))
    plain = all(str(one).isprintable() for pair in found.items() for one in pair)
    with contextlib.nullcontext() if plain else contextlib.suppress(UserError):  # of what no YAML can hold
        made = migrate.sb3_zoo(file, "CartPole-v1")
        assert yaml_lines.read_text(made.text, "made").data == made.data
        assert made.data["environment"].get("kwargs", {}) == found


NAMES = sorted(
    {key for table in (*sb3.DEFAULTS.values(), sb3.OF_ALL, sb3.WITHOUT, sb3.NOT_LEARNT_BY) for key in table}
    | {"policy", "policy_kwargs", "n_timesteps", "env_wrapper", "env_kwargs"}
)
INSIDE = [
    "dict",
    "net_arch",
    "pi",
    "vf",
    "optimizer_kwargs",
    "betas",
    "eps",
    "nn.ReLU",
    "True",
    "None",
    "-2",
    "1e9",
    "'a'",
]
PYTHON = st.lists(st.sampled_from([*INSIDE, *"()[]{}=,:. +*"]), max_size=12).map("".join)
SCALARS = st.none() | st.booleans() | st.integers(-(10**40), 10**40) | st.floats() | PYTHON | WORDS
VALUES = st.recursive(
    SCALARS, lambda one: st.lists(one, max_size=3) | st.dictionaries(WORDS, one, max_size=3), max_leaves=5
)
LIKELY = {
    "policy_kwargs": PYTHON | VALUES, "normalize": PYTHON | VALUES, "learning_rate": st.sampled_from(["lin_0.1", "lin_x", 1]),
}  # fmt: skip


@given(
    st.data(), st.sampled_from(list(sb3.DEFAULTS)), st.lists(st.sampled_from(NAMES) | WORDS, max_size=4, unique=True)
)
def test_any_entry_is_a_config_that_reads_or_one_line(data, algorithm, keys):
    """And each of its keys is a knob's source, a remark, or the default there. Caught, when planted: a key that is passed
    over where its value is 0, false or empty."""
    found = {key: data.draw(LIKELY.get(key, VALUES), label=key) for key in keys}
    file = Path(f"{algorithm}.yml")
    file.write_text(json.dumps({"CartPole-v1": NEEDED | found}))
    try:
        made = migrate.sb3_zoo(file, "CartPole-v1")
    except UserError as error:
        said = str(error)
    else:
        assert configs.from_dict(made.data) == read(made).model_copy(update={"name": None})
        said = ""
        for key, value in found.items():
            remarked = any(one.key == key or one.key.startswith(f"{key}.") for one in made.remarks)
            default = (sb3.OF_ALL | sb3.DEFAULTS[algorithm]).get(key, ...)
            silent = key in ("policy_kwargs", "env_kwargs", "env_wrapper") or value == default
            assert remarked or silent or f" {key}: " in made.text, key
    assert "\n" not in said and len(said) < 1000


def test_a_seed_that_is_none_is_refused_and_no_seed_is_none():
    """Caught, when planted: a mapping dropped without a word, as an empty section is."""
    assert "seed" not in migrated({"seed": None}).data
    assert migrated({"seed": 7}).data["seed"] == 7
    with pytest.raises(UserError, match="seed: got a mapping; expected a whole number"):
        migrated({"seed": {}})


def test_a_config_that_is_there_is_not_written_over(capsys):
    file = entry({})
    Path("configs").mkdir()
    words = ["sb3-zoo", file, "CartPole-v1", "--out", "configs/x.yaml"]
    assert migrate.main(words) == 0
    assert capsys.readouterr().out == "wrote configs/x.yaml\n"
    written = Path("configs/x.yaml")
    assert "#   python -m pg_theano.train configs/x.yaml\n" in written.read_text()
    assert configs.read_config(written).name == "x" and stat.S_IMODE(written.stat().st_mode) == 0o644
    written.write_text("mine")
    assert migrate.main(words) == 2
    assert (
        capsys.readouterr().err
        == "error: configs/x.yaml: is there already; expected a new file; try another name, or --force\n"
    )
    assert written.read_text() == "mine"
    assert migrate.main([*words, "--force"]) == 0
    assert written.read_text() != "mine"
    capsys.readouterr()
    Path("link.yaml").symlink_to("elsewhere.yaml")
    assert migrate.main([*words[:-1], "link.yaml", "--force"]) == 2
    assert migrate.main([*words[:-1], "no/such/x.yaml"]) == 2
    assert (
        capsys.readouterr().err.splitlines()[1]
        == "error: no/such/x.yaml: there is no folder no/such; expected one; make it first"
    )


def test_json_is_one_object_and_nothing_else(capsys):
    assert migrate.main(["sb3-zoo", entry(CARTPOLE), "CartPole-v1", "--json", "--out", "x.yaml"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert (
        err == "" and found["written"] == "x.yaml" and found["algorithm"] == "ppo" and found["entry"] == "CartPole-v1"
    )
    assert configs.from_dict(found["config"]) == configs.read_config("x.yaml").model_copy(update={"name": None})


# -- the page


def test_the_page_and_the_program_have_one_table():
    """Every knob of docs/coming-from.md that SB3 or rl-zoo has a name for, and that name. Caught, when planted:
    `gae_lambda` of the page renamed; a row of the page that the program lacks, and the other way round."""
    page = (ROOT / "docs" / "coming-from.md").read_text().partition("\n## ")[0]
    rows = [line.split("|")[1:3] for line in page.splitlines() if line.startswith("| `")]
    known = {key for key, *_ in tables.knobs()}
    shown = set()
    for here, there in rows:
        names = re.findall(r"`([a-z_.]+)(?:: \w+)?`", here.partition("(")[0])
        section = names[0].partition(".")[0] if names else ""
        if there.strip().startswith("–") or not names or ("seed" not in names and "." not in names[0]):
            continue
        words = set(re.findall(r"\w+", there))
        for name in names:
            knob = f"{section}{name}" if name.startswith(".") else name
            assert knob in known, knob
            found = {(knob, key) for one, key in sb3.EQUIVALENT if one == knob and key in words}
            assert found, f"{knob}: no name in {there}"
            shown |= found
    assert shown == set(sb3.EQUIVALENT)


def test_what_sb3_says_is_taken_or_said_whatever_it_is():
    """Every parameter of the three signatures, and of rl-zoo's entries. Caught, when planted: a default that nobody reads."""
    for algorithm, defaults in sb3.DEFAULTS.items():
        made = migrated({key: value for key, value in defaults.items() if value is not None}, algorithm)
        assert [one for one in made.remarks if one.key != "batch_size"] == []


@pytest.mark.parametrize("name", ["CartPole-v1", "Pendulum-v1"])
def test_the_pages_own_entries_are_said_as_the_page_says_it(name, capsys):
    assert migrate.main(["sb3-zoo", str(ROOT / "docs/examples/zoo/ppo.yml"), name]) == 0
    err = capsys.readouterr().err.replace(f"{ROOT}/", "")
    page = (ROOT / "docs" / "coming-from.md").read_text()
    if name == "CartPole-v1":
        assert err in page
    assert len(err.splitlines()) == {"CartPole-v1": 1, "Pendulum-v1": 2}[name]
