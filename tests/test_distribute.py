"""One map over this process, over processes, over a Dask cluster: the same results, whoever dies meanwhile."""

import multiprocessing
import os
import signal
import socket
import time

import distributed.client
import helpers_distribute as helpers
import numpy as np
import pytest

from pg_theano.system import dask_client, distribute, importing, plain
from pg_theano.types import UserError

TASKS = helpers.population(24)


@pytest.fixture(scope="module")
def pool():
    """Two processes that have begun."""
    with distribute.opened(workers=2) as workers:
        helpers.seen_at_work(workers, 2)
        yield workers


@pytest.fixture(scope="module")
def dask_cluster(tmp_path_factory):
    """A scheduler and three worker processes."""
    cluster = helpers.DaskCluster(tmp_path_factory.mktemp("dask"))
    try:
        cluster.workers(3)
        yield cluster
    finally:
        cluster.close()


@pytest.fixture
def on_cluster(dask_cluster):
    with distribute.opened(cluster=dask_cluster.address) as workers:
        helpers.until(lambda: len(pids_of(workers)) == 3)
        yield workers


@pytest.fixture(scope="module")
def expected():
    """The undisturbed result, in this process."""
    with distribute.opened() as workers:
        return exactly(workers.map(helpers.play, TASKS))


def exactly(results):
    return [(result.dtype.str, result.tobytes()) for result in results]


def pids_of(workers):
    """Its worker processes."""
    if isinstance(workers._engine, distribute._Cluster):
        return list(workers._engine._client.run(os.getpid).values())
    return [child.pid for child in multiprocessing.active_children()]


def watched(tasks, folder, seconds=0.05):
    return [{"folder": str(folder), "function": helpers.play, "task": task, "seconds": seconds} for task in tasks]


def tracing(folder):
    """Is the process in the middle of a task of `watched`?"""
    return lambda pid: any(folder.glob(f"begun-{pid}-*"))


def traces(folder):
    return sum(1 for _ in folder.glob("begun-*")), sum(1 for _ in folder.glob("done-*"))


def test_in_this_process_it_is_a_loop():
    with distribute.opened() as workers:
        assert workers.map(lambda number: (number, os.getpid()), range(3)) == [(i, os.getpid()) for i in range(3)]
        assert workers.map(helpers.square, []) == []
        with pytest.raises(ValueError, match="task 5"):
            workers.map(helpers.fails_from_5, range(9))


def test_two_processes_give_the_result_of_one_in_its_order(pool, expected):
    """Caught, when planted: results in the order in which batches end; a batch's results shifted by one."""
    assert exactly(pool.map(helpers.play, TASKS)) == expected
    assert pool.map(helpers.late_at_first, range(6)) == list(range(6))
    assert pool.map(helpers.square, []) == []


@pytest.mark.parametrize("seconds", [1e-9, 0.03, 5.0])
def test_an_estimate_of_the_duration_changes_no_result(pool, seconds):
    """Caught, when planted: a last batch that reaches beyond the tasks."""
    pool._seconds.pop(helpers.square, None)
    assert pool.map(helpers.square, range(7), seconds_per_task=seconds) == [i * i for i in range(7)]


@pytest.mark.slow
def test_short_tasks_travel_together_and_a_worker_has_its_share(pool, monkeypatch):
    """300 tasks of 5 ms: batches of about 20 after the first; 4 of them at the end are 2 for each of two workers."""
    sizes = []
    submit = pool._engine.submit
    monkeypatch.setattr(pool._engine, "submit", lambda f, tasks: sizes.append(len(tasks)) or submit(f, tasks))
    tasks = [{"seconds": 0.005, "data": i} for i in range(300)]
    assert pool.map(helpers.busy, tasks) == list(range(300))
    assert sum(sizes) == 300 and sizes[0] == 1
    assert 3 <= np.median(sizes) <= 21  # 20, fewer where the machine is slow
    sizes.clear()
    pool.map(helpers.busy, tasks[:4])
    assert max(sizes) <= 2


