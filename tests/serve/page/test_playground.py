"""The page's JSON: texts read token by token, blanks, maps."""

import math

import numpy as np
import pytest

import thence
from thence.evaluation.embeddings import embedding_table
from thence.serve.routes import read


def test_a_text_is_read_as_score_reads_it(server, runs_folder):
    answer = server.ask("/playground/read", {"model": "names", "text": "Marta"})
    [scored] = thence.score(runs_folder / "names", "Marta", tokens=True)
    *tokens, end = scored["tokens"]
    assert [token["name"] for token in answer["tokens"]] == [token["token"] for token in tokens]
    assert "".join(token["text"] for token in answer["tokens"]) == "Marta"
    surprisals = [token["surprisal"] for token in answer["tokens"]]
    np.testing.assert_allclose(surprisals, [one["surprisal_bits"] for one in tokens], atol=1e-4)
    assert answer["nats_with_end"] == pytest.approx(-scored["log_probability"], abs=1e-4)
    assert answer["nats"] == pytest.approx(-scored["log_probability"] + end["log_probability"])
    assert answer["perplexity"] == pytest.approx(math.exp(answer["nats"] / 5))
    assert answer["tokens"][-1]["perplexity"] == answer["perplexity"]


def test_what_follows_is_what_next_tokens_gives(server, runs_folder):
    for text in ("", "Mar"):
        answer = server.ask("/playground/read", {"model": "names", "text": text, "next": 5})
        *shown, end = answer["next"]["tokens"]
        assert end["is_boundary"] and len(shown) == 5
        expected = thence.next_tokens(runs_folder / "names", text, 5).tokens
        found = [(token["name"], token["probability"]) for token in shown]
        assert [name for name, _ in found] == [name for name, _ in expected]
        np.testing.assert_allclose([p for _, p in found], [p for _, p in expected], rtol=1e-4)
        whole = sum(p for _, p in found) + end["probability"] + answer["next"]["remaining"]
        assert whole == pytest.approx(1, abs=1e-5)
        size = len(server.models["names"].token_names)
        assert answer["next"]["others"] == size - 6


def test_alternatives_are_the_likeliest_at_their_place(server):
    request = {"model": "counts", "text": "An", "alternatives": 3}
    first, second = server.ask("/playground/read", request)["tokens"]
    before = server.ask("/playground/read", {"model": "counts", "text": "A", "next": 3})
    assert [one["text"] for one in first["alternatives"]][:2] == ["A", "M"]
    assert [one["id"] for one in second["alternatives"]] == [
        one["id"] for one in before["next"]["tokens"][:3]
    ]
    without = server.ask("/playground/read", request | {"alternatives": 0})["tokens"]
    assert all(token["alternatives"] == [] for token in without)


@pytest.mark.parametrize("model", ["names", "sentences", "subwords", "running", "bytes"])
def test_appending_what_follows_makes_the_text_that_has_it(server, model):
    text = ""
    for _ in range(6):
        answer = server.ask("/playground/read", {"model": model, "text": text, "next": 3})
        token = next(one for one in answer["next"]["tokens"] if not one["is_boundary"])
        ids = [one["id"] for one in answer["tokens"]]
        text += token["text"]
        read = server.ask("/playground/read", {"model": model, "text": text})
        assert "".join(one["text"] for one in read["tokens"]).strip() == text.strip()
        if model != "subwords":  # Two subwords may be written as one.
            assert [one["id"] for one in read["tokens"]] == [*ids, token["id"]]


def test_the_boundary_ends_a_document_where_lines_are_documents(server):
    request = {"model": "names", "text": "Anna", "next": 50}
    answer = server.ask("/playground/read", request)
    [end] = [token for token in answer["next"]["tokens"] if token["is_boundary"]]
    assert end["text"] == "\n"
    ended = server.ask("/playground/read", {"model": "names", "text": "Anna\n"})
    assert ended["tokens"][-1]["is_boundary"]
    assert ended["nats"] == pytest.approx(answer["nats_with_end"])
    literal = server.ask("/playground/read", request | {"text": "<boundary>"})["tokens"]
    assert [token["text"] for token in literal] == [*"<boundary>"]  # It is only what looks like it.


def test_a_token_is_shown_as_it_is_written(server):
    def read(model, text):
        answer = server.ask("/playground/read", {"model": model, "text": text})
        return [(token["text"], token["is_unknown"]) for token in answer["tokens"]]

    assert read("names", "Aλ") == [("A", False), ("λ", True)]
    assert read("names", "A\nM") == [("A", False), ("\n", False), ("M", False)]
    assert read("sentences", "the  Lynx, sat\nthe") == [
        ("the", False),
        ("  Lynx", True),
        (",", True),
        (" sat", False),
        ("\n", False),
        ("the", False),
    ]
    assert read("bytes", "é ") == [("", False), ("é", False), (" ", False)]
    assert read("names", "A\n\nM") == [("A", False), ("\n", False), ("M", False)]


