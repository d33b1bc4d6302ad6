"""To add a thing to thence takes two files at most, besides its test: here one of each is added.

All are added to one copy of the source, which one process then tries.
"""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

import thence

SOURCE = Path(thence.__file__).parent


@dataclass(frozen=True)
class Addition:
    """What is added, and how it is tried.

    Attributes:
        check: A program that fails if it is not there; the text ``text`` and the run ``run`` are.
        new: New files below ``thence``, with their content.
        edits: For files that are there, pieces of them and what takes their place.
    """

    check: str
    new: dict[str, str] = field(default_factory=dict)
    edits: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    def apply(self, source: Path) -> None:
        """Add it to a copy of the source."""
        for name, content in self.new.items():
            assert not (source / name).exists()
            (source / name).write_text(content, encoding="utf-8")
        for name, pieces in self.edits.items():
            content = (source / name).read_text(encoding="utf-8")
            for old, replacement in pieces:
                assert content.count(old) == 1, f"{name}: {old}"
                content = content.replace(old, replacement)
            (source / name).write_text(content, encoding="utf-8")


MODEL = Addition(
    new={
        "models/language/uniform.py": '''
from dataclasses import dataclass
import numpy as np

@dataclass(frozen=True)
class UniformOptions:
    """Settings."""
    flatness: float = 1.0
    """None matters."""

class Uniform:
    def __init__(self, options, size):
        self.vocabulary_size = size
    def fit(self, store, carry_context=False, dev=None):
        pass
    def start(self, batch_size):
        return None
    def step(self, ids, state):
        return np.full((len(ids), self.vocabulary_size), -np.log(self.vocabulary_size)), None
    def score(self, store, carry_context=False):
        return np.full(len(store.targets), -np.log(self.vocabulary_size))
    def tensors(self):
        return {"nothing": np.zeros(1)}
    def load_tensors(self, tensors):
        pass
    def num_parameters(self):
        return 0
'''
    },
    edits={
        "models/families.py": [
            (
                "add_built_in([\n",
                'add_built_in([\n    _language("uniform", "fit", '
                '"language.uniform:UniformOptions", "language.uniform:Uniform", "all alike"),\n',
            )
        ]
    },
    check="""
run = thence.train(text, "uniform", output="uniform", flatness=2.0)
assert abs(thence.evaluate("uniform").nats_per_token - np.log(len(run.tokenizer.vocabulary))) < 1e-9
main(["train", text, "--model", "uniform", "--flatness", "3", "-o", "by-command"])
assert thence.mix(["run", "uniform"], "mixed").evaluate().nats_per_token < 2
""",
)
TOKENIZER = Addition(
    new={
        "tokens/code_points.py": '''
import numpy as np
from thence.tokens.characters import strings
from thence.tokens.vocabulary import Vocabulary

class CodePoints:
    """Each character as the number that Unicode gives it."""
    definition = None
    vocabulary = Vocabulary(tuple(f"U+{number}" for number in range(128)), "refuse")
    def encode_chunk(self, chunk):
        texts = strings(chunk)
        return np.array([ord(x) for text in texts for x in text]), np.array(list(map(len, texts)))
    def decode(self, ids):
        return "".join(chr(number) for number in ids if number < 128)
'''
    },
    edits={
        "tokens/options.py": [
            (
                '        "subwords": TokenizerFamily(',
                '        "code-points": TokenizerFamily("code-points", lambda *_: code_points(), '
                'lambda _: code_points()),\n        "subwords": TokenizerFamily(',
            ),
            (
                "_SUBWORDS =",
                "def code_points():\n    from thence.tokens.code_points import CodePoints\n\n"
                "    return CodePoints()\n\n\n_SUBWORDS =",
            ),
        ]
    },
    check="""
run = thence.train(text, "bigram-counts", tokens="code-points", output="code-points")
assert thence.Run("code-points").tokenizer.encode(["ab"]).ids.tolist() == [128, 97, 98, 128]
""",
)
METRIC = Addition(
    edits={
        "evaluation/metrics.py": [
            (
                "def finite(",
                "def surprise_of_twenty(nats_per_token):\n"
                "    return 20 * bits(nats_per_token)\n\n\ndef finite(",
            )
        ],
        "evaluation/language.py": [
            (
                "@dataclass(frozen=True)\nclass LikelihoodReport",
                "from thence.evaluation.metrics import surprise_of_twenty\n\n\n"
                "@dataclass(frozen=True)\nclass LikelihoodReport",
            ),
            (
                "        if not math.isnan(self.interval[0]):\n",
                '        rows.append(("bits of twenty", f"{self.bits_of_twenty:.2f}"))\n'
                "        if not math.isnan(self.interval[0]):\n",
            ),
            (
                "    @property\n    def covers(",
                "    @property\n    def bits_of_twenty(self):\n"
                "        return surprise_of_twenty(self.nats_per_token)\n\n"
                "    @property\n    def covers(",
            ),
            ('"bits_per_byte",', '"bits_of_twenty", "bits_per_byte",'),
        ],
    },
    check="""
report = thence.evaluate("run")
assert f"bits of twenty" in str(report) and "bits of twenty" in report._repr_html_()
assert "bits_of_twenty" in printed("evaluate", "run", "--json")
assert "bits of twenty" in printed("evaluate", "run")
assert "bits of twenty" in thence.report("run").read_text("utf-8")
""",
)
ENDPOINT = Addition(
    new={
        "serve/routes/longest.py": '''
from fastapi import APIRouter

def routes(context):
    router = APIRouter()
    @router.get("/longest")
    def longest() -> dict[str, str]:
        """Return the longest name of a model."""
        return {"name": max(context.models, key=len)}
    return router
'''
    },
    edits={
        "serve/app.py": [
            ("serve.routes import (\n", "serve.routes import (\n    longest,\n"),
            ("ROUTES = (", "ROUTES = (longest, "),
        ]
    },
    check="""
from fastapi.testclient import TestClient
from thence.serve import create_app, open_runs
with TestClient(create_app(open_runs(["run"])), "http://localhost") as client:
    assert client.get("/longest").json() == {"name": "run"}
    assert "/longest" in client.get("/openapi.json").json()["paths"]
""",
)
COMMAND = Addition(
    new={
        "cli/vowels.py": '''
from thence.cli.output import Json, print_json
from thence.cli.streams import print_text

def share_of_vowels(run, vowels="aeiou"):
    """Count vowels.

    Args:
        run: The run.
        vowels: What counts as one.
    """
    symbols = run.tokenizer.vocabulary.symbols
    return sum(symbol in vowels for symbol in symbols) / len(symbols)

def print_share(call, given, *, json: Json = False):
    print_json({"share": call()}) if json else print_text(f"{call():.0%} are vowels")
'''
    },
    edits={
        "cli/commands.py": [
            (
                '    "next": Command(',
                '    "vowels": Command("Count vowels.", "cli.vowels:share_of_vowels", '
                '"vowels:print_share", ("run",)),\n    "next": Command(',
            )
        ]
    },
    check="""
assert printed("vowels", "run") == "50% are vowels\\n"
assert json.loads(printed("vowels", "run", "--vowels", "ab", "--json")) == {"share": 1.0}
assert "Count vowels." in printed("--help")
assert "What counts as one." in printed("vowels", "--help")
""",
)
SCHEDULE = Addition(
    edits={
        "recipes/options.py": [('Literal["one-cycle", ', 'Literal["square-root", "one-cycle", ')],
        "training/schedules.py": [
            (
                '        case "step":',
                '        case "square-root":\n            return float((step + 1) ** -0.5)\n'
                '        case "step":',
            )
        ],
    },
    check="""
run = thence.train(text, "bigram", schedule="square-root", steps=4, lr=1.0, output="square-root")
assert abs(run.metrics()[-1]["learning_rate"] - 5**-0.5) < 1e-6, run.metrics()
""",
)
EXPORT_FORMAT = Addition(
    new={
        "exchange/symbols.py": '''
def export_symbols(run, path):
    """Write one symbol a line."""
    path.write_text("\\n".join(run.tokenizer.vocabulary.symbols), encoding="utf-8")
'''
    },
    edits={
        "exchange/__init__.py": [
            ('"arpa", "kenlm", "fst"', '"symbols", "arpa", "kenlm", "fst"'),
            (
                '    "arpa": ("arpa"',
                '    "symbols": ("symbols", "export_symbols"),\n    "arpa": ("arpa"',
            ),
        ]
    },
    check="""
assert thence.export("run", "as.txt", to="symbols").read_text("utf-8") == "a\\nb"
main(["export", "run", "again.txt", "--to", "symbols"])
""",
)
ADDITIONS = {
    "model": MODEL,
    "tokenizer": TOKENIZER,
    "metric": METRIC,
    "endpoint": ENDPOINT,
    "command": COMMAND,
    "schedule": SCHEDULE,
    "export format": EXPORT_FORMAT,
}
PROGRAM = """
import json, sys, traceback
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
import numpy as np
import thence
from thence.cli.main import main

def printed(*words):
    with redirect_stdout(StringIO()) as out:
        main(words)
    return out.getvalue()

text = "text"
Path(text).write_text("\\n".join(["abab", "abba", "baba", "aabb", "ab", "ba"] * 10))
thence.train(text, "bigram-counts", output="run")
found = {}
for name, check in json.load(sys.stdin).items():
    try:
        exec(check, dict(globals()))
        found[name] = ""
    except BaseException:
        found[name] = traceback.format_exc()
Path("found.json").write_text(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found() -> dict[str, str]:
    """What went wrong with each addition."""
    with TemporaryDirectory() as name:
        copy = Path(name, "source", "thence")
        shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns("__pycache__"))
        for addition in ADDITIONS.values():
            addition.apply(copy)
        checks = json.dumps({name: addition.check for name, addition in ADDITIONS.items()})
        environment = {**os.environ, "PYTHONPATH": str(copy.parent)}
        command = [sys.executable, "-c", PROGRAM]
        done = subprocess.run(
            command, cwd=name, env=environment, input=checks, text=True, capture_output=True
        )
        assert done.returncode == 0, done.stderr
        return dict(json.loads(Path(name, "found.json").read_text()))


@pytest.mark.slow
@pytest.mark.parametrize("name", ADDITIONS)
def test_two_files_suffice(name: str, found: dict[str, str]) -> None:
    assert len(ADDITIONS[name].new | ADDITIONS[name].edits) <= 2
    assert not found[name], found[name]
