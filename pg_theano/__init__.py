"""pg_theano: symbolic policy gradients, differentiated once, compiled once, kept.

import pg_theano
result = pg_theano.run("configs/cartpole.yaml")
"""

import os
import sys

from pg_theano.system import path

path.take_off(os.path.dirname(__path__[0]))

from pg_theano.system.clock import BEGAN  # noqa: E402

# Our matrices in NumPy are small: two threads of OpenBLAS only wait for each other, and beside another process for long
# (PPO by hand on a busy machine: 157 instead of 5 s). Read when NumPy is first imported; who has set it keeps it.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def _end(kind, error, trace):
    """Ctrl-C while a command's modules are imported, before anything listens: a word, as later, and no traceback."""
    if issubclass(kind, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


if path.IS_COMMAND:
    sys.excepthook = _end


def run(config=None, *knobs, **options):
    """Train as `python -m pg_theano.train` does; `options` are those of `pg_theano.reports.shown_run.Options`.

    run()                                                       # the defaults: CartPole, REINFORCE
    run("configs/acrobot.yaml", "policy.hidden=[16,16]", seed=3)
    run({"environment": {"id": "Acrobot-v1"}}, "runs=5")         # a dict, or a Config
    run(resume="runs/cartpole")                                 # go on where it was interrupted
    """
    from pg_theano.reports import shown_run

    return shown_run.run(config, knobs, shown_run.Options(**options))


def beside(*results):
    """Several results in one figure and one table, for a notebook to show; see `pg_theano.reports.notebook.Beside`."""
    from pg_theano.reports.notebook import Beside
    from pg_theano.types import UserError

    for one in results:
        if not hasattr(one, "figures"):
            raise UserError(f"beside: got {one!r:.60}; expected results; try beside(run(...), run(...))")
    return Beside(results)


def load(path):
    """A trained policy as a function of the observation, in NumPy; see `pg_theano.runs.policy_of_run.load`."""
    from pg_theano.runs.policy_of_run import load

    return load(path)


def __getattr__(name):
    """`pg_theano.Agent`, imported where it is asked for; see `pg_theano.reports.agent`."""
    if name == "Agent":
        from pg_theano.reports.agent import Agent

        return Agent
    raise AttributeError(f"module 'pg_theano' has no attribute {name!r}")


__all__ = ["BEGAN", "Agent", "beside", "load", "run"]
