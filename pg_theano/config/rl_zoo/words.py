"""Names and defaults of the hyper-parameters of Stable-Baselines3, sb3-contrib and rl-zoo.

They are those of the signatures of PPO, A2C (stable_baselines3 2.9.2), TRPO (sb3_contrib 2.9.2), of
`ActorCriticPolicy` and `VecNormalize` (2.9.2), and of `rl_zoo3.train` (2.9.2). docs/coming-from.md shows the same
table to readers; a test holds the two equal.
"""

from typing import Any

EQUIVALENT: tuple[tuple[str, str], ...] = (
    ("environment.num_envs", "n_envs"),
    ("environment.wrappers", "env_wrapper"),
    ("environment.kwargs", "env_kwargs"),
    ("algorithm.num_steps", "n_steps"),
    ("algorithm.num_minibatches", "batch_size"),
    ("algorithm.num_epochs", "n_epochs"),
    ("algorithm.num_epochs", "n_critic_updates"),
    ("schedules.learning_rate", "learning_rate"),
    ("schedules.value_learning_rate", "learning_rate"),
    ("algorithm.discount", "gamma"),
    ("algorithm.gae_lambda", "gae_lambda"),
    ("algorithm.clip_range", "clip_range"),
    ("algorithm.value_clip_range", "clip_range_vf"),
    ("algorithm.entropy_coefficient", "ent_coef"),
    ("algorithm.value_coefficient", "vf_coef"),
    ("algorithm.target_kl", "target_kl"),
    ("algorithm.standardize_advantages", "normalize_advantage"),
    ("algorithm.damping", "cg_damping"),
    ("algorithm.num_cg_iterations", "cg_max_steps"),
    ("algorithm.num_line_search_steps", "line_search_max_iter"),
    ("optimizer.name", "use_rms_prop"),
    ("optimizer.name", "optimizer_class"),
    ("optimizer.epsilon", "rms_prop_eps"),
    ("optimizer.epsilon", "optimizer_kwargs"),
    ("optimizer.max_gradient_norm", "max_grad_norm"),
    ("normalize.observations", "normalize"),
    ("normalize.rewards", "normalize"),
    ("policy.hidden", "net_arch"),
    ("policy.value_hidden", "net_arch"),
    ("policy.activation", "activation_fn"),
    ("policy.initialization", "ortho_init"),
    ("policy.noise", "use_sde"),
    ("policy.noise_every", "sde_sample_freq"),
    ("policy.initial_log_std", "log_std_init"),
    ("budget.env_steps", "n_timesteps"),
    ("evaluation.every_updates", "eval_freq"),
    ("seed", "seed"),
)
"""(knob, its name in rl-zoo). Where a name stands twice, the algorithm or the value decides."""

AS_IT_IS = (
    "n_envs", "n_steps", "n_epochs", "n_critic_updates", "gamma", "gae_lambda", "ent_coef", "vf_coef", "target_kl",
    "normalize_advantage", "cg_damping", "cg_max_steps", "line_search_max_iter", "max_grad_norm", "seed",
)  # fmt: skip
"""Names whose value is the same here. `equivalents.py` works out all others."""

