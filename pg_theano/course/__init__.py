"""Exercises that check themselves, and name the misconception behind a wrong answer.

    exercise.py      what an exercise is: a statement, a definition, random cases, the usual misconceptions
    trees.py ... own.py   the exercises themselves, in the order of the chapters
    listed.py        all of them, and what a reader can show who has done them
    judging.py       from answers to a verdict
    child.py         runs a submission in a process of its own, which imports NumPy alone
    submitting.py    that process, its time limit, and folders of submissions
    __main__.py      the command

Each definition is written from the definition: sums over all trajectories, over all pairs of steps, and derivatives by
the complex step. Nothing here imports `by_hand/` or `graphs/`, and a test holds that.
"""
