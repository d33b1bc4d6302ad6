"""Counting never waits for torch, which takes seconds to load, nor training for its compiler."""

import subprocess
import sys
from pathlib import Path

import pytest

import thence

JOBS = {
    "train": "thence.train('given-names', 'ngram', output='made')",
    "best": "thence.best('given-names', time='1s', output='made')",
    "mix": (
        "thence.mix([thence.train('given-names', 'ngram', order=order, output=f'of-{order}') "
        "for order in (2, 3)], 'made')"
    ),
}


@pytest.mark.parametrize("job", JOBS)
def test_counting_never_imports_torch(job: str, tmp_path: Path) -> None:
    program = f"import sys, thence\n{JOBS[job]}\nassert 'torch' not in sys.modules"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "made" / "model.safetensors").exists()


@pytest.mark.parametrize("model", ["linear", "averaging"])
def test_training_never_imports_the_compiler(model: str, tmp_path: Path) -> None:
    rows = "text,label\n" + "a b c,one\nd e f,two\n" * 20
    (tmp_path / "table.csv").write_text(rows)
    program = (
        "import sys, thence\n"
        f"thence.train('table.csv', {model!r}, label='label', output='made', buckets=1024)\n"
        "assert 'torch' in sys.modules and 'torch._dynamo' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


NEXT = """
import sys
from thence.cli.main import main
main(["next", "made", "t"])
print(*sys.modules, file=sys.stderr)
"""


def test_asking_a_count_model_loads_neither_training_nor_evaluation(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    thence.train("first-sentences", "bigram-counts", split="100/0/0", output=folder)
    done = subprocess.run(
        [sys.executable, "-c", NEXT], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    loaded = set(done.stderr.split())
    assert "thence.generation.completion" in loaded
    assert not {"torch", "thence.training", "thence.evaluation", "matplotlib"} & loaded