def test_workers_have_one_thread_and_this_process_what_it_had(monkeypatch):
    """Caught, when planted: the variables not set; not taken out again."""
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")  # what the user has set is his
    with distribute.opened(workers=2) as workers:
        assert "MKL_NUM_THREADS" not in os.environ and os.environ["OMP_NUM_THREADS"] == "3"
        assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
        assert os.getpid() not in helpers.seen_at_work(workers, 2)
        found = workers.map(helpers.process_and_environment, range(2))
    assert all(env == {"OMP_NUM_THREADS": "3", "MKL_NUM_THREADS": "1"} for _, env in found)


def test_the_first_error_in_the_order_of_tasks_is_raised(pool):
    """Task 5 fails later than 6 does. Caught, when planted: raising the error that arrives first."""
    with pytest.raises(ValueError, match="task 5") as caught:
        pool.map(helpers.fails_from_5, range(9), seconds_per_task=1.0)
    assert "helpers_distribute.py" in caught.value.__notes__[0]
    assert pool.map(helpers.square, range(3)) == [0, 1, 4]


def test_an_error_that_cannot_travel_keeps_its_words(pool):
    """Caught, when planted: sending it as it is (the pool breaks)."""
    with pytest.raises(RuntimeError, match="Awkward: 0 and 2"):
        pool.map(helpers.awkward, range(2))


@pytest.mark.slow
def test_a_killed_process_loses_nothing(pool, expected, tmp_path):
    """In the middle of its work; the other goes on, a new one takes its place.

    Caught, when planted: forgetting the lost batch; raising BrokenProcessPool; running all again.
    """
    before = set(pids_of(pool))
    with helpers.killed_in_the_middle(pids_of(pool), cpu_seconds=0.3, at_work=tracing(tmp_path)) as killed:
        results = pool.map(helpers.watched, watched(TASKS, tmp_path))
    assert exactly(results) == expected
    begun, done = traces(tmp_path)
    assert begun == 1, "it was to be killed at work"
    assert 24 <= done <= 25, "a batch is two tasks at most: only one that was done may be done again"
    after = set(pids_of(pool))
    assert len(after) == 2 and before - after == set(killed)


def test_ctrl_c_is_not_for_workers(pool):
    """Caught, when planted: no SIG_IGN."""
    before = pids_of(pool)
    for pid in before:
        os.kill(pid, signal.SIGINT)
    time.sleep(0.2)
    assert pool.map(helpers.square, range(8)) == [i * i for i in range(8)]
    assert set(pids_of(pool)) == set(before)


def test_a_process_killed_while_idle_is_replaced(pool):
    """Caught, when planted: the BrokenProcessPool of `submit` raised."""
    victim = pids_of(pool)[0]
    os.kill(victim, signal.SIGKILL)
    helpers.until(lambda: not helpers.alive(victim))
    assert pool.map(helpers.square, range(8)) == [i * i for i in range(8)]


@pytest.mark.slow
def test_a_task_that_kills_is_named_and_ends_the_map(pool):
    """7 sits in a batch with innocent ones. Caught, when planted: the first of the batch named at its first death; trying
    for ever."""
    with pytest.raises(UserError, match=r"task 7 of 12: its worker died 3 times .*signal 9"):
        pool.map(helpers.suicide_at_7, range(12), seconds_per_task=0.01)
    assert pool.map(helpers.square, range(3)) == [0, 1, 4]


def test_no_workers_are_refused():
    with pytest.raises(UserError, match="workers: got 0; expected a whole number from 1"):
        distribute.opened(workers=0)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["killed", "interrupted"])
def test_workers_end_with_their_coordinator(what, tmp_path):
    """After SIGKILL of it alone, and after Ctrl-C, which reaches the workers too: they end soon, and say nothing.

    Caught, when planted: no thread that waits for the parent; nothing that ends busy workers.
    """
    with helpers.coordinator_at_work(tmp_path) as (process, pids):
        assert len(pids) == 2 and all(map(helpers.alive, pids))
        if what == "killed":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGINT)
        helpers.until(lambda: not any(map(helpers.alive, pids)), 5.0)
        _, said = process.communicate(timeout=10)
    assert process.returncode == (-signal.SIGKILL if what == "killed" else -signal.SIGINT)
    assert said.count("Traceback") == (0 if what == "killed" else 1)


