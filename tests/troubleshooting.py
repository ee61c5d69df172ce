"""Bad input, case by case: what is given, the line that is printed, what to do. `docs/troubleshooting.md` is this table.

    python tests/troubleshooting.py        # writes the page anew

`…` in a line stands for what differs from one machine, or one Python, to another. The table is read by
`test_troubleshooting.py`, which runs every case, and by `benchmarks/torture/parts/clear.py`, which times them.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "troubleshooting.md"


class Case(NamedTuple):
    """One bad input. The YAML is `mine.yaml` of an empty folder, in which the command is given."""

    title: str
    given: str  # the YAML
    line: str  # what is printed, without "error: "
    then: str
    command: str = "train mine.yaml"
    setup: Callable[[Path], None] | None = None  # makes what else the folder holds
    code: int = 2
    leaves: str = ""  # a folder that may differ afterwards: a run that had begun, and is kept as failed


def command(title: str, given: str, line: str, then: str, **options) -> Case:
    """A case without a YAML."""
    return Case(title, "", line, then, command=given, **options)


# -- what the folder holds


SMALL = (
    "environment: {id: 'probe_environments:Lengths-v0', num_envs: 4}\nschedules: {episodes_per_update: {initial: 4}}\n"
)
SMALL += "policy: {hidden: [4]}\nevaluation: {episodes: 2, every_updates: 2}\nbudget: {updates: 2}\n"
_made: dict[str, bytes] = {}


def trained(folder: Path, words: tuple[str, ...] = ()) -> None:
    """`runs/mine`, a run of two updates that has ended; made once a process and kept."""
    import io
    import tarfile

    key = " ".join(words)
    if key not in _made:
        import pg_theano
        from pg_theano.training.display import Quiet

        (folder / "small.yaml").write_text(SMALL)
        pg_theano.run(
            str(folder / "small.yaml"),
            run_dir=folder / "runs" / "mine",
            overrides=words,
            plot=False,
            display=Quiet,
        )
        (folder / "small.yaml").unlink()
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            archive.add(folder / "runs", "runs")
        _made[key] = buffer.getvalue()
        return
    with tarfile.open(fileobj=io.BytesIO(_made[key])) as archive:
        archive.extractall(folder, filter="data")


def solved(folder: Path) -> None:
    trained(folder, ("solved.threshold=-1",))


def two_seeds(folder: Path) -> None:
    trained(folder, ("runs=2",))


def in_use(folder: Path) -> None:
    """Held by this process for as long as it lives, or until the next case."""

    from pg_theano.system import locks

    trained(folder)
    held.append(locks.locked(folder / "runs" / "mine"))


held: list[int] = []


def foreign(folder: Path) -> None:
    (folder / "runs" / "mine").mkdir(parents=True)
    (folder / "runs" / "mine" / "notes.txt").write_text("of somebody else\n")


def _newest(folder: Path) -> Path:
    return max((folder / "runs" / "mine" / "checkpoints").glob("update-*.json"))


def newer(folder: Path) -> None:
    """Its checkpoints are of a format that is still to come."""
    from pg_theano.system import seals

    trained(folder)
    for path in (folder / "runs" / "mine" / "checkpoints").glob("*.json"):
        manifest = seals.read_json(path)
        seals.write_json(path, {key: value for key, value in manifest.items() if key != "seal"} | {"format": 99})


def damaged(folder: Path) -> None:
    trained(folder)
    for path in (folder / "runs" / "mine" / "checkpoints").glob("*.npz"):
        path.write_bytes(path.read_bytes()[:-9])


def edited(folder: Path) -> None:
    """Its config was given another network by hand."""
    trained(folder)
    path = folder / "runs" / "mine" / "config.yaml"
    path.write_text(path.read_text().replace("  hidden:\n  - 4\n", "  hidden:\n  - 6\n"))


def shortened(folder: Path) -> None:
    """Its records lack the last ones."""
    trained(folder)
    path = folder / "runs" / "mine" / "metrics.jsonl"
    path.write_bytes(path.read_bytes()[:100])


def without_facts(folder: Path) -> None:
    trained(folder)
    (folder / "runs" / "mine" / "run.json").write_text("{")


def impatient(folder: Path) -> None:
    """Episodes without a time limit are given up after 200 steps, not 131,072; until the next case."""
    from pg_theano.environments import sound

    undone.append((sound, "LONGEST_EPISODE", sound.LONGEST_EPISODE))
    sound.LONGEST_EPISODE = 200


undone: list[tuple[Any, str, Any]] = []


def let_go() -> None:
    """Undo what a case did to this process."""

    from pg_theano.system import locks

    while held:
        locks.unlocked(held.pop())
    while undone:
        setattr(*undone.pop())


def configs(folder: Path) -> None:
    (folder / "configs").mkdir()
    (folder / "configs" / "cartpole.yaml").write_text("seed: 1\n")


def latin(folder: Path) -> None:
    (folder / "mine.yaml").write_bytes("name: Wärme\n".encode("latin-1"))


def large(folder: Path) -> None:
    (folder / "mine.yaml").write_bytes(b"#" * 1_000_001)


def broken_module(folder: Path) -> None:
    (folder / "my_task.py").write_text("def (:\n")


def unlearnt(folder: Path) -> None:
    """A policy that does not look at its parameters."""
    (folder / "my_policy.py").write_text(
        "def parameters(obs_size, num_outputs): return [('w', (obs_size, num_outputs), 'zeroes')]\n"
        "def policy(params, obs): return obs @ params['w']\n"
    )


BOMB = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{one}: &{one} [{', '.join([f'*{before}'] * 10)}]\n" for before, one in zip("abcdefgh", "bcdefghi", strict=True)
)
DEEP = "policy: " + "[" * 60 + "]" * 60 + "\n"


def faulty(how: str) -> str:
    return f"environment: {{id: 'probe_environments:Failing-v0', kwargs: {{how: {how}}}}}\n"


def search(space: str, more: str = "") -> str:
    return f"{more}search:\n  space:\n    {space}\n"


SEARCH = {"command": "search mine.yaml"}
RUN = {"leaves": "runs"}

ACCEPTED = [
    ("1e-4", "schedules.learning_rate.initial", 1e-4, "a number, not text as in YAML 1.1"),
    ("1e6", "budget.updates", 1_000_000, "a number, and a whole one where one is wanted"),
    ("010", "seed", 10, "ten, not eight"),
    (".5", "algorithm.discount", 0.5, "a number"),
    ("1", "algorithm.discount", 1.0, "a real number where one is wanted"),
]
"""(written, knob, what is read, how): traps of YAML that are none here."""

SECTIONS: dict[str, list[Case]] = {
    "The file": [
        Case("A tab", "algorithm:\n\tdiscount: 0.9\n", "mine.yaml:2: got a tab; expected spaces; try two of them for each level", "YAML indents with spaces alone; most editors can turn tabs into them."),
        Case("A key given twice", "seed: 1\nbudget: {updates: 3}\nseed: 2\n", "mine.yaml:3 seed: got it twice (first on line 1); expected it once; try without one", "Only one of them can hold; both lines are named."),
        Case("A section given twice", "policy:\n  hidden: [8]\nseed: 1\npolicy:\n  activation: tanh\n", "mine.yaml:4 policy: got it twice (first on line 1); expected it once; try without one", "Write the knobs of a section below one heading."),
        Case("A tag", "seed: !!python/object/apply:os.system [ls]\n", "mine.yaml:1: got the tag !!python/object/apply:os.system; expected plain values; try the value without it", "A config holds plain values; nothing in it is ever run."),
        Case("An alias bomb", BOMB, "mine.yaml:1: got more than 10,000 keys and values, aliases unfolded; expected fewer; try without aliases", "Anchors may be used, within reason."),
        Case("Nested to the ceiling", DEEP, "mine.yaml:1: got more than 50 levels; expected fewer; try writing it flatter", "No knob is deeper than four levels."),
        Case("No mapping", "- seed: 1\n", "mine.yaml:1: got a list; expected a mapping of knobs; try 'environment: {id: CartPole-v1}'", "The outermost level is `key: value`, without dashes."),
        Case("A bracket that does not close", "policy: {hidden: [8, 8}\nseed: 1\n", "mine.yaml:1: got }; expected ',' or ']' (of what begins on line 1); try closing the bracket or quote, or the same indentation", "The line is where reading stopped; the bracket may have been opened before it."),
        Case("Two colons in a line", "policy: hidden: [8]\n", "mine.yaml:1: got a second ': ' in one value; expected one; try the value in quotes, or on a line of its own, indented", "Write `policy: {hidden: [8]}`."),
        Case("A character that YAML keeps for itself", "environment:\n  id: @CartPole\n", "mine.yaml:2: got the character '@' at the start of a value; expected a letter or digit; try the value in quotes", "Text that begins with @, `, %, & or * goes in quotes."),
        Case("An alias of nothing", "environment:\n  id: *CartPole\n", "mine.yaml:2: got the alias 'CartPole'; expected an anchor above it; try the value in quotes", "A value that begins with * is an alias; in quotes it is text."),
        Case("Two documents", "seed: 1\n---\nseed: 2\n", "mine.yaml:2: got a second document, which starts here; expected one; try without the line ---", "One file is one config; several runs are `runs: 5`, or several files."),
        Case("A merge key", "policy: &a {hidden: [8]}\nalgorithm:\n  <<: *a\n", "mine.yaml:3 algorithm: got a merge key (<<); expected plain keys; try writing the values out", "They belong to YAML 1.1 and hide what a section holds."),
        Case("A key that is no name", "1: 2\n", "mine.yaml:1: got '1' as a key; expected a name; try it in quotes", "All keys of a config are names of knobs."),
        Case("A control character", "name: a\x07b\n", "mine.yaml:1: got the character U+0007; expected printable text; try without it", "It often comes with text that was copied from a terminal."),
        Case("A number that is none", 'name: "\\UFFFFFFFF"\n', "mine.yaml:1: got a number that is none (…); expected YAML; try without it", "No letter has this number; a version or a date beyond all bounds is refused so too."),
        Case("Another encoding", "", "mine.yaml:1: got bytes that are no UTF-8; expected text; try saving the file with the encoding UTF-8", "In most editors: save as, encoding UTF-8.", setup=latin),
        Case("A file that is no config", "", "mine.yaml: got 1,000,001 bytes; expected a YAML file of at most 1,000,000; try a shorter one", "It is probably another file than you meant.", setup=large),
        command("A name that is not there", "train configs/cartpoel.yaml", "configs/cartpoel.yaml: no such file; expected a YAML file; did you mean configs/cartpole.yaml?", "The nearest name in that folder is suggested.", setup=configs),
        command("A folder", "train configs", "configs: got a folder; expected a YAML file; try one of those in it", "Name the file itself.", setup=configs),
    ],
    "A knob": [
        Case("A misspelt knob", "algorithm: {clip_rage: 0.1}\n", "mine.yaml:1 algorithm.clip_rage: unknown knob; did you mean algorithm.clip_range?", "`python -m pg_theano.train -h` lists all of them."),
        Case("A knob outside its section", "discount: 0.9\n", "mine.yaml:1 discount: unknown knob; did you mean algorithm.discount?", "The key is the whole path, as on the command line."),
        Case("A word for a boolean", "solved: {stop: NO}\n", "mine.yaml:1 solved.stop: got 'NO'; expected true or false; try false", "`yes`, `no`, `on` and `off` are text; `true` and `false` are booleans."),
        Case("A word for a number", "environment:\n  num_envs: many\n", "mine.yaml:2 environment.num_envs: got 'many'; expected a whole number from 1 to 65536; try 16", "The default is suggested."),
        Case("A number in quotes", "algorithm: {discount: '0.9'}\n", "mine.yaml:1 algorithm.discount: got '0.9'; expected a number from 0 to 1; try 0.99", "What is in quotes is text."),
        Case("Not a number", "solved: {threshold: .nan}\n", "mine.yaml:1 solved.threshold: got nan; expected a finite number; try null", "Nothing compares with it."),
        Case("Infinity", "schedules: {learning_rate: {initial: .inf}}\n", "mine.yaml:1 schedules.learning_rate.initial: got inf; expected a finite number; try 0.05", "A budget without end is `null`."),
        Case("Out of range", "algorithm: {discount: 1.5}\n", "mine.yaml:1 algorithm.discount: got 1.5; expected a number from 0 to 1; try 0.99", "1 is no discount at all."),
        Case("Half of a whole number", "seed: 1.5\n", "mine.yaml:1 seed: got 1.5; expected a whole number from 0 to 9223372036854775807; try 0", "`1e6` is a whole number, `1.5` is none."),
        Case("No such word", "algorithm: {name: pp0}\n", "mine.yaml:1 algorithm.name: got 'pp0'; expected one of reinforce, vpg, a2c, ppo, npg, trpo, shac, apg, cem, pgpe, es, cmaes; try ppo", "The nearest is suggested."),
        Case("One value for a list", "policy: {hidden: 64}\n", "mine.yaml:1 policy.hidden: got 64; expected a list; try [64]", "`[64]` is one hidden layer, `[]` none."),
        Case("A wrong item of a list", "policy:\n  hidden:\n  - 8\n  - wide\n", "mine.yaml:4 policy.hidden.1: got 'wide'; expected a whole number from 1 to 1000000000000; try 8", "Items are counted from 0, and have a line each."),
        Case("A value for a section", "environment: CartPole-v1\n", "mine.yaml:1 environment: got 'CartPole-v1'; expected a mapping of knobs; try {id: CartPole-v1}", "A section holds knobs."),
        Case("A value for a schedule", "schedules: {learning_rate: 0.01}\n", "mine.yaml:1 schedules.learning_rate: got 0.01; expected a mapping of knobs; try {initial: 0.01}", "A schedule is a mapping, whose `kind` is `constant` unless you say otherwise."),
        Case("Half a schedule", "schedules:\n  learning_rate: {kind: linear, initial: 0.01}\n", "mine.yaml:2 schedules.learning_rate: got kind linear without `final` or `over_updates`; expected both; try {kind: linear, initial: 0.01, final: 0, over_updates: 1000}", "`-h` lists what belongs to which kind."),
        Case("A schedule out of range", "schedules: {exploration_rate: {initial: 1.5}}\n", "mine.yaml:1 schedules.exploration_rate.initial: got 1.5; expected 0 to 1; try 0", "A rate of exploration is a probability."),
        Case("A schedule that grows without end", "schedules:\n  exploration_rate: {kind: exponential_decay, initial: 0.1, decay_rate: -0.1}\n", "mine.yaml:2 schedules.exploration_rate: got decay_rate -0.1, which grows without end; expected a maximum; try exploration_rate.maximum=1", "A negative rate grows; give it a ceiling."),
        Case("A name with a path in it", "name: ../best\n", "mine.yaml:1 name: got '../best'; expected letters, digits, '.', '_' or '-', at most 64, beginning with a letter or digit; try best", "A run's folder is `runs/<name>`; `--run-dir` takes any path."),
        Case("No address", "algorithm: {name: cem}\ndistribute: {cluster: localhost}\n", "mine.yaml:2 distribute.cluster: got 'localhost'; expected the address of a Dask scheduler; try tcp://host:8786", "`dask scheduler` prints its address as it starts."),
        Case("An address in a file", "algorithm: {name: cem}\ndistribute: {cluster: 'tcp://host:8786'}\n", "mine.yaml:2 distribute.cluster: got tcp://host:8786; expected it on the command line; try distribute.cluster=tcp://host:8786 there, or PG_THEANO_CLUSTER=tcp://host:8786", "Whoever answers there has code run here, so that no file may choose it: see [scaling](scaling.md)."),
        command("A knob that is not there, on the command line", "train discount=0.9", "command line discount: unknown knob; did you mean algorithm.discount?", "What comes from the command line has no file and no line."),
        command("No value on the command line", "train algorithm.discount", "algorithm.discount: no such file; expected a YAML file; no name in ./ is like it; try its path", "Words without `=` are config files: `algorithm.discount=0.98`."),
        command("The folder that one stands in", "train --run-dir .", "--run-dir: got the folder that you are in; expected one of its own; try --run-dir runs/mine", "A run's folder holds nothing but the run."),
        command("Two config files", "train a.yaml b.yaml", "command line: got 2 config files (a.yaml, b.yaml); expected one; try one, then knob=value", "A search takes a `base` and lays knobs over it."),
        command("No such option", "train --sed 1", "python -m pg_theano.train: unrecognized arguments: --sed; expected what its help lists; try python -m pg_theano.train -h", "`-h` shows what the command takes."),
        command("No whole number", "evaluate runs/mine --episodes 0", "python -m pg_theano.evaluate: argument --episodes: got 0; expected a whole number from 1; try python -m pg_theano.evaluate -h", "One episode is the least that has a mean."),
    ],
    "What goes with what": [
        Case("A knob of another algorithm", "algorithm: {name: reinforce, clip_range: 0.3}\n", "mine.yaml:1 algorithm.clip_range: got 0.3, which reinforce does not read; expected algorithm.name to be one of ppo; try leaving it out", "A knob that would be ignored is an error; leave it out, or take the algorithm that reads it."),
        Case("A value network that is not there", "algorithm:\n  name: reinforce\n  baseline: value\n", "mine.yaml:3 algorithm.baseline: got value, and reinforce has no value network; expected none, running_mean, mean_so_far, per_timestep or leave_one_out; try algorithm.name=vpg, or mean_so_far", "REINFORCE with a value network is `vpg`."),
        Case("More minibatches than steps", "environment: {num_envs: 4}\nalgorithm:\n  name: ppo\n  num_steps: 8\n  num_minibatches: 64\n", "mine.yaml:5 algorithm.num_minibatches: got 64 of a rollout of 32 steps (4 environments x 8 steps); expected at most as many as there are steps; try 4", "A minibatch larger than the batch cannot be either: sizes follow from the number."),
        Case("Minibatches of one step, standardised", "environment: {num_envs: 4}\nalgorithm:\n  name: ppo\n  num_steps: 8\n  num_minibatches: 32\n", "mine.yaml:5 algorithm.num_minibatches: got 32 of a rollout of 32 steps (4 environments x 8 steps): a minibatch of one step, whose standardised advantage is 0; expected minibatches of two steps or more; try 4, or algorithm.standardize_advantages=false", "The mean of one advantage is that advantage, so that nothing would be learned."),
        Case("Half a pair", "algorithm: {name: pgpe, population_size: 7}\n", "mine.yaml:1 algorithm.population_size: got 7; expected an even number, as pgpe samples in mirrored pairs; try 8", "PGPE and ES try θ + ε and θ − ε together."),
        Case("No twin", "gradients: by_hand\n", "mine.yaml:1 gradients: by_hand has no twin of reinforce; expected algorithm.name=vpg or ppo; try symbolic", "Gradients by hand are there for vpg and ppo."),
        Case("A step of no length", "algorithm: {name: trpo, target_kl: null}\n", "mine.yaml:1 algorithm.target_kl: got null with trpo; expected the length of a step, in KL; try 0.01", "Natural gradients have no learning rate: the KL is their step."),
        Case("Coloured noise for whole episodes", "environment: {id: Pendulum-v1}\npolicy: {noise: pink}\n", "mine.yaml:2 policy.noise: got pink, which is drawn for a stretch, with algorithm.num_steps=null; expected white; try algorithm.num_steps=64 with ppo, or white", "Noise that is correlated in time is drawn for stretches."),
        Case("ε for numbers", "environment: {id: Pendulum-v1}\nexploration: {name: epsilon_softmax}\n", "mine.yaml:2 exploration.name: got epsilon_softmax; expected softmax, as Pendulum-v1 has a box action space; try softmax", "ε-strategies choose among a few actions; a Gaussian explores by its σ."),
        Case("One logit for three actions", "environment: {id: Acrobot-v1}\npolicy: {logistic: true}\n", "mine.yaml:2 policy.logistic: got true, which is for two actions, and Acrobot-v1 has 3 actions; expected false; try false", "Two actions need one logit; more need one each."),
        Case("A mask of a number", "environment: {id: Pendulum-v1}\npolicy: {action_mask: legal}\n", "mine.yaml:2 policy.action_mask: got legal, and Pendulum-v1 has no mask of actions; expected auto or none; try none", "[Masks](masks.md) rule out some of a few choices."),
        Case("Squashed into no bounds", "environment: {id: 'probe_environments:UnboundedActions-v0'}\npolicy:\n  squash: true\n", "mine.yaml:3 policy.squash: got true, and probe_environments:UnboundedActions-v0 has the action space Box(-inf, [inf 1.], (2,), float32); expected a Box with finite bounds; try false", "tanh needs a low and a high to lie between."),
        Case("Compiled dynamics that are not there", "environment:\n  id: 'probe_environments:Lengths-v0'\n  engine: compiled\n", "mine.yaml:3 environment.engine: got compiled for probe_environments:Lengths-v0, but there are compiled dynamics of CartPole-v1, Acrobot-v1, MountainCar-v0, MountainCarContinuous-v0, Pendulum-v1, pg_theano/CartPoleSwingUp-v0, pg_theano/Quadrotor2D-v0, pg_theano/Reacher2-v0, pg_theano/DoubleIntegrator-v0 only; expected auto or gymnasium; try auto", "[own-environment.md](own-environment.md) shows how to write some."),
    ],
    "Too large": [
        Case("A width of 10⁹", "policy:\n  hidden: [1000000000]\n", "mine.yaml:2 policy.hidden: got 7,000,000,002 parameters, which need 84 GB of memory with their optimiser; expected at most 200,000,000; try smaller layers", "The memory is that of parameters and optimiser alone."),
        Case("100,000 environments", "environment: {num_envs: 100000}\n", "mine.yaml:1 environment.num_envs: got 100000; expected a whole number from 1 to 65536; try 16", "More than a few thousand side by side learn nothing faster."),
        Case("Episodes that fill the memory", "environment: {id: Pendulum-v1, max_episode_steps: 10000}\nschedules: {episodes_per_update: {initial: 65536}}\npolicy: {hidden: [1024]}\n", "mine.yaml:2 schedules.episodes_per_update: got 65,536 episodes of up to 10,000 steps with policy.hidden=[1024], which needs 6.8 TB of memory (6.7 TB for what layers keep of each step); expected at most … GB, which there is; try fewer, a lower environment.max_episode_steps, or a smaller policy.hidden", "Whole episodes are counted at their time limit, up to 10,000 steps."),
        Case("A rollout that fills the memory", "environment: {num_envs: 65536}\nalgorithm: {name: ppo, num_steps: 4096}\n", "mine.yaml:1 environment.num_envs: got 65,536 environments x 4,096 steps with policy.hidden=[64, 64], which needs 222.2 GB of memory (190.0 GB for what layers keep of each step); expected at most … GB, which there is; try algorithm.num_minibatches=16 or more, or fewer, a shorter algorithm.num_steps, or a smaller policy.hidden", "More minibatches, or fewer steps an update."),
        Case("A covariance of all pairs", "algorithm: {name: cmaes}\npolicy: {hidden: [1024, 1024]}\n", "mine.yaml:2 policy.hidden: got [1024, 1024] (1,056,770 parameters), which needs 625.4 TB of memory (625.4 TB for the covariance of all parameters); expected at most … GB, which there is; try a smaller one, or pgpe", "CMA-ES is for up to about a hundred parameters."),
    ],
    "The environment": [
        Case("No such environment", "environment:\n  id: CartPole-v7\n", "mine.yaml:2 environment.id: CartPole-v7 is not registered with Gymnasium; expected one that is, or module:Id; did you mean CartPole-v1?", "Ids end in a version. One that a package registers as it is imported is named with that package: `ale_py:ALE/Pong-v5`."),
        Case("A module that is not there", "environment: {id: 'my_tasks:Mine-v0'}\n", "mine.yaml:1 environment.id: the module my_tasks of my_tasks:Mine-v0 cannot be imported (ModuleNotFoundError: No module named 'my_tasks'); expected a module beside the config or in this folder; try python -c 'import my_tasks' there", "It is looked for beside the YAML, then in the current folder."),
        Case("A module that cannot be read", "environment: {id: 'my_task:Mine-v0'}\n", "mine.yaml:1 environment.id: the module my_task of my_task:Mine-v0 cannot be imported (SyntaxError: …); expected a module beside the config or in this folder; try python -c 'import my_task' there", "Python's own words are in brackets.", setup=broken_module),
        Case("Code of somebody else", "environment: {id: 'my_task:Mine-v0'}\n", "mine.yaml:1 environment.id: got my_task:Mine-v0, which runs code; expected none with --no-user-code; try it without, once you have read that module", "`module:Name` runs the code of that module; what a stranger's config names is looked at first.", command="train mine.yaml --no-user-code"),
        Case("An argument that it does not take", "environment:\n  kwargs: {colour: red}\n", "mine.yaml:2 environment.kwargs: CartPole-v1: cannot be made: TypeError: …; expected what Gymnasium can make, reset and step; try python -m pg_theano.check_env CartPole-v1", "`environment.kwargs` go to the environment's `__init__`."),
        Case("A wrapper that is not there", "environment: {wrappers: ['gymnasium.wrappers:Nothing']}\n", "mine.yaml:1 environment.wrappers: gymnasium.wrappers:Nothing cannot be imported (AttributeError: …); expected module:Class; try gymnasium.wrappers:FlattenObservation", "Wrappers are classes that take an environment."),
        Case("Actions of several parts", "environment: {id: 'probe_environments:TupleActions-v0'}\n", "mine.yaml:1 environment.id: probe_environments:TupleActions-v0: its action space Tuple(Discrete(2), Discrete(2)) is not supported; expected Discrete, Box, MultiDiscrete or MultiBinary; try a wrapper in environment.wrappers that makes it one", "Gymnasium has wrappers for most spaces."),
        Case("Observations that are a graph", "environment: {id: 'probe_environments:GraphObs-v0'}\n", "mine.yaml:1 environment.id: probe_environments:GraphObs-v0: its observation space Graph(Box(-inf, inf, (1,), float32), None) is not supported; expected Box, Discrete, MultiDiscrete, MultiBinary, Text, OneOf, or a Dict or Tuple of these; try a wrapper in environment.wrappers that makes it one", "A policy takes a row of numbers."),
        Case("Observations with a part that is no numbers", "environment: {id: 'probe_environments:MissionObs-v0'}\n", "mine.yaml:1 environment.id: probe_environments:MissionObs-v0: its observation['mission'] is of MissionSpace, which is not supported; expected Box, Discrete, MultiDiscrete, MultiBinary, Text, OneOf, or a Dict or Tuple of these; try environment.wrappers=[pg_theano.environments:OnlyNumbers], which leaves out what is none of them", "A space of a package's own, as MiniGrid's. The wrapper leaves that part out, and the policy does not see it; the package may have a better one, as `minigrid.wrappers:ImgObsWrapper`."),
        Case("Agents of different spaces", "environment: {api: pettingzoo, id: 'parallel_environments:Unlike'}\n", "mine.yaml:1 environment.id: parallel_environments:Unlike: the observations of ann are Box(-10.0, 10.0, (3,), float32), those of cas are Box(-10.0, 10.0, (4,), float32); expected the same space for all agents, as one policy acts for all; try supersuit:pad_observations_v0 and supersuit:pad_action_space_v0 in environment.wrappers", "One policy acts for all agents. SuperSuit's wrappers make their spaces equal."),
        Case("Agents that act in turn", "environment: {api: pettingzoo, id: 'parallel_environments:InTurn'}\n", "mine.yaml:1 environment.id: parallel_environments:InTurn: is an AEC environment, whose agents act in turn; expected one of PettingZoo's parallel API; try parallel_environments:parallel_env, or pettingzoo.utils.aec_to_parallel", "Most of PettingZoo's environments are there in both forms: name `parallel_env`."),
        Case("The old four values", faulty("four values"), "probe_environments:Failing-v0, environment 0, step 4 (seed 1040750625): step returns four values, as before Gym 0.26; expected (observation, reward, terminated, truncated, info); try environment.api=gym with module:Class, or terminated and truncated in place of done", "`done` became `terminated` and `truncated` in Gym 0.26. `environment.api: gym` plays it as it is.", **RUN),
        Case("No seed", "environment: {id: 'probe_environments:NoSeed-v0'}\n", "probe_environments:NoSeed-v0, environment 0, step 0 (seed 1040750625): reset raises TypeError: NoSeed.reset() got an unexpected keyword argument 'seed'; expected (observation, info); try def reset(self, *, seed=None, options=None)", "Write `def reset(self, *, seed=None, options=None)`.", **RUN),
        Case("The old reset", faulty("one value at reset"), "probe_environments:Failing-v0, environment 0, step 0 (seed 1040750625): reset returns one ndarray; expected (observation, info); try return obs, {}", "Write `return obs, {}`.", **RUN),
        Case("A wrong shape", faulty("shape"), "probe_environments:Failing-v0, environment 0, step 4 (seed 1040750625): the observation has shape (2, 1); its space says (2,); expected that; try a space of the shape that step and reset return", "The space and what is returned must agree.", **RUN),
        Case("An observation that is not a number", faulty("nan"), "probe_environments:Failing-v0, environment 0, step 4 (seed 1040750625): the observation has nan; an observation must be finite; expected numbers; try check_env", "It is named at the step where it comes from, with the seed that brings it back.", **RUN),
        Case("An infinite reward", faulty("reward inf"), "probe_environments:Failing-v0, environment 0, step 4 (seed 1040750625): reward is inf; a reward must be finite; expected a number; try to find where it comes from, with that seed", "One is enough to lose all that was learned.", **RUN),
        Case("An absurd reward", faulty("huge"), "probe_environments:Failing-v0, environment 0, step 4 (seed 1040750625): reward is 1e+300; expected at most 1e+15 in size; try rewards of about 1", "Scale rewards to a size of about 1, or set `normalize.rewards`.", **RUN),
        Case("A mask that allows nothing", "environment: {id: 'masked_environments:Gates-v0', kwargs: {fault: nothing}}\n", "masked_environments:Gates-v0, environment 0, step 3 (seed 1040750625): info[\"action_mask\"] allows nothing; expected a choice that is allowed; try terminated=True where nothing can be done", "Of the last observation of an episode none need be allowed. [Masks](masks.md).", **RUN),
        Case("A step that raises", faulty("raises"), "probe_environments:Failing-v0, environment 0, step 4 (seed 1040750625): step raises RuntimeError: the motor is stuck; its action was 0; expected what the space of actions allows; try --debug, which shows where", "`--debug` shows the traceback.", **RUN),
        Case("An episode that never ends", "environment: {id: 'probe_environments:Endless-v0', num_envs: 4}\nschedules: {episodes_per_update: {initial: 1}}\n", "probe_environments:Endless-v0, environment 0: an episode has not ended after 200 steps; expected an end; try environment.max_episode_steps=1000", "An update plays whole episodes; one without a time limit is given up after 131,072 steps.", setup=impatient, **RUN),
        command("A buffer that is used again", "check_env faulty_environments:Fault08-v0", "fault: faulty_environments:Fault08-v0, step 1 (seed 0): the observation of step 0 was changed by step 1; expected an array of its own for every observation; return self.obs.copy()", "Training copies what it sees, and is not hurt; other trainers are.", code=1),
        command("Another dtype than promised", "check_env faulty_environments:Fault03-v0", "fault: faulty_environments:Fault03-v0, step 0 (seed 0): the observation is float64; expected float32, as its space says; obs.astype(np.float32)", "NumPy computes in float64 unless it is told.", code=1),
        command("Actions without bounds", "check_env faulty_environments:Fault30-v0", "fault: faulty_environments:Fault30-v0: its actions have no bounds: Box(-inf, inf, (1,), float32); expected finite low and high, best -1 and 1; give the Box bounds, and scale inside step", "Then nothing says how large an action may be.", code=1),
        command("Always the same length", "check_env faulty_environments:Fault18-v0", "question: faulty_environments:Fault18-v0, step 50 (seed 1124): all of 5 episodes terminated at step 50; expected truncated, if that is a time limit and not the task's own end; is it a time limit? then return truncated, or set environment.max_episode_steps=50: values are bootstrapped", "A time limit bootstraps, an end does not: only you know which it is.", code=0),
        command("The global generator", "check_env faulty_environments:Fault22-v0", "fault: faulty_environments:Fault22-v0, step 1 (seed 0): drew from the global np.random or random; expected random numbers from the seed of reset alone; draw from self.np_random", "Then no seed brings an episode back.", code=1),
    ],
    "A run": [
        command("No run", "train --resume runs/other", "runs/other: no run folder (no config.yaml in it); expected a folder that `pg_theano.train` wrote, such as runs/cartpole; try one of: ls -d runs/*", "A run folder holds `config.yaml`, `run.json` and `checkpoints/`."),
        command("A folder of somebody else", "train --resume runs/mine", "runs/mine: no run folder (no config.yaml in it); expected a folder that `pg_theano.train` wrote, such as runs/cartpole; try one of: ls -d runs/*", "Nothing in it is touched.", setup=foreign),
        command("A folder that is taken", "train --run-dir runs/mine", "runs/mine: not empty; expected a new folder; try another, or --resume runs/mine to go on with that run", "Without `--run-dir` the next free name is taken.", setup=foreign),
        command("A folder that cannot be made", "train --run-dir /proc/mine", "/proc/mine: cannot be made (No such file or directory); expected a folder that can be written; try another with --run-dir", "Runs go to `runs/` of the current folder otherwise."),
        command("A run whose budget is spent", "train --resume runs/mine", "runs/mine: finished (budget.updates = 2 is spent); expected a run that was stopped; to train on, try budget.updates=4", "Only `budget`, `solved` and `checkpoint` may change.", setup=trained),
        command("A run that was solved", "train --resume runs/mine", "runs/mine: finished (solved after 2 updates); expected a run that was stopped; try solved.stop=false, to train on", "A run ends when its evaluations reach the threshold twice.", setup=solved),
        command("A run in use", "train --resume runs/mine budget.updates=9", "runs/mine: in use by process … on …; expected one process a folder; try again when it has ended", "One process at a time writes to a folder; the lock ends with the process.", setup=in_use),
        command("Another knob for an old run", "train --resume runs/mine algorithm.discount=0.9", "algorithm.discount=0.9: a resumed run keeps its config; expected knobs of budget, solved and checkpoint; try --change, which records it", "[Going on](going-on.md) says what may change, and from when on.", setup=trained),
        command("A part of the graph, for an old run", "train --resume runs/mine policy.hidden=[9] --change", "policy.hidden=[9]: shapes the graph, or what is played, and a run keeps it; expected a knob of schedules, evaluation or budget, a coefficient of the algorithm or of the optimiser; try --from RUN, a new run with its parameters", "Another graph has other parameters, and so is another run.", setup=trained),
        command("A run that nothing fits of", "train --from runs/mine policy.hidden=[9,7] environment.id=Acrobot-v1", "runs/mine/checkpoints/best-00000002.npz: none of its policy's arrays fits: it has policy/w1 [3, 4], policy/b1 [4], policy/w2 [4, 3], policy/b2 [3]; expected some of policy/w1 [6, 9], policy/b1 [9], policy/w2 [9, 7], policy/b2 [7], policy/w3 [7, 3], policy/b3 [3]; try its own policy.hidden, and a task whose observations have as many numbers", "Names and shapes must be equal: [going on](going-on.md).", setup=trained),
        command("Another task with other spaces", "evaluate runs/mine --environment Pendulum-v1", "Pendulum-v1: got observations Box(-inf, inf, (3,), float32) and actions Box(-2.0, 2.0, (1,), float32); expected observations Box(-inf, inf, (3,), float32) and actions Discrete(3), as the policy was trained with; try a task with these spaces, or a new run that takes over what fits: --from RUN", "Of observations the bounds do not count.", setup=trained),
        command("A config that was edited", "train --resume runs/mine budget.updates=9", "runs/mine/config.yaml: not as the run wrote it (its checksum does not agree); expected no change by hand; try putting it back; to train on with other knobs: python -m pg_theano.train --resume runs/mine budget.updates=500, with --force if the change is wanted", "The checksum is in its last line.", setup=edited),
        command("Another architecture", "train --resume runs/mine budget.updates=9 --force", "runs/mine/checkpoints/update-00000002.npz: another architecture (optimizer/first_moment: got (31,), expected (45,); optimizer/second_moment: got (31,), expected (45,); params: got (31,), expected (45,)); expected that of the run's config; try the config.yaml that it was written with, or a new run", "The arrays that differ are named with their sizes.", setup=edited),
        command("A newer version", "train --resume runs/mine budget.updates=9", "runs/mine/checkpoints/update-00000002.json: got format 99; expected 1, which this pg_theano reads; try the version that wrote it", "`run.json` says which version wrote it.", setup=newer),
        command("A damaged checkpoint", "train --resume runs/mine budget.updates=9", "runs/mine/checkpoints/update-00000002.npz: damaged checkpoint: its checksum does not agree; expected it as it was written; try a copy of the folder, or a new run", "The one before is taken where there is a whole one.", setup=damaged),
        command("Records that are cut short", "train --resume runs/mine budget.updates=9", "runs/mine/metrics.jsonl: missing or cut short; expected … bytes or more, as its checkpoint counts on; try a copy of it, or a new run", "`metrics.jsonl` only ever grows.", setup=shortened),
        command("A run without its facts", "evaluate runs/mine", "runs/mine/run.json: missing or damaged; expected what `pg_theano.train` wrote; try a copy of the folder, or a new run", "`run.json` says what the policy is made of.", setup=without_facts),
        command("One of several", "evaluate runs/mine", "runs/mine: no run folder (no config.yaml in it); expected one of the runs in it; try runs/mine/seed-0", "`runs: 2` makes a folder for each seed.", setup=two_seeds),
        command("A figure of no kind", "plot runs/mine --out a.bmp", "a.bmp: unknown kind of figure; expected a file name that ends in .png, .pdf or .svg; try a.png", "The name's ending says which kind it is.", setup=trained),
    ],
    "A search": [
        Case("No search", "seed: 1\n", "mine.yaml: no section `search`; expected one with a `space`; try configs/search-cartpole.yaml, or pg_theano.train", "[searching.md](searching.md) shows one.", **SEARCH),
        Case("A knob of the space that is not there", search("discount: {low: 0, high: 1}"), "mine.yaml:3 search.space.discount: unknown knob; did you mean algorithm.discount?", "A space names knobs by their whole path.", **SEARCH),
        Case("A range the wrong way round", search("algorithm.discount: {low: 1, high: 0}"), "mine.yaml:3 search.space.algorithm.discount.low: got 1; expected less than high, which is 0; try exchanging them", "Low comes first.", **SEARCH),
        Case("Half a range", search("algorithm.discount: {low: 0.5}"), "mine.yaml:3 search.space.algorithm.discount.high: missing; expected low and high, or choices; try {low: 0.1, high: 0.9}", "A knob is a range, or a list of choices.", **SEARCH),
        Case("The logarithm of 0", search("algorithm.discount: {low: 0, high: 1, log: true}"), "mine.yaml:3 search.space.algorithm.discount.low: got 0, which has no logarithm; expected a number above 0; try 0.001", "Begin at a small number, such as 1e-4.", **SEARCH),
        Case("A range that cannot be drawn", "search:\n  space:\n    schedules.learning_rate.initial: {low: 5.0e-324, high: 1.0e+300, log: true}\n", "mine.yaml:3 search.space.schedules.learning_rate.initial.low: got 4.94066e-324 to 1e+300; expected numbers from 1e-100 to 1e+100; try a narrower range", "Beyond, a range can be neither subtracted nor drawn.", "search mine.yaml"),
        Case("A value that the knob does not take", search("algorithm.discount: {low: 0.5, high: 2}"), "mine.yaml:3 search.space.algorithm.discount: got 2; expected a number from 0 to 1; try 0.99", "Both ends must be values of the knob.", **SEARCH),
        Case("Whole numbers", search("algorithm.num_epochs: {low: 1, high: 4}"), "mine.yaml:3 search.space.algorithm.num_epochs: takes whole numbers; expected integer: true; try adding it", "`integer: true` rounds what is drawn.", **SEARCH),
        Case("A storage that is no address", search("algorithm.discount: {low: 0.5, high: 1}", "") + "  storage: trials.db\n", "mine.yaml:4 search.storage: got trials.db; expected an RDB address; try sqlite:///search.db", "Without one, trials are kept in a journal in the search's folder.", **SEARCH),
    ],
    "Your own policy": [
        Case("A file that is not there", "policy: {name: 'my_net:policy'}\n", "mine.yaml:1 policy.name: no file my_net.py in …; expected it there; try copying it beside the config", "[own-policy.md](own-policy.md) shows one."),
        Case("An initialiser that is not there", "policy: {name: 'my_policy:policy'}\n", "mine.yaml:1 policy.name: parameters() of my_policy: w of shape [4, 2]: got the initialiser 'zeroes'; expected zeros, ones, a number (the standard deviation of a normal), [uniform, bound] or, for weights [inputs, outputs], glorot or orthogonal; try zeros", "Or a list of a name and a number: `[constant, 0.5]`.", setup=unlearnt),
    ],
}  # fmt: skip


def cases() -> Iterator[tuple[str, Case]]:
    for section, some in SECTIONS.items():
        for case in some:
            yield section, case


def prepared(case: Case, folder: Path) -> list[str]:
    """Make what a case is given; returns the words of its command, the name of the module first."""
    if case.given:
        (folder / "mine.yaml").write_text(case.given)
    if case.setup is not None:
        case.setup(folder)
    return case.command.split()


def main_of(name: str) -> Callable[[list[str]], int]:
    module = importlib.import_module(f"pg_theano.{name}.__main__" if name == "search" else f"pg_theano.{name}")
    return module.main


def pattern(line: str) -> str:
    """A regular expression for a line, `…` any text."""
    return ".*?".join(re.escape(part) for part in line.split("…"))


# -- the page


HEAD = """# Troubleshooting

