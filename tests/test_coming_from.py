"""docs/coming-from.md and the references of rl-zoo, held to the code of the others as it was read on 2026-11-30.

| read                                          | commit   |
|-----------------------------------------------|----------|
| DLR-RM/stable-baselines3                      | e05d2dbe |
| Stable-Baselines-Team/stable-baselines3-contrib | 0ca7fdd8 |
| DLR-RM/rl-baselines3-zoo                      | 22e3ff24 |
| vwxyzjn/cleanrl                               | fe8d8a03 |
| openai/spinningup                             | 038665d6 |
"""

import re
from pathlib import Path

import numpy as np
import pytensor.tensor as pt
import pytest
from helpers_graphs import interpreted

from pg_theano.config.rl_zoo import words
from pg_theano.graphs import objectives

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "coming-from.md").read_text()

SB3 = {  # names and defaults of signatures: ppo/ppo.py, a2c/a2c.py, common/policies.py, sb3_contrib/trpo/trpo.py
    "ppo": {
        "learning_rate": 3e-4, "n_steps": 2048, "batch_size": 64, "n_epochs": 10, "gamma": 0.99, "gae_lambda": 0.95,
        "clip_range": 0.2, "clip_range_vf": None, "normalize_advantage": True, "ent_coef": 0.0, "vf_coef": 0.5,
        "max_grad_norm": 0.5, "target_kl": None,
    },
    "a2c": {
        "learning_rate": 7e-4, "n_steps": 5, "gamma": 0.99, "gae_lambda": 1.0, "ent_coef": 0.0, "vf_coef": 0.5,
        "max_grad_norm": 0.5, "rms_prop_eps": 1e-5, "use_rms_prop": True, "normalize_advantage": False,
    },
    "trpo": {
        "learning_rate": 1e-3, "n_steps": 2048, "batch_size": 128, "gamma": 0.99, "cg_max_steps": 15,
        "cg_damping": 0.1, "line_search_shrinking_factor": 0.8, "line_search_max_iter": 10, "n_critic_updates": 10,
        "gae_lambda": 0.95, "normalize_advantage": True, "target_kl": 0.01, "sub_sampling_factor": 1,
    },
}  # fmt: skip
POLICY = {"activation_fn": "nn.Tanh", "ortho_init": True, "log_std_init": 0.0}  # and net_arch, optimizer_*
OTHERS = {"net_arch", "optimizer_class", "optimizer_kwargs", "policy_kwargs", "use_sde", "sde_sample_freq", "seed"}
OTHERS |= {"n_envs", "env_kwargs", "total_timesteps", "VecNormalize", "EvalCallback", "eval_freq"}
RL_ZOO = {"env_wrapper", "normalize", "n_timesteps"}  # rl_zoo3/exp_manager.py
CLEANRL = {  # fields of Args in cleanrl/ppo.py, and wrappers and functions of cleanrl/ppo_continuous_action.py
    "num_envs", "num_steps", "num_minibatches", "update_epochs", "learning_rate", "anneal_lr", "gamma", "gae_lambda",
    "clip_coef", "clip_vloss", "ent_coef", "vf_coef", "target_kl", "norm_adv", "max_grad_norm", "total_timesteps",
    "seed", "NormalizeObservation", "NormalizeReward", "layer_init",
}  # fmt: skip
CONTRIB = {  # sb3_contrib.ppo_mask, sb3_contrib.common.wrappers, .maskable; sb3_contrib.ppo_recurrent and its policies
    "MaskablePPO", "ActionMasker", "action_masks", "RecurrentPPO", "MlpLstmPolicy", "enable_critic_lstm",
    "model", "predict", "obs", "state", "episode_start", "True",
}  # fmt: skip
SPINNING_UP = {  # parameters of pytorch/ppo/ppo.py, pytorch/vpg/vpg.py and tf1/trpo/trpo.py; MLPActorCritic's
    "steps_per_epoch", "epochs", "gamma", "clip_ratio", "pi_lr", "vf_lr", "train_pi_iters", "train_v_iters", "lam",
    "target_kl", "delta", "damping_coeff", "cg_iters", "backtrack_iters", "seed", "hidden_sizes", "activation",
}  # fmt: skip
LITERALS = {  # what a cell says in place of a name: Adam's epsilon and the first log σ of each
    "optimizer.epsilon": ("1e-5", "1e-8"),  # ppo.py: eps=1e-5; Spinning Up: torch's own
    "policy.initial_log_std": ("0", "−0.5"),  # zeros(1, A); -0.5 * ones(A)
}
BENCHMARK = {  # benchmark.md of rl-zoo: mean reward
    ("ppo", "CartPole-v1"): 500.000, ("ppo", "Acrobot-v1"): -73.506, ("ppo", "MountainCar-v0"): -110.423,
    ("ppo", "MountainCarContinuous-v0"): 88.343, ("ppo", "Pendulum-v1"): -172.225,
    ("ppo", "LunarLander-v3"): 242.119,  # of v2
    ("ppo", "BipedalWalker-v3"): 287.939,  # std of its episodes 2.448
    ("a2c", "CartPole-v1"): 500.000, ("a2c", "Acrobot-v1"): -83.353, ("a2c", "Pendulum-v1"): -162.965,
    ("trpo", "CartPole-v1"): 500.000, ("trpo", "Pendulum-v1"): -174.631,
}  # fmt: skip


