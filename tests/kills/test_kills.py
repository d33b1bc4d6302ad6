"""A command that is killed at any change to the file system leaves nothing dead and loses no look.

Each case is a command that writes. It runs once to count its changes; then it is killed before one
of them, drawn by a seed, in a fresh copy of the folder; then what it left must be whole, or the
same command (or ``thence resume``) must bring it to its end. THENCE_TEST_KILLS says how many kills
there are of each.
"""

import gzip
import json
import os
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import product
from pathlib import Path

import pytest

from thence.runs import Run

from ..processes import Process

pytestmark = pytest.mark.slow
KILLS = int(os.environ.get("THENCE_TEST_KILLS", "2"))
SEED = 20
KILLED = -9
SMALL = "--hidden-size=4 --embedding-size=2 --context=2 --batch-size=16 --threads=1 --lr=0.05"
NETWORK = f"{SMALL} --steps=12 --evaluate-every=4 --checkpoint-seconds=0"
SWEEP = """\
text = "text.txt"
model = "mlp"
context = 2
embedding_size = 3
batch_size = 16
steps = 8
evaluate_every = 4
threads = 1
lr = 0.05
[sweep]
trials = 2
sampler = "random"
[sweep.space]
hidden_size = [2, 4]
"""
MIXTURE = """\
text = "text.txt"
threads = 1
[[runs]]
model = "ngram"
order = 2
[[runs]]
model = "mlp"
hidden_size = 4
embedding_size = 2
context = 2
batch_size = 16
lr = 0.05
steps = 8
"""


@dataclass(frozen=True)
class Case:
    """A command, and what must hold of what it makes.

    Attributes:
        command: Its words.
        made: What it makes, below the folder.
        again: What brings a run that is there to its end; None: the run must be whole already.
        same: What must come out as if there had been no kill, byte for byte, below ``made``.
        looks: The runs whose looks at test count.
    """

    command: str
    made: str
    again: str | None = None
    same: tuple[str, ...] = ()
    looks: tuple[str, ...] = ()
    needs: tuple[str, ...] = field(default=())


MODEL = ("model.safetensors",)
CASES = {
    "train a network": Case(
        f"train text.txt {NETWORK} -o new", "new", "resume new --no-report", same=MODEL
    ),
    "train on": Case(
        "train --from network --steps=6 --evaluate-every=3 --no-report -o new",
        "new",
        "resume new --no-report",
        same=MODEL,
        looks=("new",),
    ),
    "resume": Case("resume half", "half", "resume half --no-report", same=MODEL),
    "train n-grams": Case("train text.txt --model ngram -o new", "new", same=MODEL),
    "train a linear classifier": Case(
        "train labels.csv --model linear --label label --threads=1 --no-report -o new", "new"
    ),
    "best": Case("best text.txt --steps 20 --threads 1 -o new", "new"),
    "mix": Case("mix network counts -o new --no-report", "new", same=MODEL),
    "mix a recipe": Case("mix --config mix.toml -o new --no-report", "new", same=MODEL),
    "import": Case("import words.arpa -o new", "new", same=MODEL),
    "prune": Case("prune counts --threshold 0.01 -o new", "new", same=MODEL),
    "prune a file": Case("prune words.arpa --order 1 -o new.arpa", "new.arpa", same=("",)),
    "mix files": Case(
        "mix words.arpa words.arpa --to arpa --lambdas 1 2 -o new.arpa", "new.arpa", same=("",)
    ),
    "export arpa": Case("export counts new.arpa", "new.arpa", same=("",)),
    "export kenlm": Case("export counts new.bin --to kenlm", "new.bin", same=("",)),
    "export fst": Case("export counts new --to fst", "new", same=("fst.txt", "words.txt")),
    "export packed vectors": Case(
        "export network new.vec.gz --to word2vec", "new.vec.gz", same=("",)
    ),
    "export onnx": Case("export network new.onnx", "new.onnx", needs=("onnx", "onnxruntime")),
    "export hugging face": Case(
        "export gru new --to huggingface",
        "new",
        same=("model.safetensors", "tokenizer.json", "config.json"),
        needs=("transformers",),
    ),
    "sweep": Case("sweep sweep.toml -o new", "new", needs=("optuna",), looks=("new/best",)),
    "find-lr": Case(f"find-lr text.txt {SMALL} --rates 20 -o new.svg", "new.svg", same=("",)),
    "evaluate on test": Case("evaluate network --split test", "network", looks=("network",)),
    "evaluate on test for the first time": Case("evaluate gru --split test", "gru", looks=("gru",)),
    "compare on test": Case(
        "compare network counts --split test", "network", looks=("network", "counts")
    ),
    "filter": Case("filter counts text.txt --quantile 0..0.5 -o new.txt", "new.txt", same=("",)),
    "calibrate": Case(
        "score counts --calibrate --calibrate-on text.txt",
        "counts/calibration.safetensors",
        same=("",),
    ),
    "report": Case("report network", "network/report.html"),
    "plot": Case("plot network", "network/pictures/loss.svg"),
    "data get": Case("data get toy --from packed", "home/data/toy/toy.txt", same=("",)),
}


