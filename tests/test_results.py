"""Results are a row that can be read again, and still no more is worked out than is asked for."""

from collections.abc import Iterator

import pytest

import thence
from thence.errors import SettingError, TextError, UnknownSymbolError
from thence.results import Results


def counting(asked: list[int], error: Exception | None = None) -> Iterator[int]:
    for number in range(5):
        asked.append(number)
        yield number
    if error is not None:
        raise error


def test_results_are_read_as_often_as_wished() -> None:
    results = Results(counting([]))
    assert list(results) == list(results) == [0, 1, 2, 3, 4]
    assert list(zip(results, results, strict=True))[3] == (3, 3)


@pytest.mark.parametrize("place", [0, 4, -1, -5])
def test_results_are_indexed(place: int) -> None:
    assert Results(counting([]))[place] == range(5)[place]


@pytest.mark.parametrize(
    "cut",
    [slice(2), slice(1, 3), slice(None), slice(-2, None), slice(None, None, -1), slice(0, 9, 2)],
    ids=str,
)
def test_results_are_cut(cut: slice) -> None:
    assert Results(counting([]))[cut] == list(range(5))[cut]


@pytest.mark.parametrize("place", [5, -6])
def test_an_index_beyond_the_end_is_an_error(place: int) -> None:
    with pytest.raises(IndexError):
        Results(counting([]))[place]


def test_no_more_is_worked_out_than_is_asked_for() -> None:
    asked: list[int] = []
    results = Results(counting(asked), length=5)
    assert len(results) == 5 and "5 results" in repr(results) and asked == []
    assert results[1] == 1 and asked == [0, 1]
    assert results[:3] == [0, 1, 2] and asked == [0, 1, 2]
    assert next(iter(results)) == 0 and asked == [0, 1, 2]
    assert len(Results(counting([]))) == 5


def test_next_gives_what_it_has_not_given_yet() -> None:
    results = Results(counting([]))
    assert [next(results), next(results)] == [0, 1]
    assert list(results) == [0, 1, 2, 3, 4]
    assert [next(results, None) for _ in range(4)] == [2, 3, 4, None]


def test_an_error_is_not_taken_for_the_end() -> None:
    results = Results(counting([], TextError("no")))
    assert results[4] == 4
    for _ in range(2):
        with pytest.raises(TextError, match="no"):
            list(results)
    assert results[:5] == [0, 1, 2, 3, 4]


def test_very_many_results_need_not_be_kept() -> None:
    results = Results(counting([]))
    assert results[0] == 0
    assert list(results.once()) == [0, 1, 2, 3, 4]
    assert list(results) == [0]


def test_scores_and_labels_are_such_results(sentences: thence.Run, opinions: thence.Run) -> None:
    scores = thence.score(sentences, ["the war", "", "a song"])
    assert len(scores) == 3
    assert scores[-1]["text"] == "a song"
    assert [score["text"] for score in scores] == [score["text"] for score in scores]
    labels = thence.classify(opinions, (text for text in ("good", "bad")))
    assert [found.text for found in labels[:]] == ["good", "bad"] and len(labels) == 2


@pytest.mark.parametrize("texts", [{"a": 1}, b"a", 3, {"a", "b"}])
def test_what_is_no_row_of_texts_is_refused(sentences: thence.Run, texts: object) -> None:
    with pytest.raises(TextError, match="The texts to read is of the type"):
        thence.score(sentences, texts)
    with pytest.raises(TextError, match="The texts to read is of the type"):
        sentences.tokenizer.encode(texts)


def test_a_single_string_is_one_text_everywhere(
    sentences: thence.Run, opinions: thence.Run
) -> None:
    assert sentences.tokenizer.encode("the war").num_documents == 1
    assert len(thence.score(sentences, "the war")) == 1
    assert len(thence.classify(opinions, "a good film")) == 1
    with pytest.raises(TextError, match="it must be one text"):
        thence.explain(opinions, ["a good film"])
    with pytest.raises(TextError, match=r"item 0 is \['the'\]"):
        thence.next_tokens(sentences, ["the"])


def test_a_refused_symbol_is_refused_again(tmp_path: object) -> None:
    run = thence.train(["ab", "ba"] * 5, "bigram-counts", unknown="refuse", output=tmp_path / "run")
    scores = run.score(["ab", "q"])
    for _ in range(2):
        with pytest.raises(UnknownSymbolError):
            list(scores)


def test_texts_in_memory_are_judged_and_compared(sentences: thence.Run, tmp_path: object) -> None:
    texts = ["the war", "a song\na trade"]
    judged = thence.evaluate(sentences, text=iter(texts))
    assert (judged.documents, judged.text) == (2, "text in memory")
    other = thence.train(["the war", "a song"] * 9, "bigram-counts", output=tmp_path / "run")
    compared = thence.compare([sentences, other], text=(text for text in texts))
    assert (compared.documents, compared.text) == (2, "text in memory")


def test_a_classifier_is_judged_on_documents_that_have_labels(opinions: thence.Run) -> None:
    judged = thence.evaluate(opinions, text=opinions.documents("dev"))
    assert judged.documents == thence.evaluate(opinions).documents
    assert judged.text == "text in memory"
    with pytest.raises(SettingError, match=r"thence\.TextClassifier"):
        thence.evaluate(opinions, text=["a good film"])
