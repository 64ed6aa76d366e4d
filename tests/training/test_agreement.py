"""Several processes stop together: where they ask each other, and what the one that is not asked from outside does."""

import pytest

from jaxsnn import training
from tests.training import problem
from tests.training.test_loop import Saved, fit_without_files


@pytest.mark.parametrize(("yes", "at"), [(1, 2), (2, 4), (3, 6), (4, 8)])
def test_a_process_stops_where_another_was_asked_to(yes, at):
    """Asked at every row and at the end of every epoch (4 steps); the state is saved once there."""
    saved, asked = Saved(), []

    def agree(mine):
        assert not mine
        asked.append(mine)
        return len(asked) == yes

    with pytest.raises(training.Interrupted, match=f"stopped at step {at}, "):
        fit_without_files(saved, sets=problem.data(), log_every=2, agree=agree)
    assert len(asked) == yes
    assert saved.at[-1] == at
    assert len(set(saved.at)) == len(saved.at)


def test_a_request_to_this_process_waits_until_all_are_asked(monkeypatch):
    """The other processes must save the same step: SIGTERM in step 1 stops at the row of step 3."""
    saved, heard = Saved(), []

    class Asked:
        def is_set(self):
            return True

    def agree(mine):
        heard.append(mine)
        return mine

    monkeypatch.setattr(training.loop.threading, "Event", Asked)
    with pytest.raises(training.Interrupted, match="stopped at step 3, "):
        fit_without_files(saved, sets=problem.data(), log_every=3, agree=agree)
    assert heard == [True]


def test_nobody_is_asked_to_stop():
    saved, asked = Saved(), []
    fit_without_files(saved, sets=problem.data(), log_every=2, agree=lambda mine: bool(asked.append(mine)))
    assert asked == [False] * 4
    assert saved.at == [4, 8]
