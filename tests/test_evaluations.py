"""What evaluations cost while a run trains: in proportion to the training between them, and said."""

import pytest
from helpers_runs import assert_equal_runs, ran, records, result, resumed, small

import pg_theano
from pg_theano.training.display import PATIENCE, Plain

pytestmark = pytest.mark.usefixtures("elsewhere", "functions_kept")

SEVEN = {"id": "probe_environments:Capped-v0"}  # episodes of 7 steps, each of return 7


def config(**changes):
    """40 episodes an update, of which a quarter is 10."""
    common = {
        "schedules": {"episodes_per_update": {"initial": 40}},
        "evaluation": {"episodes": 30, "every_updates": 1},
        "solved": {"stop": False},
    }
    return small(environment=SEVEN, budget={"updates": 4}, **(common | changes))


class Heard(Plain):
    def __init__(self, title):
        super().__init__(None)
        self.lines, self.told = [], []
        Heard.last = self

    def event(self, text):
        self.lines.append(text)

    def update(self, record, budget):
        pass

    def evaluating(self, ended, episodes):
        self.told.append((ended, episodes))


def played(folder):
    return [record["evaluation_episodes"] for record in records(folder) if "evaluation_mean" in record]


def test_an_evaluation_takes_a_quarter_of_the_steps_since_the_last_one(tmp_path):
    """The final one takes all episodes. A resumed run evaluates as the one that was never stopped.

    Caught, when planted: steps since the beginning; the steps of the last evaluation kept in the process alone.
    """
    ran(config(), tmp_path / "whole")
    assert played(tmp_path / "whole") == [10, 10, 10, 10]
    assert result(tmp_path / "whole")["evaluation"]["n"] == 30
    ran(config() | {"budget": {"updates": 2}}, tmp_path / "part")
    resumed(tmp_path / "part", "budget.updates=4")
    assert_equal_runs(tmp_path / "whole", tmp_path / "part")


@pytest.mark.parametrize(
    ("evaluation", "expected"),
    [
        ({"every_updates": 2}, [20, 20]),
        ({"share": 0.5}, [20] * 4),
        ({"share": 0.01}, [5] * 4),
        ({"share": None}, [30] * 4),
        ({"share": 0.01, "episodes": 3}, [3] * 4),
        ({"share": 0.25, "episodes": 8}, [8] * 4),
    ],
    ids=str,
)
def test_its_share_is_a_knob(evaluation, expected, tmp_path):
    """Caught, when planted: fewer than five; more than `evaluation.episodes`."""
    ran(config(evaluation={"episodes": 30, "every_updates": 1} | evaluation), tmp_path / "run")
    assert played(tmp_path / "run") == expected


def test_longer_episodes_of_evaluations_are_reckoned_with(tmp_path):
    """Training plays `Lengths`; its evaluations are made to last three times as long, and are fewer from the second on.

    Caught, when planted: the length of training's episodes alone.
    """
    from pg_theano.training import evaluating

    before = evaluating.Evaluator.__call__

    def longer(self, *args, **options):
        found = before(self, *args, **options)
        self.length *= 3
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluating.Evaluator, "__call__", longer)
        ran(config(), tmp_path / "run")
    assert played(tmp_path / "run") == [10, 5, 5, 5]  # 70 steps: 10 episodes of 7, 3 of 21


def test_what_solves_the_task_has_played_all_episodes_twice(tmp_path):
    """Caught, when planted: a run that ends on ten lucky episodes."""
    ran(config(solved={}), tmp_path / "run")
    assert played(tmp_path / "run") == [30]
    assert result(tmp_path / "run")["status"] == "solved"
    assert result(tmp_path / "run")["evaluation"]["n"] == 30


def test_rows_of_one_class_are_all_played(tmp_path):
    """CartPole's hundred episodes are rows of Gymnasium's own class: fewer would be no quicker."""
    ran({"budget": {"updates": 1}, "evaluation": {"every_updates": 1}}, tmp_path / "run")
    assert played(tmp_path / "run") == [100]


def test_an_evaluation_says_how_far_it_is(tmp_path, monkeypatch, capsys):
    """Of those that last. Caught, when planted: a line for each episode; a count that goes back; silence."""
    pg_theano.run(config(), run_dir=tmp_path / "run", plot=False, display=Heard)
    assert Heard.last.told[0] == (7, 10) or Heard.last.told[0][1] == 10
    assert (30, 30) in Heard.last.told
    now, lines = [0.0], []
    plain = Plain(None)
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr(plain, "event", lines.append)
    for ended in range(30):
        plain.evaluating(ended, 30)
        now[0] += PATIENCE / 4
    plain.evaluating(30, 30)
    assert lines == [f"evaluating: {ended} of 30 episodes" for ended in range(4, 30, 4)]


def test_a_task_without_a_limit_is_told_of(tmp_path, monkeypatch):
    """Caught, when planted: no word, while an evaluation waits for 131,072 steps."""
    said = "probe_environments:Endless-v0 has no time limit: an episode, of an evaluation too, may take 131,072 steps; "
    endless = small(
        environment={"id": "probe_environments:Endless-v0", "max_episode_steps": None},
        algorithm={"name": "ppo", "num_steps": 8},
        budget={"updates": 1},
    )
    del endless["schedules"]
    monkeypatch.setattr("pg_theano.environments.sound.LONGEST_EPISODE", 50)
    with pytest.raises(pg_theano.types.UserError, match="has not ended"):  # the final evaluation
        pg_theano.run(endless, run_dir=tmp_path / "run", plot=False, display=Heard)
    assert any(line.startswith(said) for line in Heard.last.lines)
    pg_theano.run(config(), run_dir=tmp_path / "other", plot=False, display=Heard)
    assert not any("time limit" in line for line in Heard.last.lines)
