"""Recipes of tiny sweeps, and databases for them: a server in its own folder, if there is one."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import count, product
from pathlib import Path

import pytest

pytest.importorskip("optuna")

LANGUAGE = """\
text = {text}
model = "mlp"
context = 2
embedding_size = 3
hidden_size = 8
batch_size = 16
steps = 20
"""
LABELS = """\
text = {text}
model = "averaging"
label = "label"
buckets = 256
embedding_size = 4
split = "60/20/20"
threads = 1
epochs = 4
batch_size = 4
"""


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("\n".join(map("".join, product("abcde", "xyz", "abcdexy"))) + "\n")
    return path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "text.csv"
    rows = ["a good film,pos", "a bad film,neg", "good and long,pos", "bad and long,neg"] * 10
    path.write_text("\n".join(["text,label", *rows]) + "\n")
    return path


@pytest.fixture
def language(tmp_path: Path, text: Path) -> Callable[[str], Path]:
    """Write the recipe of a sweep over a tiny language model; given is what follows [sweep]."""
    return _writer(tmp_path, LANGUAGE, text)


@pytest.fixture
def labels(tmp_path: Path, table: Path) -> Callable[[str], Path]:
    """Write the recipe of a sweep over a tiny classifier; given is what follows [sweep]."""
    return _writer(tmp_path, LABELS, table)


def _writer(tmp_path: Path, settings: str, text: Path) -> Callable[[str], Path]:
    def write(sweep: str, name: str = "recipe.toml", more: str = "") -> Path:
        path = tmp_path / name
        head = settings.format(text=f"'{text}'")
        path.write_text(f"{head}{more}\n[sweep]\n{sweep}\n", encoding="utf-8")
        return path

    return write


PASSWORD = "s3cr3t"
NUMBERS = count()
"""For the names of databases."""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@contextmanager
def home_of(user: str) -> Iterator[tuple[Path, dict[str, str]]]:
    """Make a folder for a server, and say as whom it runs: servers refuse to run as root."""
    folder = Path(tempfile.mkdtemp(prefix="thence-server-"))
    as_user = {}
    if os.geteuid() == 0:
        try:
            shutil.chown(folder, user)
        except LookupError:
            pytest.skip(f"there is no user {user}")
        as_user = {"user": user}
    try:
        yield folder, as_user
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class Server:
    """A database server, shared by the tests of a worker.

    Attributes:
        new_database: Makes an empty database of this name and returns its address.
        restart: Ends the server, with all connections, and starts it again.
    """

    new_database: Callable[[str], str]
    restart: Callable[[], None]


@contextmanager
def postgresql() -> Iterator[Server]:
    """Run PostgreSQL."""
    psycopg = pytest.importorskip("psycopg")
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    tool = shutil.which("pg_ctl") or (str(found[-1]) if found else None)
    if tool is None:
        pytest.skip("there is no PostgreSQL here")
    port = free_port()
    with home_of("postgres") as (home, user):
        (home / "password").write_text(PASSWORD)
        make = f"-A scram-sha-256 -U thence --no-sync --pwfile={home}/password"
        run = [tool, "-D", str(home / "data")]
        listen = f"-p {port} -k {home} -c listen_addresses=127.0.0.1 -c fsync=off"
        log = ["-l", str(home / "log")]

        def control(*words: str) -> None:
            subprocess.run([*run, *log, "-s", "-w", *words], check=True, **user)

        place = f"thence:{PASSWORD}@127.0.0.1:{port}"

        def new_database(name: str) -> str:
            connection = psycopg.connect(f"postgresql://{place}/postgres", autocommit=True)
            with connection:
                connection.execute(f"create database {name}")
            return f"postgresql+psycopg://{place}/{name}"

        subprocess.run([*run, "-s", "-o", make, "initdb"], check=True, capture_output=True, **user)
        control("-o", listen, "start")
        try:
            yield Server(new_database, lambda: control("-o", listen, "-m", "fast", "restart"))
        finally:
            subprocess.run([*run, "-s", "-m", "immediate", "stop"], check=False, **user)


@contextmanager
def mysql() -> Iterator[Server]:
    """Run MariaDB."""
    pymysql = pytest.importorskip("pymysql")
    server, make = (
        shutil.which("mariadbd", path=f"{os.environ['PATH']}:/usr/sbin"),
        "mariadb-install-db",
    )
    if server is None or shutil.which(make) is None:
        pytest.skip("there is no MariaDB here")
    port = free_port()
    with home_of("mysql") as (home, user), ExitStack() as stack:
        # Temporary tables of servers that share a folder for them remove each other.
        data = ["--no-defaults", f"--datadir={home / 'data'}", f"--tmpdir={home}"]
        normal = ["--auth-root-authentication-method=normal", "--skip-test-db"]
        subprocess.run([make, *data, *normal], check=True, capture_output=True, **user)
        listen = [f"--port={port}", f"--socket={home / 'socket'}", "--bind-address=127.0.0.1"]
        log = stack.enter_context((home / "log").open("wb"))
        process = subprocess.Popen([server, *data, *listen], stderr=log, **user)

        def execute(*commands: str) -> None:
            connection = _reached(pymysql, home / "socket")
            with connection.cursor() as cursor:
                for command in commands:
                    cursor.execute(command)
            connection.close()

        def new_database(name: str) -> str:
            execute(f"create database {name}")
            return f"mysql+pymysql://thence:{PASSWORD}@127.0.0.1:{port}/{name}"

        def restart() -> None:
            nonlocal process
            process.terminate()
            process.wait()
            process = subprocess.Popen([server, *data, *listen], stderr=log, **user)
            _reached(pymysql, home / "socket").close()

        try:
            for host in ("127.0.0.1", "localhost"):
                execute(
                    f"create user thence@{host} identified by '{PASSWORD}'",
                    f"grant all on *.* to thence@{host}",
                )
            yield Server(new_database, restart)
        finally:
            process.terminate()
            process.wait()


SERVERS = {"postgresql": postgresql, "mysql": mysql}


def _reached(pymysql, path):
    until = time.monotonic() + 60
    while True:
        try:
            with socket.socket(socket.AF_UNIX) as probe:  # pymysql leaves its own open.
                probe.connect(str(path))
            return pymysql.connect(unix_socket=str(path), user="root")
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


@pytest.fixture(scope="session")
def started() -> Iterator[Callable[[str], Server]]:
    """Yield a function that returns a server by name: started once, ended with the session."""
    with ExitStack() as stack:
        yield cache(lambda name: stack.enter_context(SERVERS[name]()))


@pytest.fixture(params=SERVERS)
def server(request, started):
    """Return a database server."""
    return started(request.param)


@pytest.fixture(params=["sqlite", *SERVERS])
def address(request, started, tmp_path):
    """Return the address of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'study.db'}"
    return started(request.param).new_database(f"study_{next(NUMBERS)}")


@pytest.fixture
def server_address(server):
    """Return the address of an empty database of ``server``."""
    return server.new_database(f"study_{next(NUMBERS)}")
