"""Asked to stop: by Ctrl-C or SIGTERM, wherever it strikes."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from pg_theano.system import commands, stopping

OPTIMISED = False  # see conftest.machine_code

HEARD = {"SIGINT": 130, "SIGTERM": 143}


def command(work):
    return commands.run(commands.parser("test", "A test.", ""), work, [])


@pytest.mark.parametrize("name", HEARD)
def test_the_first_signal_is_raised_where_the_command_is_and_gives_its_exit_code(name, capsys):
    """Caught, when planted: SIGTERM not listened to (the process is gone); 130 for both."""

    def work(arguments):
        os.kill(os.getpid(), getattr(signal, name))
        time.sleep(10)
        raise AssertionError

    before = [signal.getsignal(number) for number in stopping.SIGNALS]
    assert command(work) == HEARD[name]
    assert capsys.readouterr().err == "interrupted\n"
    assert [signal.getsignal(number) for number in stopping.SIGNALS] == before


def test_a_signal_that_was_swallowed_is_raised_again_at_the_next_update():
    """As somebody's `__del__` or a bare `except` does. Caught, when planted: no check."""
    reached = []

    def work(arguments):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)
        except BaseException:
            reached.append("swallowed")
        stopping.check()
        raise AssertionError

    assert command(work) == 143
    assert reached == ["swallowed"]
    stopping.check()  # what comes after the command was not asked


def test_a_second_sigterm_does_not_end_the_saving(capsys):
    """Caught, when planted: the second raises too."""
    saved = []

    def work(arguments):
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(10)
        except KeyboardInterrupt:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)
            saved.append(1)
            raise
        raise AssertionError

    assert command(work) == 130
    assert saved


def test_what_must_not_be_torn_is_done_first():
    """An import of JAX, which a signal in its middle turned into a crash. Caught, when planted: raised at once; lost."""
    reached = []

    def work(arguments):
        with stopping.deferred():
            with stopping.deferred():
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(0.01)
            reached.append("inner")
            time.sleep(0.01)
            reached.append("outer")
        raise AssertionError

    assert command(work) == 143
    assert reached == ["inner", "outer"]


SAVES_LONG = """
import os, signal, sys, time
from pg_theano.system import commands
def work(arguments):
    try:
        print("working", flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        print("saving", flush=True)
        time.sleep(60)
sys.exit(commands.run(commands.parser("test", "A test.", ""), work, []))
"""


@pytest.mark.parametrize("name", HEARD)
def test_a_second_ctrl_c_exits_at_once(name):
    """Caught, when planted: the second is ignored (the test waits a minute)."""
    process = subprocess.Popen([sys.executable, "-c", SAVES_LONG], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "working\n"
    process.send_signal(getattr(signal, name))
    assert process.stdout.readline() == "saving\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == HEARD[name]


def test_a_signal_that_was_ignored_stays_ignored():
    """As `nohup` and a shell's `&` have it. Caught, when planted: always listening."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert command(lambda arguments: os.kill(os.getpid(), signal.SIGINT) or 0) == 0
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_command_in_a_thread_leaves_signals_alone():
    """Python allows handlers in the main thread only. Caught, when planted: `ValueError` there."""
    codes = []
    thread = threading.Thread(target=lambda: codes.append(command(lambda arguments: 0)))
    thread.start()
    thread.join()
    assert codes == [0]