What is wrong is said in one line: `where: what was got; what was expected; what to try`. The exit code is 2, nothing is
written and nothing is lost. Each case below is run by the tests (`tests/troubleshooting.py`, of which this page is made:
`python tests/troubleshooting.py`); `…` stands for what differs from one machine to another. With `--debug` a command
shows the traceback as well.

An environment that goes wrong while it is trained ends the run, which stays in `runs/`, with the reason in its
`result.json` and its last good checkpoint. `python -m pg_theano.check_env` looks for such faults beforehand: exit code 1
where there is one.

A run that ends well and has learned nothing is no error: its report says [why](explaining.md#when-it-did-not-learn).

## Read as you mean it

| written | knob | read as | |
|---|---|---|---|
"""


def page() -> str:
    rows = [f"| `{text}` | `{knob}` | {value!r} | {how} |" for text, knob, value, how in ACCEPTED]
    parts = [HEAD + "\n".join(rows) + "\n"]
    for section, some in SECTIONS.items():
        parts.append(f"\n## {section}\n")
        parts += [_shown(case) for case in some]
    return "".join(parts)


def _shown(case: Case) -> str:
    """A case as Markdown."""
    text = case.given if len(case.given) < 300 else case.given[:120] + "…\n"
    given = f"\n```yaml\n{text.translate({7: '␇', 9: '→'})}```\n" if case.given else ""
    name, *words = case.command.split()
    prefix = "error: " if case.code == 2 else ""
    shown = f"$ python -m pg_theano.{name} {' '.join(words)}\n{prefix}{case.line}"
    return f"\n### {case.title}\n{given}\n```\n{shown}\n```\n\n{case.then}\n"


if __name__ == "__main__":
    PAGE.write_text(page())
    print(f"wrote {PAGE}")
    sys.exit(0)
