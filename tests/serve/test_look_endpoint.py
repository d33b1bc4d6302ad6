"""The endpoint that looks inside a model: every model of the server, odd texts, bad requests."""

import math
from collections.abc import Callable
from typing import Any

import pytest

import thence
from thence.serve import open_runs

TEXTS = [
    "",
    "a",
    "the trade",
    "der Krieg über 5 €",
    "سلام دنیا",
    "日本語",
    "😀é",
    "a song\nthe war\n",
]
MODELS = ["lstm", "ngram", "mixture", "mlp", "words", "bytes", "running"]


def ask(client: Any, **fields: Any) -> Any:
    answer = client.post("/playground/look", fields)
    assert answer.status == 200, answer.body
    return answer.json()


@pytest.mark.parametrize("model", MODELS)
def test_odd_texts(client: Any, model: str) -> None:
    for text in TEXTS:
        found = ask(client, model=model, text=text, top=2)
        assert (found["kind"], found["text"]) == ("language model", text)
        assert found["next"]["top"]
        for token in found["tokens"]:
            assert token["rank"] >= 1
            assert token["bits"] == pytest.approx(-math.log2(token["probability"]))
            assert len(token["top"]) == 2
        spelled = "".join(text[one["start"] : one["end"]] for one in found["tokens"])
        assert "".join(spelled.split()) == "".join(text.split())


@pytest.mark.parametrize("model", MODELS)
def test_every_lens(client: Any, model: str) -> None:
    available = ask(client, model=model, text="")["available"]
    found = ask(client, model=model, text="the trade", lenses=available, places=[1, 3])
    assert found["places"] == [1, min(3, len(found["tokens"]))]
    assert {*found["lenses"], "following"} == {*available}


def test_columns_say_the_same(client: Any) -> None:
    rows = ask(client, model="bytes", text="é a", places=[0, 2])
    found = ask(client, model="bytes", text="é a", places=[0, 2], columns=True)["tokens"]
    for name in ("id", "start", "end", "bits"):
        assert found[name] == [token[name] for token in rows["tokens"]]
    assert found["names"] == {"0": rows["tokens"][0]["text"]}
    assert found["shown"]["1"]["top"] == rows["tokens"][1]["top"]
    assert "2" not in found["shown"]


def test_a_classifier(made: Callable[..., thence.Run], serving: Any, tmp_path: Any) -> None:
    path = tmp_path / "opinions.csv"
    rows = ["good film,yes", "bad film,no", "a good one,yes", "so bad,no"] * 4
    path.write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    run = thence.train(path, "linear", label="label", output=tmp_path / "labels", split="80/20/0")
    with serving(open_runs([run])) as client:
        found = ask(client, model="labels", text="a good film")
        assert (found["kind"], found["label"]) == ("classifier", "yes")
        assert [one["text"] for one in found["tokens"]] == ["a", "good", "film"]
        assert sum(found["probabilities"].values()) == pytest.approx(1)
        assert ask(client, model="labels", text="a", label="no")["label"] == "no"


def test_bad_requests(client: Any) -> None:
    assert (
        "no lens"
        in client.refused("/playground/look", {"model": "ngram", "lenses": ["gates"]})["message"]
    )
    assert (
        "`places`"
        in client.refused("/playground/look", {"model": "ngram", "places": [3, 1]})["message"]
    )
    refused = client.refused("/playground/look", {"model": "ngram", "places": [3]})
    assert refused["param"] == "places"
    assert client.post("/playground/look", {"model": "nothing"}).status == 404
    for more in ({"places": [0, 2000]}, {"places": [0, 900], "top": 200}):
        asked = {"model": "ngram", "text": "a", **more}
        assert "places are asked for" in client.refused("/playground/look", asked)["message"]
