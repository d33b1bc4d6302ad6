"""ARPA files of any kind, also with n-grams pruned that longer ones end with: KenLM's numbers."""

from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thence import kenlm

NUMBERS = ["-0.5", "-1.25", "0", "-0", "-2.3e-1", "-0.30103", "-99"]
WEIGHTS = ["", "\t-0.25", "\t0", "\t-0", "\t0.5", "\t-1e-2", "\t-0.0"]


def random_arpa(random: Random) -> tuple[str, list[str]]:
    """Return an ARPA file of random n-grams, and its words.

    Each n-gram's beginning is listed one order below, its ending not always.
    """
    words = ["<s>", "</s>", *"abcd"[: random.choice([2, 4])], *random.choice([[], ["<unk>"]])]
    random.shuffle(words)
    orders: list[set[tuple[str, ...]]] = [{(word,) for word in words}]
    for _ in range(random.choice([1, 2, 3])):
        contexts = [ngram for ngram in sorted(orders[-1]) if ngram[-1] != "</s>"]
        share = random.choice([0.1, 0.3])
        longer = {
            (*context, word)
            for context in contexts
            for word in words
            if word != "<s>" and random.random() < share
        }
        orders.append(longer or {(*ngram, "a") for ngram in contexts[:1]})
    orders = [some for some in orders if some]
    for shorter, longer in zip(orders[-2:0:-1], orders[:1:-1], strict=True):
        contexts_of_longer = {ngram[:-1] for ngram in longer}
        spared = {ngram for ngram in sorted(shorter) if random.random() < 0.8}
        shorter &= contexts_of_longer | spared
    lines = ["\\data\\", *(f"ngram {k}={len(some)}" for k, some in enumerate(orders, 1))]
    for k, some in enumerate(orders, 1):
        lines.append(f"\n\\{k}-grams:")
        for ngram in sorted(some, key=lambda _: random.random()):
            weight = random.choice(WEIGHTS) if k < len(orders) else ""
            lines.append(f"{random.choice(NUMBERS)}\t{' '.join(ngram)}{weight}")
    return "\n".join([*lines, "\n\\end\\\n"]), words


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that examples share."""
    return tmp_path_factory.mktemp("random") / "model.arpa"


def states(module: ModuleType, model: Any, words: list[str]) -> list[Any]:
    """Return the states after each of some words."""
    found = [module.State()]
    model.BeginSentenceWrite(found[0])
    for word in words:
        found.append(module.State())
        model.BaseScore(found[-2], word, found[-1])
    return found


@given(st.integers(0, 1 << 32))
def test_any_arpa_file(path: Path, seed: int) -> None:
    module = pytest.importorskip("kenlm")
    random = Random(seed)
    text, words = random_arpa(random)
    path.write_text(text)
    quiet = module.Config()
    quiet.show_progress, quiet.arpa_complain = False, module.ARPALoadComplain.NONE
    ours = kenlm.Model(path)
    try:
        theirs = module.Model(str(path), quiet)
    except OSError as error:  # So many endings are missing that its hash tables are full.
        assert "Avoid pruning" in str(error)
        return
    for _ in range(3):
        sentence = random.choices([*words, "zebra"], k=random.randrange(8))
        line = " ".join(sentence)
        for bos in (False, True):
            assert list(ours.full_scores(line, bos)) == list(theirs.full_scores(line, bos))
            assert ours.score(line, bos) == theirs.score(line, bos)
        one, other = states(kenlm, ours, sentence), states(module, theirs, sentence)
        assert [[a < b for a in one] for b in one] == [[a < b for a in other] for b in other]
        assert [[a == b for a in one] for b in one] == [[a == b for a in other] for b in other]
