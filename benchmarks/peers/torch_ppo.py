"""PPO in one file of PyTorch, with the default hyper-parameters of CleanRL's ppo.py; written for this benchmark.

As there: four Gymnasium environments stepped one after the other, 2x64 tanh for actor and critic, orthogonal initial
weights, learning rate annealed over 500,000 steps, clipped value loss, and a time limit treated as an end (no value
after it). The judge is asked after every second update, 1,024 steps.
"""

from __future__ import annotations

import time

import gymnasium
import numpy as np
import torch
from judge import ID, Judge, arguments, finish, greedy_mlp

NUM_ENVS, NUM_STEPS = 4, 128
MINIBATCHES, EPOCHS = 4, 4
LEARNING_RATE, DISCOUNT, GAE_LAMBDA = 2.5e-4, 0.99, 0.95
CLIP, ENTROPY_WEIGHT, VALUE_WEIGHT, MAX_GRADIENT_NORM = 0.2, 0.01, 0.5, 0.5
UPDATES_BETWEEN = 2


def network(outputs: int, last_gain: float) -> torch.nn.Sequential:
    sizes, modules = [4, 64, 64, outputs], []
    for number in range(3):
        layer = torch.nn.Linear(sizes[number], sizes[number + 1])
        torch.nn.init.orthogonal_(layer.weight, 2**0.5 if number < 2 else last_gain)
        torch.nn.init.zeros_(layer.bias)
        modules += [layer, torch.nn.Tanh()] if number < 2 else [layer]
    return torch.nn.Sequential(*modules)


def advantages_of(reward, value, ended, last_value):
    """GAE: Â_t = δ_t + γλ(1−end_t)·Â_{t+1}, δ_t = r_t + γ(1−end_t)·V_{t+1} − V_t; every argument [T, E], V_T [E]."""
    out, running, following = torch.empty_like(reward), torch.zeros_like(last_value), last_value
    for t in reversed(range(len(reward))):
        goes_on = 1.0 - ended[t]
        running = reward[t] + DISCOUNT * goes_on * following - value[t] + DISCOUNT * GAE_LAMBDA * goes_on * running
        out[t], following = running, value[t]
    return out


def loss_of(actor, critic, obs, action, old_log_prob, old_value, advantage, target):
    log_probs = torch.log_softmax(actor(obs), dim=1)
    log_prob = log_probs.gather(1, action[:, None]).squeeze(1)
    ratio = torch.exp(log_prob - old_log_prob)
    advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    surrogate = torch.minimum(ratio * advantage, torch.clamp(ratio, 1 - CLIP, 1 + CLIP) * advantage).mean()
    value = critic(obs).squeeze(1)
    near = old_value + torch.clamp(value - old_value, -CLIP, CLIP)
    value_loss = 0.5 * torch.maximum((value - target) ** 2, (near - target) ** 2).mean()
    entropy = -(log_probs.exp() * log_probs).sum(1).mean()
    return -surrogate + VALUE_WEIGHT * value_loss - ENTROPY_WEIGHT * entropy


def main() -> None:
    options = arguments(__doc__, 500_000).parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    shuffle = np.random.default_rng(options.seed)
    envs = gymnasium.make_vec(
        ID,
        NUM_ENVS,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": gymnasium.vector.AutoresetMode.SAME_STEP},
    )
    judge = Judge(options.seed)
    actor, critic = network(2, 0.01), network(1, 1.0)
    parameters = [*actor.parameters(), *critic.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=LEARNING_RATE, eps=1e-5)
    batch = NUM_ENVS * NUM_STEPS
    updates, solved, training = options.total_steps // batch, False, 0.0

    obs = torch.zeros(NUM_STEPS, NUM_ENVS, 4)
    action = torch.zeros(NUM_STEPS, NUM_ENVS, dtype=torch.int64)
    log_prob, value, reward, ended = (torch.zeros(NUM_STEPS, NUM_ENVS) for _ in range(4))
    seen = torch.as_tensor(envs.reset(seed=options.seed)[0])
    update = 0
    while update < updates and not solved:
        began = time.perf_counter()
        optimizer.param_groups[0]["lr"] = LEARNING_RATE * (1.0 - update / updates)
        with torch.no_grad():
            for t in range(NUM_STEPS):
                obs[t] = seen
                log_probs = torch.log_softmax(actor(seen), dim=1)
                action[t] = torch.multinomial(log_probs.exp(), 1).squeeze(1)
                log_prob[t] = log_probs.gather(1, action[t][:, None]).squeeze(1)
                value[t] = critic(seen).squeeze(1)
                next_obs, rewards, terminated, truncated, _ = envs.step(action[t].numpy())
                reward[t] = torch.as_tensor(rewards, dtype=torch.float32)
                ended[t] = torch.as_tensor(terminated | truncated, dtype=torch.float32)
                seen = torch.as_tensor(next_obs)
            advantage = advantages_of(reward, value, ended, critic(seen).squeeze(1))
        columns = [obs, action, log_prob, value, advantage, advantage + value]
        columns = [column.reshape(batch, *column.shape[2:]) for column in columns]
        for _ in range(EPOCHS):
            for part in np.split(shuffle.permutation(batch), MINIBATCHES):
                rows = torch.as_tensor(part)
                loss = loss_of(actor, critic, *(column[rows] for column in columns))
                optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(parameters, MAX_GRADIENT_NORM)
                optimizer.step()
        update += 1
        training += time.perf_counter() - began
        if update % UPDATES_BETWEEN == 0 or update == updates:
            dense = [module for module in actor if hasattr(module, "weight")]
            layers = [(module.weight.detach().numpy().T, module.bias.detach().numpy()) for module in dense]
            solved = judge.passes(greedy_mlp(layers))
    finish(
        "torch_ppo", options.seed, judge, solved=solved, env_steps=update * batch, training=training,
        uses=("torch", "gymnasium", "numpy"),
    )  # fmt: skip


if __name__ == "__main__":
    main()
