"""Everything a person can get wrong: one sentence, code 2, and not a file touched.

Each line of ``CASES`` is a command in a folder of broken things and what the sentence must say:
the value that is wrong, and the way out.
"""

import random
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import pytest
import torch

from thence.training import train

from .conftest import LINES, SMALL, Trained

TRAIN = " ".join(f"--{name.replace('_', '-')}={value}" for name, value in SMALL.items())

CASES = {
    # Texts.
    "empty file": ("train empty.txt", r"empty\.txt holds no text: it is empty"),
    "blank lines": ("train blank.txt", r"blank\.txt holds no text: .* all its lines"),
    "one token": ("train one.txt", r"single document.*--by position.*one document per line"),
    "one token cut": ("train one.txt --by position", r"one.*too short|more text|100/0/0"),
    "one line of a megabyte": ("train long.txt", r"single document.*Use --by position"),
    "one repeated line": ("train same.txt", r"All \d+ .* same\.txt are the same.*different lines"),
    "context too long": (
        "train text.txt --context 9",
        r"--context is 9.*longest document has 4 tokens.*--context 4 at most, or --carry-context",
    ),
    "no text in the folder": ("train nothing", r"folder nothing holds no text files.*\.txt"),
    "missing file": ("train test.txt", r"'test\.txt' is neither .*Did you mean 'text\.txt'\?"),
    "missing file below a folder": ("train no/text.txt", r"'no/text\.txt' is neither a file nor"),
    "misspelt bundled text": ("train givennames", r"Did you mean 'given-names'\?"),
    "binary file": ("train nul.txt", r"nul\.txt, line 2: byte 0x00 .*--errors replace"),
    "not UTF-8": ("train latin.txt", r"latin\.txt, line 2: byte 0xeb .* --encoding latin-1"),
    "no such encoding": ("train text.txt --encoding utf-9", r"'utf-9'.*Did you mean 'utf-8'"),
    "csv without the column": (
        "train table.csv --column nme",
        r"no column 'nme'; it has 'id', 'name'\. Did you mean 'name'\?",
    ),
    "csv of two columns": ("train table.csv", r"'id', 'name'.*Name it with --column"),
    "column of plain text": ("train text.txt --column name", r"column 'name' does not fit text"),
    "empty standard input": ("train -", r"standard.input holds no text: it is empty"),
    "unknown symbol in dev": (
        "train text.txt --unknown refuse --dev q.txt",
        r"'q' \(symbol 2 of document 1\) .* closed vocabulary of 8 symbols.*--unknown symbol",
    ),
    "unknown symbol in next": ("next closed aq", r"'q' .* closed vocabulary.*--unknown symbol"),
    "unknown symbol in sample": ("sample closed --prefix q", r"'q' .* closed vocabulary"),
    "unknown symbol in complete": ("complete closed aq", r"'q' .* closed vocabulary"),
    "unknown symbol in fill": ("fill closed a___q", r"'q' .* closed vocabulary"),
    "unknown symbol in score": ("score closed q.txt", r"'q' .* closed vocabulary"),
    "unknown symbol in evaluate": ("evaluate closed q.txt", r"'q' .* closed vocabulary"),
    "missing text for score": ("score run none.txt", r"none\.txt does not exist"),
    "missing text for compare": ("compare run closed --text none.txt", r"'none\.txt' is neither"),
    "nothing to judge": ("evaluate closed --split test", r"test split of closed is empty.*name a"),
    "other splits": ("compare run closed", r"different dev splits.*name one text.*--text"),
    # Runs.
    "truncated weights": ("sample truncated", r"truncated/model\.safetensors is damaged.*again"),
    "flipped bit": ("evaluate flipped", r"flipped/model\.safetensors is damaged.*checksum.*again"),
    "missing tokenizer": ("next untokenized", r"untokenized/tokenizer\.json cannot.*train again"),
    "changed tokenizer": ("next retokenized", r"retokenized/tokenizer\.json is not the tokenizer"),
    "missing weights": ("next unweighted", r"unweighted/model\.safetensors is missing"),
    "changed config": ("report reconfigured", r"reconfigured/config\.toml was changed"),
    "no run": ("plot nothing", r"nothing is not a run folder: it has no config\.toml"),
    "a file for a run": ("resume text.txt", r"text\.txt is not a run folder"),
    "misspelt run": ("sample rum", r"There is no run rum\. Did you mean 'run'\?"),
    "one run to compare": ("compare run", r"at least two runs"),
    "text gone": ("evaluate homeless", r"is no longer there; restore it"),
    # Where results go.
    "output below a file": (
        f"train text.txt {TRAIN} -o text.txt/run",
        r"Cannot write text\.txt/run",
    ),
    "output exists": (f"train text.txt {TRAIN} -o run", r"run exists already.*another --output"),
    "output is a file": (f"train text.txt {TRAIN} -o q.txt", r"q\.txt exists already"),
    "report below a file": (
        "report run --output text.txt/r.html",
        r"Cannot write text\.txt/r\.html",
    ),
    "report in place of a folder": ("report run --output nothing", r"Cannot write nothing"),
    "pictures below a file": ("plot run --output text.txt", r"Cannot write text\.txt/"),
    # Settings.
    "negative rate": ("train text.txt --lr -1", r"--lr is -1\.0; it must be a number above 0"),
    "no rate": ("train text.txt --lr nan", r"--lr is nan; it must be a number above 0"),
    "full dropout": ("train text.txt --dropout 1", r"--dropout is 1\.0; it must be .*below 1"),
    "split above 100": ("train text.txt --split 50/50/50", r"'50/50/50'.*add up to 100"),
    "no split": ("train text.txt --split half", r"--split is 'half', not three percentages"),
    "no such device": ("train text.txt --device cuda", r"--device is cuda.*use --device auto"),
    "no patience": ("train text.txt --patience 0", r"--patience is 0; it must be .* at least 1"),
    "no epochs": ("train text.txt --epochs 0", r"--epochs is 0\.0; it must be a number above 0"),
    "huge hidden layer": (
        "train text.txt --hidden-size 1000000000000",
        r"Training the \d[\d,]+ numbers of this model \(mlp\) would take .* GB of memory, and this "
        r"machine has .* GB\. Use smaller sizes",
    ),
    "huge embeddings": (
        "train text.txt --embedding-size 1000000000000 --threads 1 --precision float32",
        r"Training the .* would take .* GB of memory",
    ),
    "huge network of squares": (
        "train text.txt --model lstm --hidden-size 10000000000000",
        r"The model 'lstm' would be larger than can be counted\. Use smaller sizes",
    ),
    "huge classifier": (
        "train text.csv --label label --embedding-size 1048576 --hidden-sizes 1099511627776",
        r"Training the .* \(averaging\) would take .* GB of memory",
    ),
    "huge sweep": ("find-lr text.txt --hidden-size 1000000000000", r"would take .* GB of memory"),
    "endless layers": ("train text.txt --layers 1000000000", r"--layers is .* from 0 to 1,000"),
    "endless threads": ("train text.txt --threads 1000000", r"--threads is .* from 1 to 1,024"),
    "endless order": (
        "train text.txt --model ngram --order 101",
        r"--order is 101; .* from 1 to 100: longer",
    ),
    "no context": (
        "train text.txt --context 0",
        r"--context is 0; it must be a whole number of at least 1",
    ),
    "negative seed": (
        "train text.txt --seed -1",
        r"--seed is -1; it must be a whole number from 0 to 2\^63 - 1",
    ),
    "negative k": ("train text.txt --model bigram-counts --add-k -1", r"--add-k is -1\.0; it must"),
    "part of a step": ("train text.txt --steps 1.5", r"--steps is 1\.5; it must be a whole number"),
    "no temperature": ("sample run --temperature 0", r"--temperature is 0\.0; .*--greedy"),
    "top-p above 1": ("sample run --top-p 2", r"--top-p is 2\.0; it must be .* at most 1"),
    "no top-k": ("sample run --top-k 0", r"--top-k is 0; it must be a whole number of at least 1"),
    "no samples": ("sample run -n 0", r"--count is 0; it must be a whole number of at least 1"),
    "no completions": (
        "complete run a -n 0",
        r"--count is 0; it must be a whole number of at least 1",
    ),
    "no beam": ("complete run a --beam 0", r"--beam is 0; it must be a whole number from 1 to 10"),
    "negative penalty": ("complete run a --length-penalty -1", r"--length-penalty is -1\.0; it"),
    "search and draw": ("complete run a --beam 2 --seed 1", r"--beam and .* only one kind"),
    "no fillings": ("fill run a___ -n 0", r"--count is 0; it must be a whole number of at least 1"),
    "empty fillings": (
        "fill run a___ --longest 0",
        r"--longest is 0; it must be a whole number from 1 to 100",
    ),
    "no blank": ("fill run axa", r"no blank in 'axa': write ___ where .*--blank"),
    "another blank": ("fill run a___ --blank ?", r"no blank in 'a___': write \? where"),
    "empty blank": ("fill run a___ --blank=", r"--blank is empty; .* such as ___"),
    "no next tokens": ("next run -n 0", r"is 0; it must be a whole number of at least 1"),
}


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory, trained: Trained) -> Path:
    """A folder of texts, runs, and everything that can be wrong with them."""
    folder = tmp_path_factory.mktemp("broken")
    drawn = "".join(random.Random(0).choices("abcdefgh ", k=1_000_000))
    texts = {
        "text.txt": "\n".join(LINES).encode(),
        "empty.txt": b"",
        "blank.txt": b"\n\r\n\n",
        "one.txt": b"a",
        "long.txt": drawn.encode(),
        "same.txt": b"abc\n" * 50,
        "nul.txt": b"abc\nd\0e\n",
        "latin.txt": "zoe\nzoë\n".encode("latin-1"),
        "text.csv": b"text,label\n" + b"a b,x\nb c,y\nc,x\n" * 20,
        "table.csv": b"id,name\n1,anna\n2,bert\n",
        "q.txt": b"aqa\n",
    }
    for name, content in texts.items():
        (folder / name).write_bytes(content)
    (folder / "nothing").mkdir()
    (folder / "nothing" / "picture.png").write_bytes(b"\x89PNG")
    for name in ("run", "truncated", "flipped", "untokenized", "retokenized", "unweighted"):
        shutil.copytree(trained.mlp, folder / name)
    shutil.copytree(trained.mlp, folder / "reconfigured")
    weights = (trained.mlp / "model.safetensors").read_bytes()
    (folder / "truncated" / "model.safetensors").write_bytes(weights[:-40])
    flipped = weights[:-40] + bytes([weights[-40] ^ 1]) + weights[-39:]
    (folder / "flipped" / "model.safetensors").write_bytes(flipped)
    (folder / "untokenized" / "tokenizer.json").unlink()
    tokenizer = folder / "retokenized" / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text().replace('"x"', '"X"'))
    (folder / "unweighted" / "model.safetensors").unlink()
    config = folder / "reconfigured" / "config.toml"
    config.write_text(config.read_text().replace("hidden_size = 8", "hidden_size = 9"))

    shutil.copy(folder / "text.txt", folder / "gone.txt")
    train(folder / "gone.txt", "bigram-counts", output=folder / "homeless")
    (folder / "gone.txt").unlink()
    closed = {"unknown": "refuse", "split": "90/10/0"}
    train(folder / "text.txt", "bigram-counts", output=folder / "closed", **closed)
    return folder