def test_half_a_character_cannot_be_appended(server):
    answer = server.ask("/playground/read", {"model": "bytes", "text": "a", "next": 200})
    parts = {token["name"]: token["text"] for token in answer["next"]["tokens"]}
    assert parts["<0xC3>"] is None
    assert parts["<0x64>"] == "d"


def test_the_unknown_symbol_is_written_among_words_only(server):
    for model, text in (("names", None), ("sentences", " <unk>")):
        answer = server.ask("/playground/read", {"model": model, "text": "a", "next": 200})
        [unknown] = [one for one in answer["next"]["tokens"] if one["name"] == "<unk>"]
        assert unknown["text"] == text


def test_what_is_impossible_has_no_surprisal(server):
    answer = server.ask("/playground/read", {"model": "closed", "text": "tA"})
    assert [token["nats"] for token in answer["tokens"]] == [None, None]
    assert answer["tokens"][0]["probability"] == 0
    assert answer["nats"] is answer["nats_with_end"] is answer["perplexity"] is None


def test_what_cannot_be_read_is_refused_in_a_sentence(server, monkeypatch):
    path = "/playground/read"
    assert "'q'" in server.refusal(path, {"model": "closed", "text": "qq"})
    assert "no model 'nme'" in server.refusal(path, {"model": "nme"}, 404)
    assert "is no language model" in server.refusal(path, {"model": "opinions"}, 404)
    assert "Say which" in server.refusal(path, {}, 404)
    long = server.refusal(path, {"model": "names", "text": "a" * 20_000})
    assert "has 20,000 tokens; this server reads at most 16,384" in long
    for wrong in ({"text": 3}, {"text": "a", "more": 1}, {"next": -1}, {"alternatives": 21}):
        assert server.refusal(path, {"model": "names", **wrong})
    monkeypatch.setattr(read, "MAX_ALL_ALTERNATIVES", 10)
    answer = server.ask(path, {"model": "names", "text": "Anna", "alternatives": 5})
    assert [len(token["alternatives"]) for token in answer["tokens"]] == [2] * 4


def test_blanks_are_filled_as_fill_does(server, runs_folder):
    answer = server.ask("/playground/fill", {"model": "counts", "text": "M_rta", "blank": "_"})
    expected = thence.fill(runs_folder / "counts", "M_rta", 10, blank="_")
    assert [one["text"] for one in answer["fillings"]] == [one.text for one in expected.fillings]
    assert answer["fillings"][0]["share"] == pytest.approx(expected.fillings[0].share)
    assert answer["found"] == expected.found
    words = server.ask("/playground/fill", {"model": "sentences", "text": "the ___ sat"})
    assert words["exact"]


def test_too_many_blanks_and_too_long_texts_are_refused(server):
    path = "/playground/fill"
    assert "no blank" in server.refusal(path, {"model": "names", "text": "Anna"})
    many = {"model": "names", "text": "a_" * 9, "blank": "_"}
    assert "at most 8 blanks" in server.refusal(path, many)
    assert "500" in server.refusal(path, {"model": "names", "text": "_" * 501})
    assert server.refusal(path, {"model": "names", "text": "a___", "count": 51})


def test_embeddings_are_told_in_two_dimensions(server):
    answer = server.ask("/playground/embedding?model=names&limit=3")
    assert [point["text"] for point in answer["points"]] == ["A", "M", "N"]
    assert answer["dimensions"] == 4
    assert len(answer["shares"]) == 2
    assert len(server.ask("/playground/embedding?model=opinions")["points"]) > 3
    assert "has no embeddings" in server.refusal("/playground/embedding?model=counts")
    near = server.ask("/playground/neighbours?model=names&id=1&count=3")
    assert near == server.ask("/playground/neighbours?model=names&text=M&count=3")
    table = embedding_table(server.models["names"].run)
    cosines = table @ table[1] / np.linalg.norm(table, axis=1) / np.linalg.norm(table[1])
    symbols = len(server.models["names"].run.tokenizer.vocabulary.symbols)
    ranked = [index for index in np.argsort(-cosines[:symbols]) if index != 1][:3]
    assert [one["id"] for one in near["neighbours"]] == ranked
    told = [one["cosine"] for one in near["neighbours"]]
    np.testing.assert_allclose(told, cosines[ranked], atol=1e-5)
    for asked in ("id=9999", "text=", ""):
        assert server.refusal(f"/playground/neighbours?model=names&{asked}")
    assert "no model" in server.refusal("/playground/embedding?model=../x", status=404)
    assert server.refusal("/playground/embedding?model=names&limit=2001")


def test_any_label_may_be_explained(server, runs_folder):
    request = {"model": "opinions", "input": "a bad film", "explain": True, "label": "pos"}
    [found] = server.ask("/v1/classify", request)["data"]
    expected = thence.explain(runs_folder / "opinions", "a bad film", "pos")
    assert found["explained"] == "pos"
    weights = [word["weight"] for word in found["explanation"]]
    assert weights == pytest.approx([part.weight for part in expected.tokens], abs=1e-5)
    assert "no label 'x'" in server.refusal("/v1/classify", request | {"label": "x"})
