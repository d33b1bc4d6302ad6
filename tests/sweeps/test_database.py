"""Queries to a database that loses its connection."""

import optuna
import pytest
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from sqlalchemy.exc import IntegrityError, OperationalError

from thence.errors import ThenceWarning
from thence.sweeps.database import RetryingStorage, is_lost, open_database, retry

LOST = OperationalError("select", {}, RuntimeError("the connection was closed"))


class Flaky:
    """Loses the connection some times, each time after it has done what was asked, or before."""

    def __init__(self, lost, before):
        self.lost, self.before, self.asked, self.state = lost, before, 0, "running"

    def _maybe_lose(self):
        if self.lost:
            self.lost -= 1
            raise StorageInternalError from LOST

    def get_trial(self, trial_id):
        return self

    def set_trial_state_values(self, trial_id, state, values):
        if self.before:
            self._maybe_lose()
        if self.state != "running":
            raise UpdateFinishedTrialError
        self.state = state
        self._maybe_lose()
        return True

    def get_n_trials(self, study_id, state=None):
        self.asked += 1
        self._maybe_lose()
        return 7

    def create_new_trial(self, study_id):
        self.asked += 1
        self._maybe_lose()


@pytest.mark.slow
def test_a_question_is_asked_until_it_is_answered():
    lost = []
    flaky = Flaky(3, before=True)
    assert retry(lambda: flaky.get_n_trials(1), lost.append) == 7
    assert (flaky.asked, len(lost)) == (4, 3)
    assert RetryingStorage(Flaky(2, before=True)).get_n_trials(1, state=None) == 7


def test_patience_ends():
    with pytest.raises(StorageInternalError):
        RetryingStorage(Flaky(3, before=True), patience=-1.0).get_n_trials(1)


def test_a_new_trial_is_not_asked_for_twice():
    flaky = Flaky(1, before=True)
    with pytest.raises(StorageInternalError):
        RetryingStorage(flaky).create_new_trial(1)
    assert flaky.asked == 1


@pytest.mark.parametrize("before", [True, False])
def test_that_a_trial_has_ended_is_said_once(before):
    flaky = Flaky(1, before)
    assert RetryingStorage(flaky).set_trial_state_values(1, "finished", [1.0])
    assert flaky.state == "finished"
    with pytest.raises(UpdateFinishedTrialError):
        RetryingStorage(flaky).set_trial_state_values(1, "finished", [1.0])


def test_what_says_no_is_not_lost():
    class LockedError(Exception):
        pass

    LockedError.__module__ = "sqlite3"
    assert is_lost(LOST)
    assert not is_lost(ValueError("no"))
    assert not is_lost(IntegrityError("insert", {}, RuntimeError("twice")))
    assert is_lost(OperationalError("select", {}, LockedError("database is locked")))
    assert not is_lost(OperationalError("select", {}, LockedError("no such table")))


AWAY = {
    "refused": OperationalError("select", {}, Exception("Connection refused")),
    "lost": OperationalError("select", {}, Exception("Lost connection to MySQL server")),
    "closed": OperationalError("select", {}, Exception("connection socket closed")),
    "invalidated": OperationalError(
        "select", {}, Exception("something new"), connection_invalidated=True
    ),
    "while it makes tables": StorageInternalError("An exception is raised during the commit."),
}
AWAY["while it makes tables"].__cause__ = OperationalError(
    "insert", {}, Exception("terminating connection due to administrator command")
)


@pytest.mark.slow
@pytest.mark.parametrize("error", AWAY.values(), ids=AWAY)
def test_a_database_that_is_starting_is_asked_again(tmp_path, monkeypatch, error):
    errors = [error, error]

    class Starting(optuna.storages.RDBStorage):
        def __init__(self, *given, **named):
            if errors:
                raise errors.pop()
            super().__init__(*given, **named)

    monkeypatch.setattr(optuna.storages, "RDBStorage", Starting)
    with pytest.warns(ThenceWarning, match="does not answer; it may be starting"):
        open_database(f"sqlite:///{tmp_path / 'study.db'}").get_all_studies()
    assert not errors
