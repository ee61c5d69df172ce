"""What graphs must know of an algorithm's declaration: laid on a spec, whether made now or read from a run."""

import dataclasses

from pg_theano.config import schedules
from pg_theano.config.algorithms import ALGORITHMS
from pg_theano.config.knobs import Config
from pg_theano.spec import Spec


def declared(config: Config, spec: Spec) -> Spec:
    """The spec with what graphs must know of the algorithm's declaration, which is no part of a run's file.

    takes        fields of a rollout that it learns from
    optimizers   see `Algorithm.optimizers`
    knobs        names of the inputs of graphs

    Of pixels in stretches it takes `last_obs` in place of `next_obs`, so that they are held once. Where every action is
    tried in each state, it takes that state.
    """
    record = ALGORITHMS[config.algorithm.name]
    seen = ("obs",) if record.searches and spec.acting.normalize_observations else ()
    of_graphs = [one for one in ALGORITHMS.values() if not (one.searches or one.pathwise) or one is record]
    knobs = [name for name, section in schedules.INPUTS.items() if any(r.reads(f"{section}.{name}") for r in of_graphs)]
    once = {"next_obs": "last_obs"} if spec.acting.sees_pixels and spec.learning.num_steps else {}
    forks = ("env_state",) if spec.learning.advantage == "expected" else ()
    takes = (*seen, *(once.get(name, name) for name in record.takes), *forks)
    learning = dataclasses.replace(spec.learning, takes=takes, optimizers=tuple(record.optimizers), knobs=tuple(knobs))
    return spec._replace(learning=learning)
