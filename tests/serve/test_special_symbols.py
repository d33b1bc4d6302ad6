"""A word that looks like a special symbol is told apart from it wherever either is shown."""

import json
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import thence
from thence.errors import ThenceWarning
from thence.serve import open_runs
from thence.tokens import BOUNDARY

LINES = ["a <boundary> b <unk>", "b <boundary> <boundary> a", "<boundary> a"] * 6
BESIDE = "<special boundary>"


@pytest.fixture(scope="module")
def literal(tmp_path_factory: pytest.TempPathFactory) -> thence.Run:
    """An n-gram model of words, of which one looks like the boundary and one like the unknown."""
    return trained(tmp_path_factory.mktemp("special"), tokens="words", unknown="refuse")


def trained(folder: Path, model: str = "ngram", **settings: Any) -> thence.Run:
    (folder / "text.txt").write_text("\n".join(LINES) + "\n")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ThenceWarning)  # It says that the text has such words.
        return thence.train(
            folder / "text.txt", model, output=folder / "run", split="100/0/0", **settings
        )


@pytest.fixture(scope="module")
def client(literal: thence.Run, serving: Callable[..., Any]) -> Iterator[Any]:
    with serving(open_runs([literal.folder])) as found:
        yield found


def test_the_next_token(literal: thence.Run) -> None:
    found = thence.next_tokens(literal, "a <boundary>")
    special = {item["token"]: item["special"] for item in found.to_json()["next"]}
    assert special == {BOUNDARY: False, "a": False, "b": False, "<unk>": False, BESIDE: True}
    shown = {line.split("  ")[0].strip() for line in str(found).splitlines()}
    assert shown == {'"<boundary>"', "a", "b", '"<unk>"', BESIDE}


def test_the_boundary_as_it_always_was(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("ab\nba\n" * 5)
    run = thence.train(tmp_path / "text.txt", "ngram", output=tmp_path / "run", order=2)
    found = thence.next_tokens(run)
    special = {item["token"]: item["special"] for item in found.to_json()["next"]}
    assert special == {"a": False, "b": False, "<unk>": True, BOUNDARY: True}
    assert BOUNDARY in str(found) and f'"{BOUNDARY}"' not in str(found)


def test_the_tokens_of_a_score(literal: thence.Run) -> None:
    (line,) = thence.score(literal, "<boundary> <unk>", tokens=True)
    found = [(item["token"], item["special"]) for item in line["tokens"]]
    assert found == [(BOUNDARY, False), ("<unk>", False), (BESIDE, True)]


def test_how_often_a_sample_has_the_unknown_symbol(tmp_path: Path) -> None:
    run = trained(tmp_path, tokens="characters", order=2, min_count=7, smoothing="add-k")
    samples = thence.sample(run, 8, max_length=20)
    unknown = run.tokenizer.vocabulary.unknown_id
    assert unknown is not None and sum(samples.to_json()["unknown"]) > 0
    assert samples.unknown == [text.count("\ufffd") for text in samples]


def test_an_onnx_file_has_a_name_for_each_id(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    from thence.exchange.onnx_file import metadata

    run = trained(tmp_path, "bigram", tokens="words", unknown="refuse", steps=1)
    names = json.loads(metadata(run)["vocabulary"])
    assert len(set(names)) == len(names)
    assert (names[-1], names.count(BOUNDARY)) == (BESIDE, 1)


def test_the_page_reads_it_as_a_word(client: Any) -> None:
    answer = client.post("/playground/read", {"text": "<boundary>", "alternatives": 5}).json()
    (token,) = answer["tokens"]
    assert (token["name"], token["text"], token["is_boundary"]) == (BOUNDARY, BOUNDARY, False)
    ends = {item["text"]: item["is_boundary"] for item in token["alternatives"]}
    assert (ends[BOUNDARY], ends[BESIDE]) == (False, True)
    following = {item["name"]: item["is_boundary"] for item in answer["next"]["tokens"]}
    assert (following[BOUNDARY], following[BESIDE]) == (False, True)


def test_clients_name_the_boundary_by_a_name_of_its_own(client: Any) -> None:
    info = client.get("/tokenizer_info").json()
    assert (info["bos_token"], info["eos_token"]) == (BESIDE, BESIDE)
    found = client.post("/tokenize", {"prompt": "<boundary>", "add_special_tokens": True}).json()
    assert found["token_strs"] == [BESIDE, BOUNDARY]
    answer = client.complete(prompt=BOUNDARY, max_tokens=0, echo=True, logprobs=5)
    assert answer["choices"][0]["logprobs"]["tokens"] == [BOUNDARY]
    answer = client.complete(prompt="a", max_tokens=1, logprobs=5)
    assert {BOUNDARY, BESIDE} <= set(answer["choices"][0]["logprobs"]["top_logprobs"][0])
