"""Third-party packages of environments: each in a folder of its own, and trained, judged and played by one line.

    python benchmarks/packages.py --install FOLDER                 # pip install --target FOLDER/NAME, --no-deps
    python benchmarks/packages.py FOLDER [--only minigrid,ale-py]  # the table of benchmarks/packages.md

The line is what a user types: `python -m pg_theano.train algorithm.name=ppo` and the words of the table, here with a
budget of a few thousand steps. Then `evaluate`, and `pg_theano.load` in an environment of the same config. Where one
of these fails, its last line is in the table. NumPy, Gymnasium and what else is here are not installed again.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from measuring import HERE, ROOT, Cells, table

NAME = "packages"
SHORT = ["environment.num_envs=4", "algorithm.num_steps=128", "budget.env_steps=4096", "evaluation.episodes=3"]
SHORT += ["environment.max_episode_steps=300", "solved.stop=false", "--no-plot"]
PYBULLET, MUJOCO = ["pybullet"], ["mujoco<4", "etils", "glfw", "pyopengl", "absl-py", "imageio", "importlib_resources"]
MUJOCO += ["zipp", "fsspec", "typing_extensions"]
PANDAS = ["pandas", "pytz", "tzdata"]


class Package(NamedTuple):
    """What is installed, and what a user types."""

    needs: list[str]
    words: str


PACKAGES = {
    "minigrid": Package(
        ["minigrid", "pygame"],
        "environment.id=minigrid:MiniGrid-Empty-5x5-v0 environment.wrappers=[pg_theano.environments:OnlyNumbers]",
    ),
    "ale-py": Package(["ale-py"], "environment.id=ale_py:ALE/Pong-v5 environment.kwargs.obs_type=ram"),
    "minatar": Package(["minatar"], "environment.id=minatar.gym:MinAtar/Breakout-v1"),
    "popgym": Package(["popgym", "mazelib", "cython"], "environment.id=popgym:popgym-RepeatPreviousEasy-v0"),
    "highway-env": Package(
        ["highway-env", "pygame", *PANDAS], "environment.id=highway_env:highway-fast-v0 budget.env_steps=512"
    ),
    "flappy-bird-gymnasium": Package(
        ["flappy-bird-gymnasium", "pygame"], "environment.id=flappy_bird_gymnasium:FlappyBird-v0"
    ),
    "pybullet": Package(
        [*PYBULLET, "pybullet_envs_gymnasium"], "environment.id=pybullet_envs_gymnasium:HopperBulletEnv-v0"
    ),
    "gymnasium-robotics": Package(
        ["gymnasium-robotics", "pettingzoo", "jinja2", "markupsafe", *MUJOCO],
        "environment.id=gymnasium_robotics:PointMaze_UMaze-v3",
    ),
    "gym-anytrading": Package(["gym-anytrading", *PANDAS], "environment.id=gym_anytrading:stocks-v0"),
    "gym-pusht": Package(
        ["gym-pusht", "pygame", "pymunk<7", "cffi", "pycparser", "shapely", "scikit-image", "opencv-python-headless"]
        + ["lazy-loader", "networkx", "imageio", "tifffile"],
        "environment.id=gym_pusht:gym_pusht/PushT-v0",
    ),
    "mujoco": Package(MUJOCO, "environment.id=Hopper-v5"),
    "pettingzoo": Package(
        ["mpe2", "pettingzoo", "pygame"],
        "environment.id=mpe2.simple_spread_v3:parallel_env environment.api=pettingzoo",
    ),
    "bluesky-gym": Package(["bluesky-gym", "bluesky-simulator", "pygame"], "environment.id=bluesky_gym:DescentEnv-v0"),
    "panda-gym": Package(["panda-gym", *PYBULLET], "environment.id=panda_gym:PandaReach-v3"),
    "crafter": Package(
        ["crafter", "opensimplex", "imageio", "ruamel.yaml"], "environment.id=crafter:Env environment.api=gym"
    ),
    "miniworld": Package(["miniworld", "pyglet"], "environment.id=miniworld:MiniWorld-Hallway-v0"),
    "metaworld": Package(
        ["metaworld", *MUJOCO], "environment.id=metaworld:Meta-World/MT1 environment.kwargs.env_name=reach-v3"
    ),
}
OTHERWISE = {
    "bluesky-gym": "its own `utils` import stable_baselines3, and so torch: with both installed it is one line too",
    "miniworld": "it opens a window as it is imported: it needs a display",
    "metaworld": "it cannot be made with Gymnasium 1.4 and MuJoCo 3.17 (by `gymnasium.make` alone neither)",
}
"""Why not, where a package's own line does not say it."""

