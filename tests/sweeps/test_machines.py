"""Machines that share a database and no folder: none of their trials is lost or made twice."""

import json
import random
import shutil
import signal
import sys
import threading
import time
from types import SimpleNamespace

import pytest
import sqlalchemy as sql
from optuna.exceptions import DuplicatedStudyError
from optuna.storages._rdb.models import StudyModel
from optuna.study import StudyDirection

from thence.errors import RunError, SettingError, TextError, ThenceWarning
from thence.runs import Run
from thence.sweeps import sweep
from thence.sweeps.database import hide_password, open_database
from thence.sweeps.folder import open_folder
from thence.sweeps.locks import DatabaseLocks
from thence.sweeps.recipe import read_sweep_recipe

from ..processes import Process

TRIALS = 8
PASSWORD = "s3cr3t"
SPACE = """\
trials = 8
pruner = "median"
[sweep.space]
hidden_size = [2, 4, 8]
lr = {low = 1e-3, high = 1e-1, log = true}
"""
BEGUN: list[Process] = []
SHORT = "trials = 2\n[sweep.space]\nhidden_size = [2, 4]\n"
IMPATIENT = """\
import sys
from thence.sweeps import database
from thence.sweeps.locks import DatabaseLocks
database.PATIENCE_AT_START = 200.0  # On a busy machine a server takes long to start.
DatabaseLocks.heartbeat_interval, DatabaseLocks.grace_period, DatabaseLocks.wait = 0.2, 2.0, 0.2
from thence.cli.main import main
main(sys.argv[1:])
"""
TABLES = """\
import sys
from pathlib import Path
from thence.sweeps.database import open_database
from thence.sweeps.locks import DatabaseLocks
address, folder = sys.argv[1], Path(sys.argv[2])
(folder / "locks").mkdir(parents=True)
open_database(address).get_all_studies()
lock = DatabaseLocks(address, "shared", folder).lock("study")
assert lock.take()
lock.release()
"""


@pytest.fixture(autouse=True)
def begun():
    """Yield the processes that a test has begun; those that still run then are ended."""
    yield BEGUN
    while BEGUN:
        process = BEGUN.pop()
        process.kill()
        process.communicate()


def begin(recipe, folder, address):
    flags = ["-o", folder, "--storage", address, "--study", "shared", "--no-report", "--json"]
    process = Process("-c", IMPATIENT, "sweep", recipe, *flags)
    BEGUN.append(process)
    return process


@pytest.mark.slow
def test_machines_are_killed_and_go_on(language, tmp_path, address):
    recipe = language(SPACE)
    folders = [tmp_path / "first", tmp_path / "second"]
    moments = random.Random()
    for kill in range(2):
        both = [begin(recipe, folder, address) for folder in folders]
        killed = folders[kill % 2]
        wanted = len(list(killed.glob("trial-*"))) + 1
        until = time.monotonic() + 60
        while len(list(killed.glob("trial-*"))) < wanted and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(moments.random() * 0.3)
        for process in both:
            process.send_signal(signal.SIGKILL)
            process.communicate()
    results = []
    for process in [begin(recipe, folder, address) for folder in folders]:
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        results.append(json.loads(out))
    trials = results[0]["trials"]
    assert trials == results[1]["trials"]
    assert [trial["number"] for trial in trials] == list(range(TRIALS))
    assert {trial["state"] for trial in trials} <= {"finished", "pruned"}
    for trial in trials:
        folder = trial["where"].partition(":")[2]
        assert folder in map(str, folders)
        run = Run(f"{folder}/{trial['run']}")
        assert run.finished
        options = {"hidden_size": run.recipe.options.hidden_size, "lr": run.recipe.training.lr}
        assert options == trial["fields"]
        assert min(line["dev_nats_per_token"] for line in run.metrics()) == trial["nats"]
    (best,) = (folder / "best" for folder in folders if (folder / "best").exists())
    assert len(Run(best).test_looks()) == 1
    assert sum(result["test"] is not None for result in results) == 1


