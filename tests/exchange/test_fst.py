"""Transducers: the cost of a text is its negative log-probability."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from thence.errors import RunError, SettingError
from thence.exchange import export
from thence.exchange.fst import fst_lines
from thence.models.ngram.smoothing import OrderTable
from thence.runs import Run
from thence.tokens.vocabulary import Vocabulary
from thence.training import train

TEXTS = ["the cat sat", "the cat ran off", "a dog sat", "the dog sat on the cat", "a cat ran", ""]
ASKED = [*TEXTS, "the dog ran", "a sat on off", "the fish", "cat cat cat cat the dog"]
Arcs = dict[tuple[int, int], tuple[int, float]]


def read_fst(lines: list[str]) -> tuple[int, Arcs, dict[int, float]]:
    """Return the start, the arcs by state and label, and the final costs."""
    arcs: Arcs = {}
    final: dict[int, float] = {}
    rows = [line.split() for line in lines]
    for row in rows:
        if len(row) == 2:
            final[int(row[0])] = float(row[1])
        else:
            key = int(row[0]), int(row[2])
            assert key not in arcs and row[3] in (row[2], "0")
            arcs[key] = int(row[1]), float(row[4])
    return int(rows[0][0]), arcs, final


def cost(fst: tuple[int, Arcs, dict[int, float]], labels: list[int], backoff: int) -> float:
    """Return the cost of a text where back-off arcs are taken only if there is no other way."""
    state, arcs, final = fst
    total = 0.0
    for label in labels:
        while (state, label) not in arcs:
            state, paid = arcs[state, backoff]
            total += paid
        state, paid = arcs[state, label]
        total += paid
    while state not in final:
        state, paid = arcs[state, backoff]
        total += paid
    return total + final[state]


def cheapest(fst: tuple[int, Arcs, dict[int, float]], labels: list[int], backoff: int) -> float:
    """Return the cost of the cheapest path, back-off arcs taken wherever one likes."""
    start, arcs, final = fst
    best = {start: 0.0}
    for label in [*labels, None]:
        todo = list(best)
        for state in todo:
            if (state, backoff) in arcs:
                other, paid = arcs[state, backoff]
                if best[state] + paid < best.get(other, np.inf):
                    best[other] = best[state] + paid
                    todo.append(other)
        if label is None:
            return min(total + final[state] for state, total in best.items() if state in final)
        after: dict[int, float] = defaultdict(lambda: np.inf)
        for state, total in best.items():
            if (state, label) in arcs:
                other, paid = arcs[state, label]
                after[other] = min(after[other], total + paid)
        best = dict(after)
    raise AssertionError


def counted(folder: Path, **options: Any) -> Run:
    given: dict[str, Any] = {"order": 3, "tokens": "words", "word_split": "whitespace"}
    given |= {"split": "100/0/0"}
    return train(TEXTS, "ngram", output=folder, **(given | options))


@pytest.mark.parametrize(
    "options",
    [{}, {"order": 1}, {"order": 5, "prune_entropy": 0.01}, {"smoothing": "witten-bell"}],
    ids=str,
)
def test_the_cost_of_a_text_is_its_negative_log_probability(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    run = counted(tmp_path / "run", **options)
    export(run, tmp_path / "G", "fst")
    words = (tmp_path / "G" / "words.txt").read_text().splitlines()
    numbers = {name: int(number) for name, number in map(str.split, words)}
    assert numbers["<eps>"] == 0 and list(numbers.values()) == list(range(len(words)))
    fst = read_fst((tmp_path / "G" / "fst.txt").read_text().splitlines())
    for text in ASKED:
        labels = [numbers.get(word, numbers["<unk>"]) for word in text.split()]
        nats = -run.model.score(run.tokenizer.encode([text])).sum()
        assert cost(fst, labels, numbers["#0"]) == pytest.approx(nats, abs=1e-4)
        assert cheapest(fst, labels, numbers["#0"]) <= nats + 1e-4


def test_openfst_compiles_it_and_finds_the_cheapest_path(tmp_path: Path) -> None:
    openfst = pytest.importorskip("pywrapfst")
    run = counted(tmp_path / "run")
    export(run, tmp_path / "G", "fst")
    text = (tmp_path / "G" / "fst.txt").read_text()
    backoff = len(run.tokenizer.vocabulary)
    compiler = openfst.Compiler(fst_type="vector", arc_type="standard")
    compiler.write(text.replace(f"\t{backoff}\t0\t", "\t0\t0\t"))  # Taken at any time.
    grammar = compiler.compile()
    ids = {word: index + 1 for index, word in enumerate(run.tokenizer.vocabulary.symbols)}
    for asked in ASKED:
        labels = [ids.get(word, backoff - 1) for word in asked.split()]
        line = openfst.Compiler(fst_type="vector", arc_type="standard")
        line.write("".join(f"{at} {at + 1} {label} {label}\n" for at, label in enumerate(labels)))
        line.write(f"{len(labels)}\n")
        composed = openfst.compose(line.compile(), grammar.arcsort("ilabel"))
        distance = float(str(openfst.shortestdistance(composed, reverse=True)[composed.start()]))
        assert distance == pytest.approx(cheapest(read_fst(text.splitlines()), labels, backoff))


def test_every_state_is_reached_and_has_somewhere_to_go(tmp_path: Path) -> None:
    run = counted(tmp_path / "run", order=4)
    export(run, tmp_path / "G", "fst")
    start, arcs, final = read_fst((tmp_path / "G" / "fst.txt").read_text().splitlines())
    sources, targets = {state for state, _ in arcs}, {target for target, _ in arcs.values()}
    assert start == 0 and targets <= sources and sources <= targets | {0} and set(final) <= sources


def test_an_ngram_whose_end_is_not_listed_leads_to_a_shorter_context() -> None:
    """Of a (0) b (1): "a b a" without "b a", so that after it the context is a."""
    vocabulary = Vocabulary(("a", "b"), "refuse")
    third = np.full(3, np.log(1 / 3), np.float32)
    tables = [
        OrderTable(np.arange(3), third, np.array([-0.1, -0.2, -0.3], np.float32)),
        OrderTable(np.array([1]), third[:1], np.array([-0.4], np.float32)),
        OrderTable(np.array([0]), np.log([0.9]).astype(np.float32), np.zeros(0, np.float32)),
    ]
    fst = read_fst(list(fst_lines(tables, vocabulary)))
    # <s> backs off, a, then b after a, then a after a b, a again after a: backs off; end.
    unigram = np.log(3)
    listed = 0.3 + unigram + unigram - np.log(0.9)
    assert cost(fst, [1, 2, 1, 1], 3) == pytest.approx(listed + 0.1 + unigram + 0.1 + unigram)


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    network = train(TEXTS, "bigram-counts", output=tmp_path / "other", split="100/0/0")
    with pytest.raises(RunError, match="can only hold an n-gram model"):
        export(network, tmp_path / "G", "fst")
    running = counted(tmp_path / "running", carry_context=True)
    with pytest.raises(SettingError, match="reach across documents"):
        export(running, tmp_path / "G", "fst")
    assert not (tmp_path / "G").exists()
