import json
import math
from collections.abc import Callable

import pytest

from thence.corpus import Documents
from thence.errors import UnknownSymbolError
from thence.evaluation import evaluate, score
from thence.runs import Run

Counted = Callable[..., Run]


def test_by_hand(counted: Counted) -> None:
    # The probabilities are worked out in test_likelihood.py.
    (line,) = score(counted(), ["ab"], tokens=True)
    probabilities = [3 / 7, 1 / 2, 4 / 7]
    assert line["text"] == "ab"
    assert line["targets"] == 3
    assert line["log_probability"] == pytest.approx(math.log(math.prod(probabilities)))
    assert line["nats_per_token"] == pytest.approx(-line["log_probability"] / 3)
    assert line["bits_per_byte"] == pytest.approx(-math.log2(math.prod(probabilities)) / 3)
    assert [token["token"] for token in line["tokens"]] == ["a", "b", "<boundary>"]
    for token, probability in zip(line["tokens"], probabilities, strict=True):
        assert token["log_probability"] == pytest.approx(math.log(probability))
        assert token["surprisal_bits"] == pytest.approx(-math.log2(probability))


def test_lines_add_up_to_the_report(counted: Counted) -> None:
    run = counted(dev=["ab", "baé", "", "bbb", "ab"], keep_empty=True)
    lines = list(score(run, run.documents("dev"), tokens=True))
    report = evaluate(run)
    assert [line["text"] for line in lines] == ["ab", "baé", "", "bbb", "ab"]
    assert -sum(line["log_probability"] for line in lines) == pytest.approx(report.nats)
    assert sum(line["targets"] for line in lines) == report.targets
    assert sum(line["unknown"] for line in lines) == report.unknown == 1
    surprisal = sum(token["surprisal_bits"] for line in lines for token in line["tokens"])
    assert surprisal / report.bytes == pytest.approx(report.bits_per_byte)


def test_impossible_texts_are_none_in_json(counted: Counted) -> None:
    (line,) = score(counted(add_k=0.0), ["ba"], tokens=True)
    read = json.loads(json.dumps(line, allow_nan=False))
    assert read["log_probability"] is read["nats_per_token"] is read["bits_per_byte"] is None
    # b may begin a document; a never followed it, and no document ended in a.
    assert [token["surprisal_bits"] is None for token in read["tokens"]] == [False, True, True]


def test_empty_texts_and_no_texts(counted: Counted) -> None:
    run = counted()
    assert list(score(run, [])) == []
    (line,) = score(run.folder, Documents.from_strings([""]))
    # Only the end: P(| after |) = (0 + 1) / (3 + 4).
    assert line["targets"] == 1
    assert line["log_probability"] == pytest.approx(math.log(1 / 7))
    assert line["bits_per_byte"] == pytest.approx(math.log2(7))


def test_a_closed_vocabulary_refuses(counted: Counted) -> None:
    with pytest.raises(UnknownSymbolError, match=r"'c' .symbol 2 of document 1"):
        list(score(counted(unknown="refuse"), ["ac"]))