@pytest.mark.slow
def test_a_cluster_gives_the_result_of_one_process(on_cluster, expected):
    assert exactly(on_cluster.map(helpers.play, TASKS)) == expected
    assert on_cluster.map(helpers.late_at_first, range(6)) == list(range(6))
    with pytest.raises(ValueError, match="task 5"):
        on_cluster.map(helpers.fails_from_5, range(9), seconds_per_task=1.0)
    assert helpers.seen_at_work(on_cluster, 3) == set(pids_of(on_cluster))


@pytest.mark.slow
@pytest.mark.parametrize("how", [helpers.gives_a_program, helpers.raises_a_program])
def test_what_a_worker_of_a_cluster_sends_is_no_program(how, on_cluster, tmp_path):
    """It was unpickled, with --no-user-code too. Caught, when planted: Dask's own client; its errors unpickled."""
    client = on_cluster._engine._client
    with pytest.raises(Exception, match=r"msgpack|trace_of_this_process"):
        client.submit(how, str(tmp_path), pure=False).result(timeout=30)
    assert str(os.getpid()) not in os.listdir(tmp_path)
    assert on_cluster.map(helpers.square, range(3)) == [0, 1, 4]
    with pytest.raises(TypeError, match="got Program; expected plain data"):
        on_cluster.map(helpers.gives_a_program, [str(tmp_path)])


@pytest.mark.parametrize(
    "value",
    [None, True, -1, 10**30, 0.1, float("inf"), "\ud800", [1, [2]], (1, (2,)), {"a": {1: [2.5]}, "tuple": 3}, {}, ()],
    ids=repr,
)
def test_plain_data_comes_back_as_it_was(value):
    """Caught, when planted: tuples as lists; keys as text; a dict whose key is one of the words."""
    found = plain.decoded(plain.encoded(value))
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "array", [np.zeros((2, 0)), np.arange(6, dtype=">i4").reshape(2, 3).T, np.array(1.5), np.int8(3)]
)
def test_arrays_come_back_bit_for_bit(array):
    """Caught, when planted: the memory of a transposed array as it lies."""
    found = plain.decoded(plain.encoded([array]))[0]
    assert (found.dtype, found.shape, found.tobytes()) == (array.dtype, array.shape, array.tobytes())
    assert isinstance(found, np.ndarray) == isinstance(array, np.ndarray)


@pytest.mark.parametrize(
    "text",
    [
        "", "{}", '{"tuple": 3}', '{"dict": [[1]]}', '{"dict": [[[], 1]]}', '{"array": ["|O", [1], "AAAA"]}',
        '{"array": ["<f8", [9999999999], "AAAA"]}', '{"array": ["<f99", [1], "AAAA"]}', '{"os": ["<f8", [1], ""]}', "[" * 9999,
    ],
)  # fmt: skip
def test_what_is_no_plain_data_is_refused(text):
    with pytest.raises(ValueError):
        plain.decoded(text)


def test_errors_come_back_as_what_they_were():
    """Caught, when planted: any name looked up; an exception that takes other arguments."""
    for error in (UserError("a: got b"), ValueError("x", 3), KeyError("k"), ZeroDivisionError()):
        error.add_note("there")
        found = plain.error_of(plain.of_error(error))
        assert (type(found), str(found), found.__notes__) == (type(error), str(error), ["there"])
    for name in ("SystemExit", "eval", "UnicodeDecodeError", "Evil", "__import__"):
        assert type(plain.error_of([name, ["x"], []])) is RuntimeError


@pytest.mark.slow
def test_a_killed_worker_of_a_cluster_loses_nothing(on_cluster, expected, tmp_path):
    with helpers.killed_in_the_middle(pids_of(on_cluster), at_work=tracing(tmp_path)) as killed:
        results = on_cluster.map(helpers.watched, watched(TASKS, tmp_path))
    assert exactly(results) == expected
    assert traces(tmp_path)[0] == 1, "it was to be killed at work"
    assert not helpers.alive(killed[0])


