import json
import math
from collections.abc import Callable

import pytest

from thence.errors import SettingError, UnknownSymbolError
from thence.evaluation.scoring import score
from thence.generation import next_tokens
from thence.runs import Run

Trained = Callable[..., Run]


def test_by_hand(trained: Trained) -> None:
    # bigram-counts of "ab", "ab", "b" with add-1 over a, b, <unk> and the boundary:
    # the first is a with (2 + 1) / (3 + 4), b with 2/7, the others with 1/7.
    run = trained(lines=["ab", "ab", "b"])
    found = next_tokens(run)
    assert [token for token, _ in found.tokens] == ["a", "b", "<unk>", "<boundary>"]
    assert [chance for _, chance in found.tokens] == pytest.approx([3 / 7, 2 / 7, 1 / 7, 1 / 7])
    assert next_tokens(run, "a", 1).tokens == [("b", pytest.approx(1 / 2))]


@pytest.mark.slow
@pytest.mark.parametrize("model", ["bigram-counts", "mlp", "bigram"])
@pytest.mark.parametrize("text", ["", "a", "axb", "zz"])
def test_all_probabilities_sum_to_one(trained: Trained, model: str, text: str) -> None:
    run = trained(model)
    found = next_tokens(run, text, 100)
    assert len(found.tokens) == len(run.tokenizer.vocabulary)
    assert math.fsum(chance for _, chance in found.tokens) == pytest.approx(1, abs=1e-6)
    chances = [chance for _, chance in found.tokens]
    assert chances == sorted(chances, reverse=True)


@pytest.mark.parametrize("model", ["bigram-counts", "mlp"])
def test_next_and_score_agree(trained: Trained, model: str) -> None:
    run = trained(model)
    (line,) = score(run, ["axb"], tokens=True)
    for place, token in enumerate(line["tokens"]):
        found = dict(next_tokens(run, "axb"[:place], 100).tokens)
        assert math.log(found[token["token"]]) == pytest.approx(token["log_probability"], rel=1e-5)


def test_shown_and_as_json(trained: Trained) -> None:
    found = next_tokens(trained(lines=["a b", "a\tb"], keep_empty=True), "a", 3)
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["text"] == "a"
    assert len(str(found).splitlines()) == 3
    assert "\t" not in str(found)


def test_refusals(trained: Trained) -> None:
    run = trained(unknown="refuse")
    with pytest.raises(SettingError, match="must be a whole number of at least 1"):
        next_tokens(run, count=0)
    with pytest.raises(
        UnknownSymbolError, match=r"'ü' .symbol 2 .* is not in the closed vocabulary"
    ):
        next_tokens(run, "aü")
