"""Labels over HTTP are those of ``thence.classify``, and reasons those of ``thence.explain``."""

from collections.abc import Iterator
from typing import Any

import pytest

import thence
from thence.serve import open_runs

TEXTS = ["a good film", "bad", "", "not so long and 😀"]


@pytest.fixture(scope="module")
def asked(opinions: Any, topics: Any, sentences: Any, serving: Any) -> Iterator[Any]:
    with serving(open_runs([opinions, topics, sentences])) as client:
        yield client


def test_labels_are_those_of_classify(asked: Any, opinions: Any) -> None:
    answer = asked.post("/v1/classify", {"model": "opinions", "input": TEXTS}).json()
    assert answer["model"] == "opinions"
    want = list(thence.classify(opinions, TEXTS))
    for found, other in zip(answer["data"], want, strict=True):
        assert found["label"] == other.likeliest
        assert found["probabilities"] == pytest.approx(other.probabilities)
        assert found["explanation"] is None
    assert [found["index"] for found in answer["data"]] == [0, 1, 2, 3]


def test_documents_may_have_several_labels(asked: Any, topics: Any) -> None:
    fields = {"model": "topics", "input": "the war and trade", "threshold": 0.3, "top": 2}
    (found,) = asked.post("/v1/classify", fields).json()["data"]
    (want,) = thence.classify(topics, ["the war and trade"], 2, 0.3)
    assert found["labels"] == list(want.labels)
    assert found["label"] is None
    assert found["probabilities"] == pytest.approx(want.probabilities)


def test_reasons_are_those_of_explain(asked: Any, opinions: Any) -> None:
    fields = {"model": "opinions", "input": TEXTS[:2], "explain": True}
    answer = asked.post("/v1/classify", fields).json()
    for found, text in zip(answer["data"], TEXTS, strict=False):
        want = thence.explain(opinions, text)
        assert found["explained"] == want.label
        weights = [(word["text"], word["start"]) for word in found["explanation"]]
        assert weights == [(word.text, word.start) for word in want.tokens]
        assert [word["weight"] for word in found["explanation"]] == pytest.approx(
            [word.weight for word in want.tokens], abs=1e-5
        )


def test_many_at_once(asked: Any, at_once: Any) -> None:
    fields = [{"model": "opinions", "input": text} for text in TEXTS] * 6
    alone = [asked.post("/v1/classify", body).json() for body in fields]
    texts = {"model": "sentences", "prompt": "the", "max_tokens": 5, "seed": 1}
    calls = [lambda body=body: asked.post("/v1/classify", body).json() for body in fields]
    together = at_once([*calls, lambda: asked.complete(**texts)])
    assert together[:-1] == alone


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"input": "a"}, 404),
        ({"model": "sentences", "input": "a"}, 404),
        ({"model": "opinions", "input": []}, 400),
        ({"model": "opinions"}, 400),
        ({"model": "opinions", "input": ["a"] * 129}, 400),
        ({"model": "opinions", "input": ["a"] * 9, "explain": True}, 400),
        ({"model": "opinions", "input": "a " * 10_000, "explain": True}, 400),
        ({"model": "opinions", "input": "a", "top": 0}, 400),
        ({"model": "opinions", "input": "a", "threshold": 0.5}, 400),
        ({"model": "topics", "input": "a", "threshold": 2}, 400),
    ],
)
def test_what_cannot_be_is_refused(asked: Any, fields: Any, status: int) -> None:
    answer = asked.post("/v1/classify", fields)
    assert answer.status == status
    assert answer.problem()["message"]


def test_a_classifier_completes_nothing(asked: Any) -> None:
    answer = asked.post("/v1/completions", {"model": "opinions", "prompt": "a"})
    assert answer.status == 404
    assert "/v1/classify" in answer.problem()["message"]
    assert asked.complete(prompt="the", max_tokens=1)["model"] == "sentences"
    cards = asked.get("/v1/models").json()["data"]
    assert [card["labels"] for card in cards][2] is None
    assert cards[0]["labels"] == ["neg", "pos"]
