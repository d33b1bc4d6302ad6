"""Filtering in processes of its own: what is killed, and what is loaded."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from thence.filtering import filter_texts
from thence.filtering.journal import journal_folder
from thence.runs import LanguageRun

from .conftest import made_lines

pytestmark = pytest.mark.slow


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="/proc says who is whose child")
def test_a_killed_filter_leaves_no_process_and_goes_on(run: LanguageRun, tmp_path: Path) -> None:
    text, out = tmp_path / "x.txt", tmp_path / "out.txt"
    text.write_text("\n".join(made_lines(3000) * 60) + "\n", "utf-8")
    words = [sys.executable, "-m", "thence", "filter", str(run.folder), str(text)]
    words += ["-o", str(out), "--quantile", "0..0.3", "--processes", "2"]
    judged = journal_folder(out) / "parts"
    with subprocess.Popen(words, stderr=subprocess.PIPE) as process:
        for _ in range(6000):
            if judged.exists() and judged.stat().st_size >= 3 * 16:
                break
            time.sleep(0.01)
        of_it = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.send_signal(signal.SIGKILL)
    assert len(of_it) == 2
    for _ in range(1000):
        if not any(Path("/proc", child).exists() for child in of_it):
            break
        time.sleep(0.01)
    else:
        pytest.fail("a process outlives the one that started it")
    assert not out.exists()
    shares: list[float] = []
    filter_texts(run, text, out, quantile=(0, 0.3), progress=lambda _, share: shares.append(share))
    assert shares[0] > 0.1  # It went on from at least three parts.
    filter_texts(run, text, tmp_path / "whole.txt", quantile=(0, 0.3))
    assert out.read_bytes() == (tmp_path / "whole.txt").read_bytes()


PROGRAM = """
import sys, thence
from thence.cli.main import main
folder, text = sys.argv[1:]
main(["filter", folder, text, "-o", "out.txt", "--below", "9"])
main(["filter", folder, text, "-o", "two.txt", "--below", "9", "--processes", "2"])
main(["score", folder, text, "--calibrate"])
assert not {"torch", "matplotlib", "pyarrow", "distributed"} & set(sys.modules)
"""


def test_neither_torch_nor_anything_else_large_is_loaded(
    run: LanguageRun, lines_file: Path, tmp_path: Path
) -> None:
    words = [sys.executable, "-c", PROGRAM, str(run.folder), str(lines_file)]
    # A process that loads torch would fail: it is not to be found there.
    (tmp_path / "torch.py").write_text("raise SystemExit(9)\n")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        words, cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "two.txt").read_bytes() == (tmp_path / "out.txt").read_bytes()
