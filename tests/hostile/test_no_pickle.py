"""Runs are data: nothing is ever unpickled, and no text of theirs is ever run."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import thence

from .conftest import KINDS, texts_for

SOURCE = Path(thence.__file__).parent
FORBIDDEN = (
    r"(^|\s)(import|from)\s+(_?c?pickle|marshal|shelve|joblib|dill|cloudpickle|yaml)\b",
    r"\b(pickle|marshal|shelve|joblib|dill|cloudpickle)\.\w+\(",
    r"\btorch\.(load|save|jit|hub)\b",
    r"(?<![\w.])(eval|exec|compile|__import__)\s*\(",
    r"allow_pickle\s*=\s*True",
    r"\byaml\.load\b",
    r"\bread_pickle\b|\bto_pickle\b",
)


def test_no_source_unpickles_or_runs_text() -> None:
    files = sorted(SOURCE.rglob("*.py"))
    assert len(files) > 100
    for path in files:
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
            code = line.split("#")[0]
            for pattern in FORBIDDEN:
                assert not re.search(pattern, code), f"{path}:{number}: {line}"


@pytest.mark.parametrize(
    "line",
    ["import pickle", "x = eval(text)", "torch.load(path)", "np.load(p, allow_pickle=True)"],
)
def test_the_patterns_find_what_is_forbidden(line: str) -> None:
    assert any(re.search(pattern, line) for pattern in FORBIDDEN)
    assert not any(re.search(pattern, "self.model.eval()") for pattern in FORBIDDEN)


WITHOUT_PICKLE = """
import pickle, _pickle, marshal, sys
from pathlib import Path

import torch, numpy, safetensors.numpy, tokenizers
from thence.cli.main import main
from thence.models.registry import families, get_family
from thence.runs import ClassifierRun, Run
from thence.training import setup, resume

def refuse(*arguments, **more):
    raise AssertionError("something was unpickled")

class Refuser:
    def __init__(self, *arguments, **more):
        refuse()

for module in (pickle, _pickle):
    module.load = module.loads = refuse
    module.Unpickler = Refuser
pickle._Unpickler = Refuser
torch.load = torch.serialization.load = refuse
try:
    pickle.loads(b"N.")
except AssertionError:
    pass
else:
    sys.exit("pickle was not taken away")

for folder in map(Path, sys.argv[1:]):
    run = Run(folder)
    run.tokenizer, run.metrics(), run.num_parameters, run.splits
    main(["evaluate", str(folder)])
    if isinstance(run, ClassifierRun):
        main(["classify", str(folder), str(folder.parent / "texts.txt")])
    else:
        main(["next", str(folder), "ax"])
        main(["sample", str(folder), "-n", "1", "--max-length", "3"])
    resume(folder)
    metrics = folder / "metrics.jsonl"
    if (folder / "last").exists():  # Once more, from its checkpoint on.
        from thence.runs.files import load_tensors, save_tensors
        path = folder / "last" / "checkpoint.safetensors"
        tensors, about = load_tensors(path)
        save_tensors(path, tensors, {**about, "finished": False, "step": 2})
        resume(folder)
print("nothing was unpickled")
"""


@pytest.mark.slow
def test_runs_are_used_and_resumed_without_pickle(copy_of: Callable[..., Path]) -> None:
    folders = [str(copy_of(kind)) for kind in KINDS]
    texts_for(Path(folders[0]))
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_PICKLE, *folders],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("nothing was unpickled\n")