PLAYED = """
import json, sys
import numpy as np
import pg_theano
from pg_theano.config.reading import resolved
from pg_theano.environments import making
run = sys.argv[1]
policy = pg_theano.load(run)
env = making.single(resolved(f"{run}/config.yaml").config.environment, folders=["."], flat=False)
obs, _ = env.reset(seed=0)
steps = 0
for _ in range(100):
    action = policy(obs)
    obs, _, terminated, truncated, _ = env.step(action if np.ndim(action) else action[()])
    steps += 1
    if terminated or truncated:
        obs, _ = env.reset()
print(json.dumps({"steps": steps}))
"""


def install(folder: Path, name: str) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder / name)]
    subprocess.run([*command, *PACKAGES[name].needs], check=True)


def tried(folder: Path, name: str) -> dict[str, Any]:
    """What came of it: versions, the return, or the line of what failed."""
    own = folder / name
    known = dict(one.name.removesuffix(".dist-info").split("-", 1) for one in own.glob("*.dist-info"))
    wanted = _plain(PACKAGES[name].needs[0])
    values: dict[str, Any] = {"version": next((v for k, v in known.items() if _plain(k) == wanted), "?")}
    env = os.environ | {"PYTHONPATH": f"{ROOT}:{own}", "SDL_VIDEODRIVER": "dummy"}
    with tempfile.TemporaryDirectory() as scratch:
        run = f"{scratch}/run"
        words = [*SHORT, *PACKAGES[name].words.split(), "--run-dir", run]
        steps = {
            "train": ["-m", "pg_theano.train", "algorithm.name=ppo", *words],
            "evaluate": ["-m", "pg_theano.evaluate", run, "--episodes", "3", "--json"],
            "load": ["-c", PLAYED, run],
        }
        for step, arguments in steps.items():
            done = subprocess.run([sys.executable, *arguments], env=env, cwd=scratch, capture_output=True, text=True)
            if done.returncode != 0:
                return values | {"failed": step, "line": (done.stderr.strip().splitlines() or ["no word"])[-1]}
            if step == "evaluate":
                values["mean"] = json.loads(done.stdout)["mean"]
        values["seconds"] = json.loads(Path(run, "result.json").read_text())["seconds"]["total"]
    return values


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower().partition("<")[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--install", action="store_true")
    parser.add_argument("--only", default=",".join(PACKAGES))
    parser.add_argument("--results", type=Path, default=HERE / "results")
    parser.add_argument("--fresh", action="store_true")
    options = parser.parse_args()
    names = options.only.split(",")
    if options.install:
        for name in names:
            install(options.folder, name)
        return
    cells, rows = Cells(options, NAME), []
    for name in names:
        cell = cells.get({"package": name}, lambda name=name: tried(options.folder.resolve(), name))
        words = PACKAGES[name].words
        if "failed" in cell:
            why = OTHERWISE.get(name, cell["line"])
            rows.append([f"{name} {cell['version']}", f"`{words}`", f"no ({cell['failed']}): {why}", ""])
        else:
            rows.append([f"{name} {cell['version']}", f"`{words}`", "trained, judged, loaded", f"{cell['mean']:.1f}"])
    print(table(["package", "`python -m pg_theano.train algorithm.name=ppo` and", "here", "mean return"], rows))


if __name__ == "__main__":
    main()
