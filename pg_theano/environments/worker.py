"""What steps environments in a process of its own: the child of `workers.py`."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from pg_theano.config import knobs
from pg_theano.environments import given, inspection, making
from pg_theano.environments.sharing import NOBODY, shared
from pg_theano.environments.stepping import Stepper, facts_of
from pg_theano.system import children
from pg_theano.types import UserError


@np.errstate(over="ignore")  # an infinity is reported where it is known whose it is
def main(argv: list[str]) -> None:
    line, memory, setup = children.entered(argv)
    try:
        given.taken_in(setup["environment"]["id"], setup["given"])
        slots: Any = making.make(
            knobs.Environment(**setup["environment"]).masked_by(setup["action_mask"]),
            num_envs=setup["number"],
            dtype=setup["dtype"],
            folders=[Path(one) for one in setup["folders"]],
            squash=setup["squash"],
            single_environments=True,
        )
        facts = facts_of(slots)
    except UserError as error:
        line.send(b"x", children.told(error))
        return
    try:
        line.send(b"i", json.dumps(facts).encode())
        layout = json.loads(line.receive()[1])
        ours = shared(memory, layout)
        line.take_bells(memory, layout)
        stepper = Stepper(slots, ours, setup, inspection.glanced)
        while True:
            kind, content = line.receive()
            try:
                told = stepper.answer(kind, content)
            except UserError as error:
                index, step, seed = (int(number) for number in stepper.place[1:])
                fault = {"what": str(error), "env": index, "step": step, "seed": seed}
                line.send(b"f", json.dumps(fault).encode())
                continue
            stepper.place[1] = NOBODY
            if told is None:
                line.send(b"k")
            else:
                line.send(b"v", told)
    except (EOFError, ConnectionError):  # whoever asked is gone
        pass
    slots.close()
    os._exit(0)  # taking an interpreter apart takes longer than closing what it held


if __name__ == "__main__":
    main(sys.argv)
