"""What one core can do: a hand-written C loop of the trainer's CartPole rollout, and NumPy's matrix product.

    python benchmarks/limit.py

`limit.c` is compiled once, with gcc -O3 -march=native -ffast-math, into a temporary folder. Two variants: one
environment after the other in scalar code, and all environments side by side in vector lanes. Noise is drawn by NumPy
before each rollout, counted, and shown apart. Our compiled rollout and update stand beside it as ratios.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import measuring
from measuring import HERE, Cells, median, table

NAME = "limit"
FLAGS = ["-O3", "-march=native", "-ffast-math", "-std=gnu11"]
FEATURES, HIDDEN, ROW, STEPS = 4, 8, 7, 500
ENVS = (16, 256, 4096)


def compiled(folder: Path) -> tuple[ctypes.CDLL, list[str]]:
    """The library, and what gcc says of the loops that it vectorised."""
    source, library = HERE / "limit.c", folder / "limit.so"
    command = ["gcc", *FLAGS, "-shared", "-fPIC", "-fopt-info-vec-optimized", str(source), "-o", str(library), "-lm"]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    if said.returncode:
        raise SystemExit(f"error: gcc failed:\n{said.stderr}")
    loop = 1 + next(i for i, line in enumerate(source.read_text().splitlines()) if "VECTORISED */" in line)
    notes = [line for line in said.stderr.splitlines() if f"limit.c:{loop}:" in line]
    if not notes:
        print("warning: gcc did not vectorise the loop over environments; the vector variant is no limit here")
    return ctypes.CDLL(str(library)), sorted({note.partition("optimized: ")[2] for note in notes}, reverse=True)


class Rollouts:
    """Arrays for E environments, and both variants on them."""

    def __init__(self, library: ctypes.CDLL, envs: int):
        import numpy as np

        self.np, self.library, self.envs = np, library, envs
        self.record = np.zeros(envs * STEPS * ROW, np.float32)
        self.state = np.zeros((4, envs), np.float32)
        self.times, self.ended = np.zeros(envs, np.int32), np.zeros(envs, np.int32)

    def noise(self, rng: Any, episodes: int) -> tuple[Any, Any]:
        uniform = rng.random(self.envs * STEPS, self.np.float32)
        starts = rng.random((episodes, FEATURES), self.np.float32)
        starts -= 0.5
        starts *= 0.1
        return uniform, starts

    def play(self, variant: str, params: Any, uniform: Any, starts: Any) -> int:
        """Fill the record; returns the number of episodes begun."""
        begun = getattr(self.library, f"{variant}_rollout")
        begun.restype = ctypes.c_long
        more = (self.state, self.times, self.ended) if variant == "vector" else ()
        arrays = [array.ctypes.data_as(ctypes.c_void_p) for array in (params, uniform, starts, self.record, *more)]
        return begun(self.envs, STEPS, *arrays[:3], ctypes.c_long(len(starts)), *arrays[3:])


def policies(np: Any) -> dict[str, Any]:
    """Two sets of 58 parameters: random ones (episodes of some 20 steps), and ones that balance for 500."""
    rng = np.random.default_rng(0)
    first, second = 6**0.5 / 12**0.5, 6**0.5 / 10**0.5
    parts = [rng.uniform(-first, first, 32), np.zeros(8), rng.uniform(-second, second, 16), np.zeros(2)]
    rule = np.outer([0.2, 0.4, 2.0, 2.0], np.ones(HIDDEN))  # every hidden unit sees the same side the pole falls to
    balancing = [rule.ravel(), np.zeros(8), np.tile([-5.0, 5.0], HIDDEN), np.array([20.0, -20.0])]
    return {
        "random": np.concatenate(parts).astype(np.float32),
        "balancing": np.concatenate(balancing).astype(np.float32),
    }


def check(library: ctypes.CDLL) -> None:
    """Both variants play the same episode, and every transition is Gymnasium's."""
    import gymnasium
    import numpy as np

    played = Rollouts(library, 1)
    uniform, starts = played.noise(np.random.default_rng(1), 64)
    params = policies(np)["random"]
    records = []
    for variant in ("scalar", "vector"):
        played.play(variant, params, uniform, starts)
        records.append(played.record.reshape(STEPS, ROW).copy())
    differ = float(np.abs(records[0][:100] - records[1][:100]).max())
    assert differ < 1e-3, f"the variants differ by {differ}"
    env = gymnasium.make("CartPole-v1").unwrapped
    env.reset(seed=0)
    worst, ends = 0.0, 0
    for row, following in zip(records[1][:-1], records[1][1:], strict=True):
        env.state, env.steps_beyond_terminated = row[:4].astype(np.float64), None
        obs, _, terminated, *_ = env.step(int(row[4]))
        ends += terminated
        worst = max(worst, 0.0 if terminated else float(np.abs(obs - following[:4]).max()))
        assert not terminated or np.abs(following[:4]).max() <= 0.05, "no new episode after one that ended"
    assert worst < 1e-5, f"a transition differs from Gymnasium's by {worst}"
    assert ends > 5
    print(f"checked: both variants agree; {STEPS - 1} transitions within {worst:.1g} of Gymnasium's, {ends} ends")


