"""Every file that we write and read again, damaged: the quick form of the torture's part `bits`."""

import os
from pathlib import Path

import numpy as np
import pytest
from helpers_damage import files_of_a_run, unseen

OPTIMISED = False  # see conftest.machine_code


@pytest.mark.slow
def test_no_cut_and_no_flipped_bit_is_loaded_silently(tmp_path, capsys):
    """Checkpoints of a run and of agents trained together, what stands beside them, graphs and machine code.

    Caught, when planted: a checksum left out of any of the readers; a result whose seal lost its name believed.
    """
    rng = np.random.default_rng(0)
    found = {
        name: unseen(path, read, rng, cuts=10, flips=40)
        for name, path, read in files_of_a_run(tmp_path, Path(os.environ["PG_THEANO_CACHE"]))
    }
    capsys.readouterr()
    assert {name.partition(":")[0] for name in found} == {"run", "agent", "set", "compile cache", "machine code"}
    assert not any(found.values()), found
