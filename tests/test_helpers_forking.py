"""A fork of the tests' server is the process that `subprocess` would have begun, but for the imports."""

import os
import signal
import subprocess
import sys

import helpers_forking as forking
import pytest

SHOWS = """
import json, os, sys
print(json.dumps([sys.argv, sys.path, os.getcwd(), dict(os.environ), sys.stdin.read(), __name__, os.getpgid(0) == os.getpid()]))
print([(s.encoding, s.errors, s.mode, s.fileno()) for s in (sys.stdin, sys.stdout, sys.stderr)], file=sys.stderr)
sys.exit(3)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks are Linux's")
@pytest.mark.parametrize("how", ["-c", "-m", "script"])
def test_it_has_what_it_was_given(how, elsewhere):
    """Caught, when planted: arguments, folder, variables, streams or session of the server's; an exit code that is lost."""
    (elsewhere / "shows.py").write_text(SHOWS)
    words = {"-c": ["-c", SHOWS], "-m": ["-m", "shows"], "script": [str(elsewhere / "shows.py")]}[how]
    options = {"input": "asked", "capture_output": True, "text": True, "start_new_session": how == "-m"}
    options["env"] = os.environ | {"NEW": "1"}
    fork, process = (by.run([sys.executable, *words, "a", "b"], **options) for by in (forking, subprocess))
    assert fork.returncode == process.returncode == 3
    assert (fork.stdout, fork.stderr) == (process.stdout, process.stderr)
    assert forking._started  # it was a fork


def test_it_is_waited_for_and_struck_like_any_other():
    """Caught, when planted: a server that waits for one child before it forks the next."""
    sleeps = [sys.executable, "-c", "import time; time.sleep(60)"]
    both = [forking.Popen(sleeps) for _ in range(2)]
    assert both[0].poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        both[0].wait(0.01)
    both[1].kill()
    assert both[1].wait(30) == -signal.SIGKILL
    both[0].terminate()
    assert both[0].wait(30) == -signal.SIGTERM


def test_what_must_be_fresh_is(elsewhere):
    """Another variable that a library reads as it is imported, another copy of us. Caught, when planted: neither looked at."""
    (elsewhere / "copy" / "pg_theano").mkdir(parents=True)
    words = [sys.executable, "-c", "import sys; print('jax' in sys.modules)"]
    assert forking.run(words, capture_output=True, text=True).stdout == f"{sys.platform.startswith('linux')}\n"
    for more in ({"JAX_PLATFORMS": "cpu"}, {"PYTHONHASHSEED": "0"}, {"PYTHONPATH": str(elsewhere / "copy")}):
        done = forking.run(words, capture_output=True, text=True, env=os.environ | more)
        assert done.stdout == "False\n", more
