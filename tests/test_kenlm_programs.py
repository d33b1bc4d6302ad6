"""Strangers' programs that use KenLM run as they are with ``thence.kenlm`` in its place.

Each program is skipped where it is not installed. Where KenLM's module is installed too, the
program says the same with both.
"""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from thence import kenlm
from thence.exchange import export
from thence.training import train

TEXT = """the cat sat on the mat
the dog ran off the mat
a cat and a dog sat on the mat
the bat sat on the cat
a rat ran off
"""
Program = Callable[[Path], Any]
pytestmark = pytest.mark.filterwarnings("ignore")  # Those of the programs are theirs.


@pytest.fixture(scope="module")
def arpa(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of words."""
    return counted(tmp_path_factory.mktemp("arpa"), TEXT)


def counted(folder: Path, text: str) -> Path:
    """Return the ARPA file of a text's words."""
    (folder / "text.txt").write_text(text)
    run = train(
        folder / "text.txt", output=folder / "run", model="ngram", order=3, tokens="words",
        word_split="whitespace", split="100/0/0", smoothing="witten-bell",
    )  # fmt: skip
    return export(run, folder / "words.arpa")


def said_with(module: ModuleType, package: str, program: Program, model: Path) -> Any:
    """Return what a program says with a module in KenLM's place, its package imported anew."""
    mine = {name for name in sys.modules if name.split(".")[0] in (package, "kenlm")}
    kept = {name: sys.modules.pop(name) for name in mine}
    sys.modules["kenlm"] = module
    try:
        return program(model)
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == package]:
            del sys.modules[name]
        del sys.modules["kenlm"]
        sys.modules.update(kept)


def both(name: str, program: Program, model: Path) -> Any:
    """Return what a program says with ours, which is what it says with KenLM's."""
    pytest.importorskip(name, exc_type=ImportError)
    package = name.split(".")[0]
    said = said_with(kenlm, package, program, model)
    try:
        theirs = importlib.import_module("kenlm")
    except ImportError:
        return said
    assert said == said_with(theirs, package, program, model)
    return said


def test_pyctcdecode(arpa: Path) -> None:
    letters = [" ", *sorted(set(TEXT) - set(" \n")), ""]
    spoken = [letters.index(letter) for letter in "the dat sat on the mat"]
    frames = np.full((2 * len(spoken), len(letters)), -6.0)
    frames[1::2, -1] = frames[np.arange(0, len(frames), 2), spoken] = -0.2
    frames[8, letters.index("c")] = frames[8, letters.index("d")] - 0.1

    def program(model: Path) -> Any:
        build = importlib.import_module("pyctcdecode").build_ctcdecoder
        decoder = build(letters, str(model), sorted(set(TEXT.split())), 0.8, 1.0)
        beams = decoder.decode_beams(frames, beam_prune_logp=-40, hotwords=["rat"])
        best = decoder.decode(frames)
        return best, [(beam[0], beam[2], round(beam[-1], 4)) for beam in beams]

    best, beams = both("pyctcdecode", program, arpa)
    assert best == "the cat sat on the mat"
    assert len(beams) > 1


def test_datatrove_perplexity(arpa: Path) -> None:
    def program(model: Path) -> Any:
        perplexity: Any = importlib.import_module("datatrove.utils.perplexity")

        class Words:
            def tokenize(self, text: str) -> str:
                return text

        found = perplexity.KenlmModel("wikipedia", "en")
        found._tokenizer = Words()
        perplexity.cached_asset_path_or_download = lambda _: str(model)
        return [found.get_perplexity(text) for text in TEXT.splitlines()]

    values = both("datatrove.utils.perplexity", program, arpa)
    assert all(1 < value < 100 for value in values)


def test_cc_net_perplexity(arpa: Path) -> None:
    def program(model: Path) -> Any:
        cc_net = importlib.import_module("cc_net.perplexity")
        documents = [{"language": "en", "text": TEXT}, {"language": "de", "text": "die Katze"}]
        judge = cc_net.DocLM({"en": model}, "text", normalize=False)
        sentences = cc_net.SentencesLM({"en": model}, "text", normalize=False)
        with judge, sentences:
            return [judge.do(dict(one)) for one in documents], sentences.do(documents[0])

    documents, _ = both("cc_net.perplexity", program, arpa)
    assert "perplexity" in documents[0]
    assert "perplexity" not in documents[1]


def test_deeppavlov_chooses_spellings(arpa: Path) -> None:
    candidates = [
        [(-0.1, "tha"), (-0.4, "the")], [(-0.2, "cat"), (-0.2, "cut")], [(-0.1, "sat on")],
        [(0.0, "the")], [(-0.1, "mut"), (-0.9, "mat")],
    ]  # fmt: skip

    name = "deeppavlov.models.spelling_correction.electors.kenlm_elector"

    def program(model: Path) -> Any:
        return importlib.import_module(name).KenlmElector(model)([candidates])

    assert both(name, program, arpa) == [["the", "cat", "sat", "on", "the", "mat"]]


@pytest.fixture(scope="module")
def chinese(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A model of Chinese characters."""
    lines = ["今 天 新 情 很 好", "今 天 心 情 很 好", "真 麻 烦 你 了", "少 先 队 员 应 该 让 座"]
    yield counted(tmp_path_factory.mktemp("chinese"), "\n".join(lines * 3))


def test_pycorrector(chinese: Path) -> None:
    def program(model: Path) -> Any:
        corrector = importlib.import_module("pycorrector").Corrector(language_model_path=str(model))
        texts = ["真麻烦你了", "少先队员因该让坐"]
        scores = [corrector.ppl_score(list(text)) for text in ("真麻烦你了", "真麻饭你了")]
        return scores, corrector.ngram_score(list(texts[0])), corrector.correct_batch(texts)

    (right, wrong), _, corrected = both("pycorrector", program, chinese)
    assert right < wrong
    assert [one["source"] for one in corrected] == ["真麻烦你了", "少先队员因该让坐"]
