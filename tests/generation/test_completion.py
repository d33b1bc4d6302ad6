import json
import math
from collections.abc import Callable

import numpy as np
import pytest

from thence.errors import SettingError, TextError, UnknownSymbolError
from thence.evaluation.scoring import score
from thence.generation import complete, sample
from thence.runs import Run

Trained = Callable[..., Run]
MODELS = ["bigram-counts", "mlp", "lstm"]


def likelihood(run: Run, text: str) -> float:
    (line,) = score(run, text)
    return float(line["log_probability"])


@pytest.mark.parametrize("model", MODELS)
def test_completions_have_the_probabilities_of_the_model(trained: Trained, model: str) -> None:
    run = trained(model, lines=["ab", "ab", "aab", "b", "abb"], unknown="refuse",
                  **({"steps": 20, "threads": 1} if model == "lstm" else {}))  # fmt: skip
    texts = ["a" * first + "b" * second for first in range(1, 7) for second in range(6)]
    found = complete(run, "a", 4, beam=50, max_length=12)
    assert len(found.completions) == 4
    prefix = likelihood(run, "a") - complete_end(run)
    for completion in found.completions:
        whole = likelihood(run, completion.text)
        assert completion.log_probability == pytest.approx(whole - prefix, rel=1e-4)
        assert completion.finished
    best = max(likelihood(run, text) for text in texts)
    assert found.completions[0].log_probability >= best - prefix - 1e-4


def complete_end(run: Run) -> float:
    (line,) = score(run, ["a"], tokens=True)
    return float(line["tokens"][-1]["log_probability"])


@pytest.mark.parametrize("model", MODELS)
def test_a_beam_of_one_is_greedy(trained: Trained, model: str) -> None:
    run = trained(model, **({"steps": 20, "threads": 1} if model == "lstm" else {}))
    (found,) = complete(run, "a", beam=1, max_length=12).completions
    assert [found.text] == sample(run, 1, prefix="a", greedy=True, max_length=12).texts


def test_drawn_completions_are_those_of_sample(trained: Trained) -> None:
    run = trained("mlp")
    found = complete(run, "ax", 6, temperature=0.7, top_p=0.9, seed=3, max_length=4)
    drawn = sample(run, 6, prefix="ax", temperature=0.7, top_p=0.9, seed=3, max_length=4)
    assert [completion.text for completion in found.completions] == drawn.texts
    assert [completion.finished for completion in found.completions] == drawn.finished
    (line,) = score(run, ["ax"], tokens=True)
    prefix = sum(token["log_probability"] for token in line["tokens"][:2])
    for completion in found.completions:
        if completion.finished:
            whole = likelihood(run, completion.text)
            assert completion.log_probability == pytest.approx(whole - prefix, rel=1e-4)


@pytest.mark.parametrize("tokens", ["characters", "bytes", "words", "subwords"])
@pytest.mark.parametrize("text", ["the", "the ", "  the\tdog", ""])
def test_the_text_stays_as_it_was_written(trained: Trained, tokens: str, text: str) -> None:
    lines = ["the cat sat", "a dog ran, too", "the dog sat"] * 4
    found = complete(trained(lines=lines, tokens=tokens), text, max_length=20)
    assert all(completion.text.startswith(text) for completion in found.completions)
    if tokens == "words":
        added = [completion.text.removeprefix(text) for completion in found.completions]
        assert not any(after.startswith(" ") for after in added if text[-1:].isspace())


def test_shown_and_as_json(trained: Trained) -> None:
    # bigram-counts with add-1 over a, b, <unk> and the boundary: after a comes the end with 1/5, or
    # b with 2/5 and then the end with 2/5.
    found = complete(trained(lines=["ab"]), "a", 2)
    read = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert [completion["text"] for completion in read["completions"]] == ["a", "ab"]
    chances = [math.exp(completion["log_probability"]) for completion in read["completions"]]
    assert chances == pytest.approx([1 / 5, 4 / 25])
    assert str(found).splitlines() == ["0.2000  a", "0.1600  ab"]


def test_very_small_probabilities_are_shown(trained: Trained) -> None:
    run = trained("mlp")
    shown = str(complete(run, "a", 2, temperature=1e9, max_length=2000, seed=1))
    assert "e-" in shown and np.all([line.split()[0] != "0" for line in shown.splitlines()])


def test_refusals(trained: Trained) -> None:
    run = trained(unknown="refuse", add_k=0.0)
    for name in ("count", "beam", "max_length"):
        with pytest.raises(
            SettingError, match=f"`{name}` is 0; it must be a whole number (of|from)"
        ):
            complete(run, "a", **{name: 0})
    with pytest.raises(
        SettingError, match=r"`length_penalty` is -1\.0; it must be a number of at least 0"
    ):
        complete(run, "a", length_penalty=-1.0)
    with pytest.raises(SettingError, match="`seed` is -1"):
        complete(run, "a", seed=-1)
    with pytest.raises(SettingError, match=r"`beam` and .* give only one kind"):
        complete(run, "a", beam=3, seed=0)
    with pytest.raises(UnknownSymbolError, match=r"'ü' .* closed vocabulary"):
        complete(run, "aü")


def test_no_possible_continuation_is_a_sentence(trained: Trained) -> None:
    run = trained(lines=["ab"])
    run.model.step = lambda ids, state: (np.full((len(ids), 4), -np.inf), state)  # type: ignore
    with pytest.raises(TextError, match=r"every continuation of 'a' the probability 0"):
        complete(run, "a")