DEFAULTS: dict[str, dict[str, Any]] = {
    "ppo": {
        "learning_rate": 3e-4,
        "n_steps": 2048,
        "batch_size": 64,
        "n_epochs": 10,
        "gamma": 0.99,
        "gae_lambda": 0.95,
        "clip_range": 0.2,
        "clip_range_vf": None,
        "normalize_advantage": True,
        "ent_coef": 0.0,
        "vf_coef": 0.5,
        "max_grad_norm": 0.5,
        "target_kl": None,
    },
    "a2c": {
        "learning_rate": 7e-4,
        "n_steps": 5,
        "gamma": 0.99,
        "gae_lambda": 1.0,
        "ent_coef": 0.0,
        "vf_coef": 0.5,
        "max_grad_norm": 0.5,
        "rms_prop_eps": 1e-5,
        "use_rms_prop": True,
        "normalize_advantage": False,
    },
    "trpo": {
        "learning_rate": 1e-3,
        "n_steps": 2048,
        "batch_size": 128,
        "gamma": 0.99,
        "cg_max_steps": 15,
        "cg_damping": 0.1,
        "line_search_shrinking_factor": 0.8,
        "line_search_max_iter": 10,
        "n_critic_updates": 10,
        "gae_lambda": 0.95,
        "normalize_advantage": True,
        "target_kl": 0.01,
        "sub_sampling_factor": 1,
    },
}
OF_ALL: dict[str, Any] = {
    "n_envs": 1,
    "normalize": False,
    "use_sde": False,
    "sde_sample_freq": -1,
    "eval_freq": 25_000,
    "seed": None,
}
"""Defaults of rl-zoo itself, for every algorithm."""
POLICY: dict[str, Any] = {
    "net_arch": {"pi": [64, 64], "vf": [64, 64]},
    "activation_fn": "nn.Tanh",
    "ortho_init": True,
    "log_std_init": 0.0,
    "full_std": True,
    "use_expln": False,
    "squash_output": False,
    "sde_net_arch": None,
    "features_extractor_kwargs": None,
    "share_features_extractor": True,
    "normalize_images": True,
}
"""Defaults of `policy_kwargs`. A key that is in no other table has no equivalent beside its default."""
VEC_NORMALIZE: dict[str, Any] = {
    "norm_obs": True,
    "norm_reward": True,
    "training": True,
    "clip_obs": 10.0,
    "clip_reward": 10.0,
    "epsilon": 1e-8,
    "norm_obs_keys": None,
}

ACTIVATIONS = {"Tanh": "tanh", "ReLU": "relu", "Sigmoid": "sigmoid"}
OPTIMIZERS = {"Adam": "adam", "RMSprop": "rmsprop", "SGD": "sgd"}
OF_TORCH: dict[str, dict[str, Any]] = {
    "adam": {"eps": 1e-8, "betas": [0.9, 0.999]},
    "rmsprop": {"eps": 1e-8, "alpha": 0.99},
    "sgd": {"momentum": 0.0},
}
"""Defaults of torch's optimisers, where `optimizer_kwargs` is silent."""
SMALL_EPSILON = 1e-5
"""`ActorCriticPolicy` gives Adam this epsilon, if there are no `optimizer_kwargs`."""

NOT_LEARNT_BY = {
    "verbose": "what is printed: see python -m pg_theano.train -h",
    "device": "everything runs on the processor",
    "tensorboard_log": "python -m pg_theano.train CONFIG.yaml --log tensorboard",
    "stats_window_size": "every metric is in metrics.jsonl",
    "monitor_kwargs": "returns are recorded without it",
    "_init_setup_model": "nothing is put off",
    "create_eval_env": "evaluations have environments of their own",
}
"""Keys that do not change what is learned, and what to do instead."""
WITHOUT = {
    "frame_stack": "no frames are stacked; try a wrapper of your own in environment.wrappers",
    "vec_env_wrapper": "there are no wrappers of a whole vector of environments; try environment.wrappers",
    "callback": "a config names no callbacks; try pg_theano.run(config, callbacks=...)",
    "rollout_buffer_class": "there is one kind of rollout",
    "rollout_buffer_kwargs": "there is one kind of rollout",
    "line_search_shrinking_factor": "each trial is 0.8 of the one before",
    "sub_sampling_factor": "every step of a rollout counts",
    "features_extractor_class": "observations are flattened; try a policy of your own in policy.name",
    "features_extractor_kwargs": "observations are flattened; try a policy of your own in policy.name",
    "full_std": "state-dependent noise has a log σ for every feature and action",
    "use_expln": "σ is exp(log σ)",
    "squash_output": "policy.squash is for noise that is not state-dependent",
    "sde_net_arch": "state-dependent noise is a function of the policy's last hidden layer",
    "share_features_extractor": "observations are flattened, and nothing else is shared",
    "normalize_images": "observations are taken as they come",
}
"""Keys that change what is learned and have no knob here, with the reason or what to try."""

BEYOND = {
    "ppo_lstm": "recurrent: no policy here remembers; try ppo.yml, or a wrapper that adds what came before",
    "ars": "its steps are scaled by the returns' deviation, those of es by ranks and Adam; try es anew, or ppo.yml",
    **dict.fromkeys(
        ("dqn", "qrdqn", "iqn", "ddpg", "td3", "sac", "tqc", "crossq", "her", "droq"),
        "off-policy: no replay buffer and no Q are here; try ppo.yml of the same environment",
    ),
}
"""Algorithms of rl-zoo that have no equivalent here."""
