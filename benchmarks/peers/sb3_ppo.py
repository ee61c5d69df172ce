"""Stable-Baselines3's PPO with the tuned CartPole-v1 hyper-parameters of RL Baselines3 Zoo (hyperparams/ppo.yml).

The judge is asked after every fourth rollout, 1,024 steps.
"""

from __future__ import annotations

import time

from judge import ID, Judge, arguments, finish, greedy_mlp
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env

ROLLOUTS_BETWEEN = 4


def linear(initial: float):
    """rl-zoo's `lin_`: from the initial value to 0 over the whole budget."""
    return lambda remaining: remaining * initial


class StopWhenSolved(BaseCallback):
    """Asks the judge before a rollout begins, so of a policy that has just been updated."""

    def __init__(self, judge: Judge):
        super().__init__()
        self.judge, self.rollouts, self.solved, self.go_on = judge, 0, False, True

    def ask(self) -> bool:
        policy = self.model.policy
        hidden = [module for module in policy.mlp_extractor.policy_net if hasattr(module, "weight")]
        layers = [(m.weight.detach().numpy().T, m.bias.detach().numpy()) for m in [*hidden, policy.action_net]]
        self.solved = self.judge.passes(greedy_mlp(layers))
        return self.solved

    def _on_rollout_start(self) -> None:
        if self.rollouts and self.rollouts % ROLLOUTS_BETWEEN == 0:
            self.go_on = not self.ask()
        self.rollouts += 1

    def _on_step(self) -> bool:
        return self.go_on


def main() -> None:
    options = arguments(__doc__, 100_000).parse_args()
    judge = Judge(options.seed)
    model = PPO(
        "MlpPolicy",
        make_vec_env(ID, n_envs=8, seed=options.seed),
        n_steps=32,
        batch_size=256,
        gae_lambda=0.8,
        gamma=0.98,
        n_epochs=20,
        ent_coef=0.0,
        learning_rate=linear(0.001),
        clip_range=linear(0.2),
        seed=options.seed,
        device="cpu",
    )
    stop = StopWhenSolved(judge)
    began = time.perf_counter()
    model.learn(options.total_steps, callback=stop)
    training = time.perf_counter() - began - judge.seconds
    solved = stop.solved or stop.ask()
    # A refused step, the one with which the callback stops, has been counted.
    steps = model.num_timesteps - (0 if stop.go_on else model.n_envs)
    finish(
        "sb3_ppo", options.seed, judge, solved=solved, env_steps=steps, training=training,
        uses=("stable-baselines3", "torch", "gymnasium", "numpy"),
    )  # fmt: skip


if __name__ == "__main__":
    main()
