"""What others make of the texts of ``budget.py``, in their own time, where they are installed.

Each function returns results by name, with the seconds that each took, training and judging; a
program or package that is not there is left out.
"""

import importlib
import math
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

Found = dict[str, tuple[float, float]]
"""Result on test and seconds, by name."""
Compress = Callable[[Path, Path], list[str]]
"""The command that compresses one file into another."""
PPMD_ORDERS = (6, 8)
"""What 7z chooses by default, and what suits a megabyte and more."""
LPAQ_MEMORY = "6"
"""195 MB, which holds all that a few megabytes of text need."""
KENLM_ORDER = "5"


def compressors(train: bytes, test: bytes, lpaq: Path | None, folder: Path) -> Found:
    """Return bits per byte that compressors need for test after train, in ASCII characters.

    Args:
        train: The text that comes before.
        test: The text that is judged.
        lpaq: The program lpaq1 (M. Mahoney 2007), if it is there.
        folder: For files.
    """
    commands: dict[str, Compress] = {}
    if (seven := shutil.which("7z")) is not None:
        for order in PPMD_ORDERS:
            how = f"-m0=PPMd:o={order}:mem=64m"
            commands[f"PPMd, order {order}"] = lambda source, target, how=how: [
                seven, "a", "-bd", how, str(target), str(source)
            ]  # fmt: skip
    if lpaq is not None:
        program = str(lpaq.resolve())
        commands["lpaq1"] = lambda source, target: [
            program, LPAQ_MEMORY, str(source), str(target)
        ]  # fmt: skip
    found = {}
    for name, command in commands.items():
        sizes, seconds = [], 0.0
        for number, content in enumerate((train, train + test)):
            source, target = folder / f"whole-{number}", folder / f"packed-{number}.7z"
            source.write_bytes(content)
            target.unlink(missing_ok=True)
            began = time.perf_counter()
            subprocess.run(command(source, target), check=True, capture_output=True)
            seconds = time.perf_counter() - began
            sizes.append(target.stat().st_size)
        found[name] = 8 * (sizes[1] - sizes[0]) / len(test), seconds
    return found


def kenlm(train: Sequence[str], test: Sequence[str], lmplz: Path | None, folder: Path) -> Found:
    """Return the perplexity of KenLM, the end of each line counted.

    Args:
        train: Lines of words that a space separates.
        test: Likewise.
        lmplz: KenLM's program, if it is there.
        folder: For files.
    """
    module = package("kenlm")
    if module is None or lmplz is None:
        return {}
    (folder / "kenlm.txt").write_text("\n".join(train) + "\n", "utf-8")
    arpa, began = folder / "kenlm.arpa", time.perf_counter()
    with (folder / "kenlm.txt").open("rb") as source, arpa.open("wb") as target:
        words = [str(lmplz), "-o", KENLM_ORDER, "--skip_symbols", "-T", str(folder)]
        subprocess.run(words, stdin=source, stdout=target, stderr=subprocess.DEVNULL, check=True)
    model = module.Model(str(arpa))
    nats = -math.log(10) * sum(model.score(line) for line in test)
    targets = sum(len(line.split()) + 1 for line in test)
    return {f"KenLM, order {KENLM_ORDER}": (math.exp(nats / targets), time.perf_counter() - began)}


Rows = Sequence[tuple[str, str]]
"""Labels with texts."""


def classifiers(train: Rows, test: Rows, folder: Path) -> Iterator[tuple[str, list[str], float]]:
    """Yield others' names, the label that each gives every test text, and the seconds it took."""
    labels, texts = [label for label, _ in train], [text for _, text in train]
    asked = [text for _, text in test]
    if package("sklearn") is not None:
        for name, pipeline in _pipelines().items():
            began = time.perf_counter()
            answers = pipeline.fit(texts, labels).predict(asked).tolist()
            yield name, answers, time.perf_counter() - began
    if (program := shutil.which("fasttext")) is not None:
        began = time.perf_counter()
        yield "fastText", _fasttext(program, train, asked, folder), time.perf_counter() - began


def _pipelines() -> dict[str, Any]:
    text = importlib.import_module("sklearn.feature_extraction.text")
    svm, pipeline = (
        importlib.import_module("sklearn.svm"),
        importlib.import_module("sklearn.pipeline"),
    )
    words = text.TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    characters = text.TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 5), sublinear_tf=True)
    return {
        "TF-IDF, LinearSVC": pipeline.make_pipeline(words, svm.LinearSVC()),
        "TF-IDF of characters, LinearSVC": pipeline.make_pipeline(characters, svm.LinearSVC()),
    }


def _fasttext(program: str, train: Rows, asked: Sequence[str], folder: Path) -> list[str]:
    """Return fastText's labels, with bigrams and its customary settings for supervised learning."""
    source, questions, model = (folder / f"fasttext{end}" for end in (".train", ".test", ""))
    lines = [f"__label__{label} {_in_a_line(text)}" for label, text in train]
    source.write_text("\n".join(lines) + "\n", "utf-8")
    questions.write_text("\n".join(map(_in_a_line, asked)) + "\n", "utf-8")
    settings = ["-wordNgrams", "2", "-lr", "0.5", "-epoch", "5", "-verbose", "0"]
    fit = [program, "supervised", "-input", str(source), "-output", str(model), *settings]
    subprocess.run(fit, check=True, capture_output=True)
    ask = [program, "predict", f"{model}.bin", str(questions)]
    said = subprocess.run(ask, check=True, capture_output=True, text=True).stdout
    return [line.removeprefix("__label__") for line in said.splitlines()]


def _in_a_line(text: str) -> str:
    return " ".join(text.lower().split())


def package(name: str) -> Any:
    """Return a module, or None where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None