@pytest.mark.slow
def test_an_answer_whose_worker_dies_as_it_arrives_is_an_answer(on_cluster, expected, monkeypatch):
    """Its task is "lost" for Dask by then. Caught, when planted: Dask's own executor, which takes it for an error."""
    client = on_cluster._engine._client
    real = client._gather

    async def gathered(futures, *rest, **more):
        found = await real(futures, *rest, **more)
        for future in futures:
            future._state.lose()
        return found

    monkeypatch.setattr(client, "_gather", gathered)
    assert exactly(on_cluster.map(helpers.play, TASKS)) == expected


@pytest.mark.slow
def test_a_worker_with_other_versions_is_refused(on_cluster, dask_cluster, tmp_path):
    """One that joins later, when it answers; then when the cluster is opened.

    Caught, when planted: not comparing in the task; not asking at opening.
    """
    stub = tmp_path / "pg_theano-9.9.9.dist-info"
    stub.mkdir()
    (stub / "METADATA").write_text("Metadata-Version: 2.1\nName: pg_theano\nVersion: 9.9.9\n")
    other = dask_cluster.workers(1, "--no-nanny", path=[tmp_path])
    there = on_cluster._engine._client.nthreads
    helpers.until(lambda: len(there()) == 4)
    said = rf"{dask_cluster.address}: .*worker.* has pg_theano 9\.9\.9; .*this process has: pg_theano 0"
    try:
        with pytest.raises(UserError, match=said):
            on_cluster.map(helpers.process_and_environment, range(40), seconds_per_task=1.0)
        with pytest.raises(UserError, match=said):
            distribute.opened(cluster=dask_cluster.address)
    finally:
        os.killpg(other.pid, signal.SIGKILL)
        helpers.until(lambda: len(there()) == 3)
    assert on_cluster.map(helpers.square, range(3)) == [0, 1, 4]


@pytest.mark.slow
@pytest.mark.parametrize("attempts", [1, 3])
def test_a_scheduler_that_is_interrupted_as_it_answers_is_asked_again(attempts, dask_cluster, monkeypatch):
    """Somebody else's task is cancelled within those 2 ms. Caught, when planted: Dask's own client, which asserts."""
    real, asked = distributed.client.connect, []

    async def interrupted(*args, **kwargs):
        comm = await real(*args, **kwargs)
        asked.append(read := comm.read)

        async def two():
            return [*await read(), {"op": "cancelled-keys", "keys": []}]

        if len(asked) <= attempts:
            comm.read = two
        return comm

    monkeypatch.setattr(distributed.client, "connect", interrupted)
    with distribute.opened(cluster=dask_cluster.address) as workers:
        assert workers.map(helpers.square, range(3)) == [0, 1, 4]
    assert len(asked) == attempts + 1


@pytest.mark.slow
def test_a_cluster_that_goes_just_as_it_is_asked_is_no_traceback(dask_cluster, monkeypatch):
    """Between two questions, that is: a worker as it tells its versions, the scheduler as it counts its workers.

    Caught, when planted: a worker that is gone refused as one of other versions; the scheduler's loss let through.
    """
    client = dask_client.client_class()
    gone = dict.fromkeys(["tcp://10.0.0.1:1"], OSError("connection closed"))
    asked = client.run
    monkeypatch.setattr(client, "run", lambda self, *args, **kwargs: asked(self, *args, **kwargs) | gone)
    with distribute.opened(cluster=dask_cluster.address) as workers:
        assert workers.map(helpers.square, range(3)) == [0, 1, 4]
        monkeypatch.setattr(client, "nthreads", lambda self: (_ for _ in ()).throw(OSError("connection closed")))
        workers._engine.check()
        assert workers.map(helpers.square, range(3)) == [0, 1, 4]
        workers._engine._timeout = 0.0
        with pytest.raises(UserError, match="no scheduler or no worker for 0 seconds"):
            workers._engine.check()
    with pytest.raises(UserError, match=r"the scheduler was there and is gone \(connection closed\)"):
        distribute.opened(cluster=dask_cluster.address)