def contents(folder: Path) -> dict[str, str]:
    """Return a checksum of every file below a folder, and of every folder's name."""
    return {
        str(path): sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture(scope="module")
def untouched(broken: Path) -> dict[str, str]:
    return contents(broken)


@pytest.mark.slow
@pytest.mark.parametrize(("command", "sentence"), CASES.values(), ids=CASES)
def test_bad_input(thence, broken, untouched, home, monkeypatch, command, sentence):
    monkeypatch.chdir(broken)
    monkeypatch.delenv("THENCE_DATA", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    outcome = thence(*command.split())
    assert outcome.code == 2
    assert outcome.out == ""
    assert outcome.err.startswith("thence: ")
    assert outcome.err.endswith("\n") and outcome.err.count("\n") == 1
    assert "Traceback" not in outcome.err and "Errno" not in outcome.err
    assert re.search(sentence, outcome.err), outcome.err
    assert (contents(broken), contents(home)) == (untouched, {})


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size: the kernel's own kind of full disk."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    writes_bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # Nor half of it.
    try:
        yield
    finally:
        sys.dont_write_bytecode = writes_bytecode
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        f"train text.txt {TRAIN} -o new",
        "train text.txt --model bigram-counts -o below/new",
        "report run",
        "plot run --output pictures",
    ],
)
def test_a_full_disk_leaves_what_was_there(thence, folder, trained, command):
    shutil.copy(trained.text, "text.txt")
    shutil.copytree(trained.mlp, "run")
    before = {path: sum_ for path, sum_ in contents(folder).items() if sum_ != "folder"}
    with file_size_limit(20):
        outcome = thence(*command.split())
    assert (outcome.code, outcome.out) == (2, "")
    assert re.fullmatch(r"thence: Cannot write \S+: File too large\. Free some .*\n", outcome.err)
    after = {path: sum_ for path, sum_ in contents(folder).items() if sum_ != "folder"}
    assert after == before


def test_a_disk_that_fills_up_during_training_can_be_freed(thence, folder, trained, small):
    shutil.copy(trained.text, "text.txt")
    with file_size_limit(3000):  # Enough for the config, too little for the weights.
        outcome = thence("train", "text.txt", *small, "-o", "run")
    assert outcome.code == 2
    assert outcome.err.splitlines()[-1].startswith("thence: Cannot write run/")
    assert not list(Path("run").rglob(".*"))
    whole = thence("train", "text.txt", *small, "-o", "whole", "--json").json()
    resumed = thence("resume", "run", "--no-report", "--json").json()
    assert resumed["dev"] | {"run": ""} == whole["dev"] | {"run": ""}


def test_a_look_at_test_that_cannot_be_recorded_is_not_shown(thence, folder, trained):
    shutil.copytree(trained.mlp, "run")
    with file_size_limit(20):
        outcome = thence("evaluate", "run", "--split", "test")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("thence: Cannot write run/test-looks.jsonl: File too large.")
    assert thence("evaluate", "run", "--split", "test", "--json").json()["test_looks"] == 1