def rows():
    """{knob: cells of SB3, CleanRL and Spinning Up} of the page's table."""
    table = PAGE.partition("\n## ")[0]
    split = [[cell.strip() for cell in row.split("|")[1:-1]] for row in table.splitlines() if row.startswith("| `")]
    return {re.match(r"`([^`]+)`", here)[1]: others for here, *others in split}


def test_every_name_of_the_page_is_one_that_the_others_have():
    """Caught, when planted: `clip_range` for CleanRL's `clip_coef`; `max_kl` for Spinning Up's `target_kl`."""
    ours = rows()
    assert len(ours) == 34
    known = (set().union(*SB3.values(), POLICY, OTHERS, RL_ZOO), CLEANRL, SPINNING_UP)
    for knob, cells in ours.items():
        for cell, names in zip(cells, known, strict=True):
            named = re.findall(r"[A-Za-z_]{2,}(?:_[a-z]+)*", " ".join(re.findall(r"`([^`]+)`", cell)))
            assert set(named) - {"False"} <= names, (knob, cell)
        for literal, cell in zip(LITERALS.get(knob, ()), cells[1:], strict=False):
            assert cell == literal, knob


def test_names_of_masks_and_memory_are_sb3_contribs():
    """Caught, when planted: `RecurrentPPO2`."""
    page = PAGE.partition("## Masks and memory")[2].partition("\n## ")[0]
    cells = [line.split("|")[2] for line in page.splitlines() if line.startswith("| `")]
    named = {name for cell in cells for quoted in re.findall(r"`([^`]+)`", cell) for name in re.findall(r"\w+", quoted)}
    assert len(cells) == 5
    assert named <= CONTRIB, named - CONTRIB


def test_defaults_of_stable_baselines3_are_its_own():
    """Those that `migrate` writes where an entry is silent. Caught, when planted: 7e-4 for TRPO; λ of 0.95 for A2C."""
    assert words.DEFAULTS == SB3
    assert words.POLICY.items() >= POLICY.items()


def factor(cell):
    """What a cell says of a number of theirs: "`vf_coef` / 2" is a half of it."""
    return 1 / float(cell.partition(" / ")[2] or 1)


def test_a_value_coefficient_is_theirs_by_the_pages_factor():
    """The weighted loss of V, of SB3 (ppo.py: `vf_coef * mse_loss`) and of CleanRL (`vf_coef * 0.5 * mean of squares`),
    is ours with the coefficient that the page says. Caught, when planted: CleanRL's taken as it is, as the page had it:
    the loss is twice theirs.
    """
    rng = np.random.default_rng(0)
    value, target, vf_coef = rng.normal(size=9), rng.normal(size=9), 0.5
    symbols = [pt.dvector() for _ in range(3)]
    ours = float(interpreted(symbols, objectives.value_loss(*symbols))(value, target, np.ones(9)))
    sb3, cleanrl, _ = rows()["algorithm.value_coefficient"]
    squared = np.mean((value - target) ** 2)
    assert vf_coef * factor(sb3) * ours == pytest.approx(vf_coef * squared)
    assert vf_coef * factor(cleanrl) * ours == pytest.approx(vf_coef * 0.5 * squared)
    assert "its 0.5 is 0.25" in re.sub(r"\s+", " ", PAGE)


def test_a_bound_of_kl_is_theirs_by_the_pages_factor():
    """An update ends here over 1.5·target_kl. SB3 (ppo.py) and Spinning Up (pytorch/ppo/ppo.py) have the same 1.5, CleanRL
    (ppo.py) none; Spinning Up's TRPO calls the bound of a step delta. Caught, when planted: CleanRL's taken as it is."""
    source = (ROOT / "pg_theano" / "graphs" / "algorithms" / "minibatches.py").read_text()
    ours = float(re.search(r"pt\.le\(kl, ([\d.]+) \* knobs\[\"target_kl\"\]\)", source)[1])
    sb3, cleanrl, spinning_up = rows()["algorithm.target_kl"]
    for cell, theirs in ((sb3, 1.5), (cleanrl, 1.0), (spinning_up.partition(";")[0], 1.5)):
        assert ours * factor(cell) == pytest.approx(theirs)
    assert spinning_up.endswith("TRPO: `delta`")


def test_references_are_those_of_rl_zoos_benchmark():
    """In benchmarks/quality.md, benchmarks/quality.py, docs/configs.md and the page. Caught, when planted: 213.299 for
    BipedalWalker, as it was once."""
    quality = (ROOT / "benchmarks" / "quality.md").read_text(), (ROOT / "benchmarks" / "quality.py").read_text()
    configs = (ROOT / "docs" / "configs.md").read_text().replace("−", "-")
    for (algorithm, task), mean in BENCHMARK.items():
        if algorithm == "ppo":
            (cell,) = re.findall(rf"^\| {task} \| (\S+) \|", quality[0], re.MULTILINE)[:1]
            (known,) = re.findall(rf'"ppo-\w+": Reference\("{task}", (\S+),', quality[1])
            row = re.search(rf"`ppo-{task.split('-')[0].lower()}\.yaml`.*?\| [\d,]+ \| (\S+) \|", configs)[1]
            assert float(cell) == float(known) == mean
            assert float(row) == pytest.approx(mean, abs=0.051)
        shown = re.search(rf"\| {algorithm.upper()}, {task} \|[^|]+\| (\S+) \|", PAGE)
        assert shown is None or float(shown[1]) == mean
    assert len(re.findall(r"^\| (?:PPO|A2C|TRPO), ", PAGE, re.MULTILINE)) == 8
