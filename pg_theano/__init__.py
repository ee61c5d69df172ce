"""pg_theano: symbolic policy gradients, differentiated once, compiled once, kept.

import pg_theano
result = pg_theano.run("configs/cartpole.yaml")
"""

import time

BEGAN = time.perf_counter()
"""When this process began to import us: the seconds of a run are counted from here."""


def run(config=None, **options):
    """Train as `python -m pg_theano.train` does; see `pg_theano.train.run`."""
    from pg_theano.train import run

    return run(config, **options)


__all__ = ["BEGAN", "run"]
