import os
import subprocess
import sys
from importlib.metadata import version

import pytest

from thence.cli.commands import COMMAND_GROUPS, COMMANDS
from thence.errors import ThenceError

pytestmark = pytest.mark.usefixtures("folder")


def test_help_lists_every_command_in_the_order_of_the_table(thence):
    outcome = thence("--help")
    assert (outcome.code, outcome.err) == (0, "")
    places = [outcome.out.index(f"│ {name.split()[0]} ") for name in COMMANDS]
    assert places == sorted(places)
    assert thence().out == outcome.out


def test_version(thence):
    assert thence("--version").out == f"{version('thence')}\n"


@pytest.mark.parametrize("name", [*COMMANDS, *COMMAND_GROUPS])
def test_every_command_has_help(thence, name):
    outcome = thence(*name.split(), "--help")
    assert (outcome.code, outcome.err) == (0, "")
    assert f"Usage: thence {name}" in outcome.out
    assert thence(*name.split(), "-h").out == outcome.out


@pytest.mark.parametrize(
    ("command", "flags"),
    [
        ("resume", "--logs --report --no-report --json"),
        ("evaluate", "--split --json"),
        ("compare", "--text --split --json"),
        ("score", "--tokens --document --column --encoding --errors --keep-empty"),
        ("next", "--count -n --json"),
        (
            "complete",
            "--count -n --beam --length-penalty --temperature --top-k --top-p --seed --max-length "
            "--json",
        ),
        ("fill", "--count -n --longest --blank --open --beam --json"),
        (
            "sample",
            "--count -n --prefix --temperature --top-k --top-p --greedy --max-length --bad-words "
            "--seed --json",
        ),
        ("report", "--output -o"),
        ("plot", "--output"),
        ("data list", "--json"),
        ("data get", "--from"),
    ],
)
def test_help_explains_every_flag(thence, command, flags):
    text = thence(*command.split(), "--help").out
    assert [flag for flag in flags.split() if f" {flag} " not in text] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("trian", 'Unknown command "trian". Did you mean "train"?'),
        ("evaluate", "RUN is missing. (see: thence evaluate --help)"),
        ("data get", "NAME is missing. (see: thence data get --help)"),
        ("evaluate run --splt dev", "Unknown option: --splt. Did you mean --split?"),
        ("evaluate run --split dve", 'Invalid value "dve" for --split.'),
        ("evaluate run --split", "--split needs a value after it"),
        ("import model.arpa", "--output is missing"),
        ("evaluate run a b", "Too many arguments: b is left over."),
        ("best names --model mlp", "thence best has no --model: it chooses models and"),
        ("fill run", "TEXT is missing. (see: thence fill --help)"),
        ("next run -n x", "-n is x; it must be a whole number."),
        ("sample run -n 2.5", "-n is 2.5; it must be a whole number."),
        ("sample run --top-k 1.0", "--top-k is 1.0; it must be a whole number."),
        ("sample run --top-p much", "--top-p is much; it must be a number."),
        ("sample run --seed 1 --seed 2", "--seed is given more than once."),
        ("train text --lr fast", "--lr is fast; it must be a number or auto."),
        (
            "evaluate run --text other.txt",
            "Unknown option: --text. TEXT is written without it: thence evaluate RUN TEXT.",
        ),
        ("train text --lrr 1", "Unknown option: --lrr. Did you mean --lr?"),
        ("train text --nfc=maybe", "--nfc is maybe; it must be true or false."),
        ("train text --add-k 1", "Unknown option: --add-k."),
        (
            "train text --order 3",
            "Unknown option: --order. It is for the models ngram, class-ngram, cache, and the "
            "model here is mlp; name one with --model.",
        ),
        (
            "find-lr text --order 3",
            "Unknown option: --order. It is for the models ngram, class-ngram, cache",
        ),
        ("train text --learning-rate 1", "Unknown option: --learning-rate. Did you mean --lr?"),
        (
            "train text --n 3",
            "Unknown option: --n. --order is for the models ngram, class-ngram, cache",
        ),
        ("train text --model mpl", "There is no model 'mpl'; choose one of "),
        ("generate run", 'Unknown command "generate". Here it is: thence sample RUN'),
        ("train", "There is no text to train on: name a file"),
        ("find-lr", "There is no text to train on: name a file"),
        ("compare one", "There is no run one."),
    ],
)
def test_a_wrong_argument_is_one_line_and_code_2(thence, folder, arguments, message):
    outcome = thence(*arguments.split())
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(f"thence: {message}")
    assert outcome.err.count("\n") == 1 and outcome.err.endswith("\n")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("LSTM", "Did you mean 'lstm'?"),
        ("gpt", "Here it is transformer."),
        ("Trigram", "--order 3"),
    ],
)
def test_models_go_by_other_names(thence, name, hint):
    assert hint in thence("train", "text", "--model", name).err


def test_an_error_of_several_lines_becomes_one(thence, monkeypatch):
    def fail(*arguments: object) -> None:
        raise ThenceError("one\n  two")

    monkeypatch.setattr("thence.cli.main._run", fail)
    assert thence("train").err == "thence: one two\n"


def test_a_bug_keeps_its_traceback(thence, monkeypatch):
    def fail(*arguments: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("thence.cli.main._run", fail)
    with pytest.raises(ZeroDivisionError):
        thence("train")


def test_ctrl_c_anywhere_is_code_130(thence, monkeypatch):
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("thence.cli.main._run", interrupt)
    outcome = thence("train")
    assert (outcome.code, outcome.err) == (130, "thence: Interrupted.\n")


def test_help_loads_only_what_it_needs():
    # How long it takes then is for benchmarks/start_up.py, since machines differ.
    script = (
        "import sys\n"
        "from thence.cli.main import main\n"
        "main(['--help'])\n"
        "sys.stderr.write(' '.join(sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    modules = done.stderr.split()
    ours = {"thence", "cyclopts", "attr", "attrs", "rich", "docstring_parser"}
    found = {name.partition(".")[0] for name in modules} - sys.stdlib_module_names
    # Setuptools' hook and some interpreters' own modules begin with an underscore.
    assert {name for name in found if not name.startswith("_")} <= ours
    assert len(modules) < 400  # 291 with Python 3.11, a third of them of the standard library.


def test_python_m_thence():
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    done = subprocess.run(
        [sys.executable, "-m", "thence", "--version"],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{version('thence')}\n", "")


def test_nothing_is_collected_when_python_ends():
    program = (
        "import atexit, gc, sys\n"
        "atexit.register(lambda: print('frozen', gc.get_freeze_count() > 0))\n"
        "from thence.cli.main import main\n"
        "main(['--version'])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.split("\n")[-2] == "frozen True", done.stderr