def loop_cell(library: ctypes.CDLL, variant: str, envs: int, policy: str, repeats: int) -> dict[str, Any]:
    import numpy as np

    params, played, rng = policies(np)[policy], Rollouts(library, envs), np.random.default_rng(2)
    uniform, starts = played.noise(rng, envs * STEPS // 10 + envs)
    episodes = played.play(variant, params, uniform, starts)
    rounds = max(repeats, int(2e6 / (envs * STEPS)))
    noise, loop = [], []
    for _ in range(rounds):
        began = time.perf_counter()
        uniform, starts = played.noise(rng, episodes)
        middle = time.perf_counter()
        played.play(variant, params, uniform, starts)
        noise.append(middle - began)
        loop.append(time.perf_counter() - middle)
    drawn, played_for = statistics.median(noise), statistics.median(loop)
    steps = envs * STEPS
    return {
        "steps_per_second": steps / (drawn + played_for),
        "loop_only_steps_per_second": steps / played_for,
        "noise_share": drawn / (drawn + played_for),
        "noise_ns_per_number": 1e9 * drawn / (uniform.size + starts.size),
        "episode_steps": steps / episodes,
    }


def product_cell(size: int, repeats: int) -> dict[str, Any]:
    import numpy as np

    rng = np.random.default_rng(3)
    a, b = (rng.random((size, size), np.float32) for _ in range(2))
    seconds = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        a @ b
        seconds.append(time.perf_counter() - began)
    return {"gflops": 2e-9 * size**3 / min(seconds[1:])}


def rollout_cell(envs: int, repeats: int) -> dict[str, Any]:
    """Our compiled rollout in this process, whole episodes of the balancing policy: real steps a second, with noise."""
    import numpy as np

    from pg_theano.config import reading, schedules
    from pg_theano.environments import making
    from pg_theano.training import programs, specs
    from pg_theano.training.playing import compiled, noise

    made = reading.read_config(None, [f"schedules.episodes_per_update.initial={envs}"])
    engine = making.engine_of(made.environment, dtype=made.dtype, backend=made.backend)
    spec = specs.spec_of(made, engine.task, engine)
    program = programs.load(made, spec, lambda what, seconds: None)
    state = program.init(np.random.default_rng(0)) | {"params": policies(np)["balancing"]}
    knobs, seconds, steps = schedules.knobs_at(made, 0), [], []
    for number in range(max(repeats, int(2e6 / (envs * STEPS))) + 1):
        began = time.perf_counter()
        playing = compiled.episodes_compiled(
            program.manifest["environment"],
            num_episodes=envs,
            time_limit=engine.task.time_limit,
            episode_seeds=np.random.default_rng([number, 1]),
            action_noise=np.random.default_rng([number, 2]),
            draw=noise.uniforms(1, made.dtype),
            dtype=made.dtype,
        )
        played = compiled.drive(playing, lambda values: program.rollout(state, knobs, values))
        seconds.append(time.perf_counter() - began)
        steps.append(int(played.lengths.sum()))
    speeds = [count / taken for count, taken in zip(steps[1:], seconds[1:], strict=True)]  # the first one compiles
    return {"rollout_steps_per_second": statistics.median(speeds), "episode_steps": sum(steps) / len(steps) / envs}


def ours_cell(
    options: argparse.Namespace, envs: int, updates: int, hidden: int, seed: int, cache: Path
) -> dict[str, Any]:
    rate = f"schedules.learning_rate.initial={0.4 / hidden}"  # the default, 0.05, for the default width
    more = [f"policy.hidden=[{hidden}]", rate, "environment.engine=compiled"]
    words = measuring.training_words(envs=envs, updates=updates, seed=seed, more=more)
    result, seen = measuring.train(options, words, cache)
    if result is None:
        return measuring.failure(seen)
    seconds = result["seconds"]
    # Forward 2, gradient of the weights 2, of the hidden layer 2: multiplications and additions for each weight.
    flops = result["env_steps"] * (4 * (4 + 2) * hidden + 2 * 2 * hidden)
    return {
        "rollout_steps_per_second": result["env_steps"] / seconds["collect"],
        "update_gflops": 1e-9 * flops / seconds["update"],
        "env_steps": result["env_steps"],
        "episode_steps": result["env_steps"] / result["episodes"],
    }


def medians(cells: list[dict[str, Any]]) -> dict[str, Any]:
    """Of each figure over repeats; an error stays an error."""
    failed = next((cell for cell in cells if "error" in cell), None)
    numbers = [name for name, value in cells[0].items() if isinstance(value, (int, float))]
    return failed or {name: median([cell[name] for cell in cells]) for name in numbers}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    measuring.add_options(parser)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--no-ours", action="store_true", help="only the limits")
    options = parser.parse_args(argv)
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"  # before NumPy is imported
    os.sched_setaffinity(0, {options.core})
    cells = Cells(options, NAME)
    code = measuring.fingerprint(HERE / "limit.c", Path(__file__))
    data: dict[str, Any] = {"loops": [], "ours": [], "updates": [], "flags": " ".join(FLAGS)}

    with measuring.scratch() as folder:
        library, data["vectorised"] = compiled(folder)
        check(library)
        for policy in ("balancing", "random"):
            for envs in ENVS:
                for variant in ("scalar", "vector"):
                    key = {"what": "loop", "variant": variant, "envs": envs, "policy": policy, "code": code}
                    measure: Callable[[], dict[str, Any]]
                    measure = lambda v=variant, e=envs, p=policy: loop_cell(library, v, e, p, options.repeats)  # noqa: E731
                    data["loops"].append(key | cells.get(key, measure))
    key = {"what": "matrix product", "size": 2048, "code": code}
    data["product"] = key | cells.get(key, lambda: product_cell(2048, options.repeats))
    if not options.no_ours:
        source = code + measuring.fingerprint(options.source / "pg_theano")
        with measuring.scratch() as cache:
            os.environ["PG_THEANO_CACHE"] = str(cache)
            for envs in ENVS:
                key = {"what": "rollout", "envs": envs, "code": source}
                data["ours"].append(key | cells.get(key, lambda envs=envs: rollout_cell(envs, options.repeats)))
            runs = [("updates", 256, 15, hidden) for hidden in (8, 64, 256)]
            for kind, envs, updates, hidden in runs:
                repeated = []
                for seed in range(1, options.repeats + 1):
                    key = {
                        "what": kind,
                        "envs": envs,
                        "updates": updates,
                        "hidden": hidden,
                        "seed": seed,
                        "code": source,
                    }
                    sizes = (envs, updates, hidden, seed)
                    measure = lambda sizes=sizes: ours_cell(options, *sizes, cache)  # noqa: E731
                    repeated.append(cells.get(key, measure))
                data[kind].append({"envs": envs, "updates": updates, "hidden": hidden} | medians(repeated))
    data["facts"] = measuring.facts(options)
    measuring.write(options, NAME, data, section)


def section(data: dict[str, Any]) -> str:
    text = ["## The limit of one core", ""]
    text += [
        f"A C loop of the same rollout, written by hand (`limit.c`, gcc {data['flags']}): the same 4-8-2 network in "
        "float32, the same dynamics, the same record, noise drawn by NumPy beforehand and counted. gcc says of the "
        f"vector variant's loop: {'; '.join(data['vectorised']) or 'not vectorised'}. 500 steps a rollout; an "
        "environment begins its next episode at once, so that every step is real.",
        "",
    ]
    head = [
        "variant",
        "environments",
        "policy",
        "mean episode",
        "steps/s",
        "without noise",
        "share of noise",
        "ns a number",
    ]
    rows = [
        [
            c["variant"],
            c["envs"],
            c["policy"],
            c["episode_steps"],
            c["steps_per_second"],
            c["loop_only_steps_per_second"],
        ]
        + [f"{c['noise_share']:.0%}", c["noise_ns_per_number"]]
        for c in data["loops"]
    ]
    text += [table(head, rows), ""]
    limits = {(c["variant"], c["envs"]): c["steps_per_second"] for c in data["loops"] if c["policy"] == "balancing"}
    if data["ours"]:
        text += [
            "Our compiled rollout of the same policy, whole episodes of 500 steps, noise included, over the loop with "
            "as many environments.",
            "",
        ]
        rows = []
        for c in data["ours"]:
            speed = c.get("rollout_steps_per_second")
            ratios = [f"{speed / limits[v, c['envs']]:.3f}" if speed else None for v in ("scalar", "vector")]
            rows.append([c["envs"], c.get("episode_steps"), c.get("error") or speed, *ratios])
        head = [
            "environments",
            "mean episode",
            "compiled rollout, steps/s",
            "over the scalar loop",
            "over the vector loop",
        ]
        text += [table(head, rows), ""]
    gflops = data["product"]["gflops"]
    text += [
        f"NumPy's product of two {data['product']['size']}² float32 matrices on one thread: {gflops:.1f} GFLOP/s.",
        "",
    ]
    if data["updates"]:
        text += ["FLOP/s of the update (28 for each hidden unit and real step) over it:", ""]
        rows = []
        for c in data["updates"]:
            speed = c.get("update_gflops")
            rows.append([c["hidden"], c["envs"], c.get("error") or speed, f"{speed / gflops:.3f}" if speed else None])
        text += [table(["hidden width", "environments", "update, GFLOP/s", "over the product"], rows), ""]
    return "\n".join(text)


if __name__ == "__main__":
    main()