@pytest.mark.slow
def test_a_restart_of_the_server_ends_no_worker(language, tmp_path, server, server_address):
    recipe = language(SPACE)
    folders = [tmp_path / "first", tmp_path / "second"]
    both = [begin(recipe, folder, server_address) for folder in folders]
    for wanted in (1, 4):
        until = time.monotonic() + 60
        while len(list(tmp_path.glob("*/trial-*"))) < wanted and time.monotonic() < until:
            ended = [process for process in both if process.poll() is not None]
            assert not ended, ended[0].communicate()
            time.sleep(0.01)
        server.restart()
    results = []
    for process in both:
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        results.append(json.loads(out))
    assert results[0]["trials"] == results[1]["trials"]
    assert [trial["number"] for trial in results[0]["trials"]] == list(range(TRIALS))
    assert {trial["state"] for trial in results[0]["trials"]} <= {"finished", "pruned"}


@pytest.mark.slow
def test_processes_that_begin_at_once_make_the_tables_once(tmp_path, address):
    several = [Process("-c", TABLES, address, tmp_path / f"{number}") for number in range(4)]
    for process in several:
        err = process.communicate(timeout=300)[1]
        assert process.returncode == 0, err


@pytest.mark.slow
def test_a_study_that_was_made_twice_is_found(address):
    """As when a process ended in MySQL after it had made the table and before its index."""
    studies = StudyModel.__table__
    engine = sql.create_engine(address)
    with engine.begin() as connection:
        connection.execute(sql.schema.CreateTable(studies))
        for name in ("shared", "other", "shared"):
            connection.execute(studies.insert().values(study_name=name))
    engine.dispose()
    with pytest.warns(ThenceWarning, match=r"'shared' twice: .* made later is 'shared \(3\)' now"):
        database = open_database(address)
    names = {study.study_name: study._study_id for study in database.get_all_studies()}
    assert names == {"shared": 1, "other": 2, "shared (3)": 3}
    assert database.get_study_id_from_name("shared") == 1
    for opened in (database, open_database(address)):
        with pytest.raises(DuplicatedStudyError):
            opened.create_new_study([StudyDirection.MINIMIZE], "shared")
        opened._backend.engine.dispose()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Exception ignored in. <socket")  # pymysql leaves it open.
def test_a_wrong_password_is_not_repeated(language, tmp_path, address):
    if PASSWORD not in address:
        pytest.skip("it has no password")
    with pytest.raises(RunError, match="cannot be used: ") as caught:
        sweep(language(SHORT), tmp_path / "a", storage=address.replace(PASSWORD, "wr0ng"))
    assert "wr0ng" not in str(caught.value) + str(caught.value.__context__)
    assert "***" in hide_password(address)
    with pytest.raises(SettingError, match="@ is written %40"):
        sweep(language(SHORT), tmp_path / "b", storage=address.replace(PASSWORD, "wr@ng"))


@pytest.mark.slow
def test_the_best_run_is_copied_from_the_other_machine(language, tmp_path):
    recipe, address = language(SHORT), f"sqlite:///{tmp_path / 'study.db'}"
    here, there = tmp_path / "here", tmp_path / "there"
    assert sweep(recipe, there, storage=address, study="one").best_is_here
    done = sweep(recipe, here, storage=address, study="one")
    name = done.best_trial.name
    assert not done.best_is_here
    assert done.test is None
    with pytest.raises(RunError, match=rf"The best run, {name}, is in .*there\. Copy {name} into"):
        _ = done.best
    shutil.copytree(there / name, here / name)
    done = sweep(recipe, here, storage=address, study="one")
    assert done.best_is_here
    assert done.best.recipe.options.hidden_size == done.best_trial.fields["hidden_size"]


@pytest.mark.slow
def test_another_recipe_or_text_is_refused(language, text, tmp_path):
    address = f"sqlite:///{tmp_path / 'study.db'}"
    sweep(language(SHORT), tmp_path / "a", storage=address, study="one")
    other = language(SHORT.replace("[2, 4]", "[2, 5]"), "other.toml")
    with pytest.raises(RunError, match=r"a study 'one' already.*'hidden_size' was .2, 4. and is"):
        sweep(other, tmp_path / "b", storage=address, study="one")
    with pytest.raises(RunError, match="is of the study 'one', not of 'two'"):
        sweep(language(SHORT), tmp_path / "a", storage=address, study="two")
    text.write_text(text.read_text() + "abc\n")
    with pytest.raises(TextError, match="is not the one that the study 'one'"):
        sweep(language(SHORT), tmp_path / "c", storage=address, study="one")