class Killer:
    """The process that runs commands in forks of its own."""

    def __init__(self, text: bytes) -> None:
        program = Path(__file__).with_name("killer.py").read_text("utf-8")
        self.process = Process("-c", program, len(text), sha256(text).hexdigest(), talks=True)

    def run(self, folder: Path, command: str, kill_at: int | None = None) -> tuple[int, int]:
        """Return the exit code and the number of changes."""
        job = {"arguments": command.split(), "folder": str(folder), "kill_at": kill_at}
        self.process.stdin.write(json.dumps({**job, "seed": SEED + (kill_at or 0)}) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        return answer["code"], answer["changes"]

    def must(self, folder: Path, command: str) -> int:
        """Run a command that must succeed; return the number of its changes."""
        code, changes = self.run(folder, command)
        assert code == 0, (command, said(folder))
        return changes


def said(folder: Path) -> str:
    return folder.with_suffix(".said").read_text(errors="replace")


@pytest.fixture(scope="module")
def killer() -> Iterator[Killer]:
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("names of open files are read from /proc")
    made = Killer(TEXT)
    yield made
    made.process.stdin.close()
    made.process.communicate(timeout=60)


TEXT = "".join(f"{a}{b}{c}\n" for a, b, c in product("abcde", "xyz", "abcdexy")).encode()


@pytest.fixture(scope="module")
def prepared(killer: Killer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a text, a table and runs, of which every kill gets a copy."""
    folder = tmp_path_factory.mktemp("kills") / "prepared"
    folder.mkdir()
    (folder / "text.txt").write_bytes(TEXT)
    rows = [
        f"{a}{b} {c},{'left' if a < 'c' else 'right'}" for a, b, c in product("abcde", "xyz", "abc")
    ]
    (folder / "labels.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    (folder / "sweep.toml").write_text(SWEEP)
    (folder / "mix.toml").write_text(MIXTURE)
    (folder / "packed").mkdir()
    (folder / "packed" / "toy.txt.gz").write_bytes(gzip.compress(TEXT))
    for name, settings in (
        ("network", NETWORK),
        ("counts", "--model ngram --order 2 --no-report"),
        ("half", NETWORK.replace("--steps=12", "--steps=40")),
        ("gru", "--model gru --hidden-size 4 --embedding-size 3 --steps 2 --threads 1 --lr 0.1"),
    ):
        flag = "" if "--no-report" in settings else " --no-report"
        command = f"train text.txt {settings}{flag} -o {name}"
        if name == "half":
            changes = killer.must(folder, command)
            shutil.rmtree(folder / name)
            assert killer.run(folder, command, changes // 2)[0] == KILLED
        else:
            killer.must(folder, command)
    killer.must(folder, "export counts words.arpa")
    for run in ("network", "counts"):
        killer.must(folder, f"evaluate {run} --split test")
    return folder


def looks(folder: Path, runs: tuple[str, ...]) -> list[int]:
    return [len(Run(folder / run).test_looks()) if (folder / run).exists() else 0 for run in runs]


def contents(folder: Path, case: Case) -> dict[str, bytes]:
    return {name: (folder / case.made / name).read_bytes() for name in case.same}


@pytest.mark.parametrize("name", CASES)
def test_a_kill_leaves_nothing_dead(
    name: str, killer: Killer, prepared: Path, tmp_path: Path
) -> None:
    case = CASES[name]
    for module in case.needs:
        pytest.importorskip(module)
    whole = tmp_path / "whole"
    shutil.copytree(prepared, whole)
    changes = killer.must(whole, case.command)
    expected, end = contents(whole, case), looks(whole, case.looks)
    chance = random.Random(f"{SEED} {name}")
    moments = sorted(chance.sample(range(1, changes + 1), min(KILLS, changes)))
    for moment in moments:
        where = f"{name}, killed before change {moment} of {changes}"
        folder = tmp_path / f"kill-{moment}"
        shutil.copytree(prepared, folder)
        before = looks(folder, case.looks)
        code, _ = killer.run(folder, case.command, moment)
        assert code == KILLED, (where, said(folder))
        after = looks(folder, case.looks)
        assert all(a <= b for a, b in zip(before, after, strict=True)), where
        go_on(killer, folder, case, where, with_report=moment == moments[0])
        assert contents(folder, case) == expected, where
        if case.looks:
            assert all(a >= b for a, b in zip(looks(folder, case.looks), end, strict=True)), where
        left = [path for path in folder.rglob(".*") if "home" not in path.parts]
        assert left == [], (where, left)
        shutil.rmtree(folder)
    print(f"{name}: {len(moments)} kills at {changes} changes")


def go_on(killer: Killer, folder: Path, case: Case, where: str, with_report: bool) -> None:
    """Bring what was killed to its end: by the same command, or as a run is gone on with.

    A run must be read then, and reported on if asked, which takes longer than most commands.
    """
    makes_run = case.made == "new" and case.command.split()[0] not in ("export", "sweep")
    if makes_run and (folder / "new").exists():
        if case.again is not None:
            killer.must(folder, case.again)
        assert Run(folder / "new").finished or case.command.startswith("import"), where
        Run(folder / "new").load()
        if with_report or list(
            (folder / "new").rglob(".*")
        ):  # What is left of a page goes with it.
            killer.must(folder, "report new")
        return
    is_file = case.made.startswith("new.") or case.command.split()[0] == "export"
    if is_file and (folder / case.made).exists():
        if case.command.startswith("filter"):  # Refused, but the journal that was left goes.
            assert killer.run(folder, case.command)[0] == 2, where
        return  # Whole, if it is there: its content is compared.
    killer.must(folder, case.command)
    made = folder / case.made
    if (made / "config.toml").exists() and list(made.rglob(".*")):
        killer.must(folder, f"report {case.made}")  # Of a page that was being written at the end.