@pytest.mark.slow
def test_a_task_that_kills_workers_of_a_cluster_is_named(tmp_path, monkeypatch):
    """Dask blames every task that waited beside it; we run those alone to find the one. Its limit is 0 here, else 3.

    Caught, when planted: blaming the first that Dask gives up.
    """
    monkeypatch.setenv("DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", "0")
    cluster = helpers.DaskCluster(tmp_path)
    try:
        cluster.workers(2)  # one dies in the crowd, then three times one of it alone; their nannies start others
        with distribute.opened(cluster=cluster.address) as workers:
            helpers.until(lambda: len(pids_of(workers)) == 2)
            with pytest.raises(UserError, match="task 7 of 12: its worker died 3 times"):
                workers.map(helpers.suicide_at_7, range(12), seconds_per_task=0.05)
            assert workers.map(helpers.square, range(3)) == [0, 1, 4]
    finally:
        cluster.close()


@pytest.mark.slow
def test_a_cluster_without_workers_and_one_that_loses_them_says_so(tmp_path):
    """Caught, when planted: not asking, while nothing comes, whether anybody is there (it waits for ever)."""
    cluster = helpers.DaskCluster(tmp_path)
    try:
        with pytest.raises(UserError, match=f"{cluster.address}: it answers, but no worker joined it within 2 sec"):
            distribute.opened(cluster=cluster.address, timeout=2.0)  # to connect, too, on a busy machine
        worker = cluster.workers(1, "--no-nanny")
        with distribute.opened(cluster=cluster.address) as workers:
            workers._engine._timeout = 1.0
            os.killpg(worker.pid, signal.SIGKILL)
            with pytest.raises(UserError, match="no scheduler or no worker for 1 seconds"):
                workers.map(helpers.square, range(3))
            os.killpg(cluster.started[0].pid, signal.SIGKILL)
            with pytest.raises(UserError, match="scheduler"):
                workers.map(helpers.square, range(3))
    finally:
        cluster.close()


@pytest.mark.slow
def test_a_cluster_that_does_not_answer_is_given_up():
    """Nobody there; and somebody who takes the call and says nothing. Caught, when planted: no thread around Client."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        nobody = f"tcp://127.0.0.1:{deaf.getsockname()[1]}"
        with pytest.raises(UserError, match=f"{nobody}: no answer within 0.2 seconds"):
            distribute.opened(cluster=nobody, timeout=0.2)
        deaf.listen()
        began = time.monotonic()
        with pytest.raises(UserError, match=f"{nobody}: no answer within 0.2 seconds"):
            distribute.opened(cluster=nobody, timeout=0.2)
        assert time.monotonic() - began < 3.0
    with pytest.raises(UserError, match="cluster: got nonsense"):
        distribute.opened(cluster="nonsense")


def test_each_result_is_told_once_in_order_as_soon_as_those_before_it_are_there(tmp_path):
    """The second task ends when the first has been told. Caught, when planted: told in the order of arrival; told only
    at the end."""
    told = []
    with distribute.opened(workers=2, function=helpers.waits_for) as some:
        some._seconds[helpers.waits_for] = 10.0  # each task travels alone

        def take(result):
            told.append(result)
            (tmp_path / str(len(told))).touch()

        tasks = ["", str(tmp_path / "1"), "", ""]
        results = some.map(helpers.waits_for, tasks, told=take)
    assert told == results == tasks


def test_what_cannot_be_told_ends_the_map(pool):
    with pytest.raises(ZeroDivisionError):
        pool.map(helpers.square, range(40), told=lambda result: 1 // 0)
    assert pool.map(helpers.square, range(4)) == [0, 1, 4, 9]


@pytest.mark.slow
@pytest.mark.parametrize("said", [{}, {"no_user_code": True}, {"allow_import": True}], ids=str)
def test_a_cluster_is_told_of_the_users_consent(on_cluster, said):
    """Its workers were started before, by somebody else, and inherit nothing; with the next batch it is forgotten.
    Caught, when planted: consent left in the coordinator's environment; kept by a worker."""
    with importing.consenting(**said):
        found = on_cluster.map(helpers.consent_here, range(6))
    assert found == [{"no_user_code": False, "allow_import": False} | said | {"task": task} for task in range(6)]
    assert not any(one["no_user_code"] or one["allow_import"] for one in on_cluster.map(helpers.consent_here, range(6)))