def test_a_study_is_named_only_in_a_database(language, tmp_path):
    with pytest.raises(SettingError, match="give its address with `storage`"):
        sweep(language(SHORT), tmp_path / "a", study="one")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("postgres://me:s3cr3t@host/name", "not of postgres"),
        ("postgresql://me:x@host:s3cr3t/name", "@ is written %40"),
        ("postgresql://me:s3@cr3t@host/name", "@ is written %40"),
        ("nonsense", "the address of a database: sqlite"),
    ],
)
def test_an_address_that_is_none_is_not_repeated(language, tmp_path, address, said):
    with pytest.raises(SettingError) as caught:
        sweep(language(SHORT), tmp_path / "a", storage=address)
    assert said in str(caught.value)
    assert not any(part in str(caught.value) for part in ("s3cr", "cr3t", "s3@"))


def test_a_missing_driver_is_named(language, tmp_path, monkeypatch):
    for name in ("MySQLdb", "psycopg", "psycopg2"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(SettingError, match=r"pip install 'mysqlclient' .or write mysql.pymysql"):
        sweep(language(SHORT), tmp_path / "a", storage="mysql://me:s3cr3t@host/name")
    with pytest.raises(SettingError, match="pip install 'psycopg2-binary'"):
        sweep(language(SHORT), tmp_path / "b", storage="postgresql+psycopg2://me@host/name")


def locks_of(language, folder, address, grace=0.2):
    open_folder(folder, read_sweep_recipe(language(SHORT)), in_database=True)
    locks = DatabaseLocks(address, "one", folder)
    locks.heartbeat_interval, locks.grace_period = 0.02, grace
    return locks


def test_a_lock_without_heartbeats_is_taken_over(language, tmp_path):
    address = f"sqlite:///{tmp_path / 'study.db'}"
    first = locks_of(language, tmp_path / "a", address).lock("trial")
    second = locks_of(language, tmp_path / "b", address).lock("trial")
    assert first.take()
    assert not second.take(wait=False)
    assert first.held()
    time.sleep(0.3)
    assert second.take(wait=False)
    assert not first.held()
    first.release()  # Which frees nothing that is another's.
    assert second.held()


@pytest.mark.slow
def test_a_lock_with_heartbeats_is_left(language, tmp_path, monkeypatch):
    address = f"sqlite:///{tmp_path / 'study.db'}"
    first = locks_of(language, tmp_path / "a", address, 1.0)
    second = locks_of(language, tmp_path / "b", address, 1.0).lock("trial")
    clock = [0.0]
    ours = SimpleNamespace(monotonic=lambda: clock[0], sleep=time.sleep)
    monkeypatch.setattr("thence.sweeps.locks.time", ours)
    lock = first.lock("trial")
    with first.heartbeats():
        assert lock.take()
        for _ in range(5):
            before = first._row("trial")
            assert not second.take(wait=False)
            clock[0] += 10 * first.grace_period
            while first._row("trial") == before:
                time.sleep(0.01)
        lock.release()
    assert second.take(wait=False)


def test_a_lock_of_the_same_folder_is_taken_over_at_once(language, tmp_path):
    address = f"sqlite:///{tmp_path / 'study.db'}"
    first = locks_of(language, tmp_path / "a", address).lock("trial")
    second = locks_of(language, tmp_path / "a", address).lock("trial")
    assert first.take()
    assert not second.take(wait=False)
    first._file.release()  # As when its process is killed.
    assert second.take(wait=False)


@pytest.mark.slow
def test_a_worker_may_begin_while_the_server_is_restarted(
    language, tmp_path, server, server_address
):
    recipe = language(SHORT)
    several = []
    restarting = threading.Thread(target=lambda: [server.restart() for _ in range(2)])
    restarting.start()
    for number in range(3):
        several.append(begin(recipe, tmp_path / f"{number}", server_address))
        time.sleep(0.3)
    restarting.join()
    for process in several:
        err = process.communicate(timeout=300)[1]
        assert process.returncode == 0, err
