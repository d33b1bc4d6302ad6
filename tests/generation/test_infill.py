import json
from collections.abc import Callable, Iterable
from itertools import product

import numpy as np
import pytest

from thence.errors import SettingError, TextError, UnknownSymbolError
from thence.evaluation.scoring import score
from thence.generation import fill, split_blanks
from thence.runs import Run

Trained = Callable[..., Run]
SENTENCES = [
    "the cat sat on the mat.",
    "the dog sat on the rug.",
    "a dog ran to the cat.",
    "the cat saw a mouse, and ran.",
] * 4


@pytest.fixture
def words(trained: Trained) -> Run:
    return trained("ngram", lines=SENTENCES, tokens="words", order=3)


def best(run: Run, texts: Iterable[str]) -> list[tuple[str, float]]:
    """Texts and their log-probabilities, the likeliest first."""
    lines = [(line["text"], line["log_probability"]) for line in score(run, list(texts))]
    return sorted(lines, key=lambda line: -line[1])


def found(run: Run, text: str, **settings: object) -> list[tuple[str, float]]:
    fillings = fill(run, text, **settings).fillings
    return [(one.text, one.log_probability) for one in fillings]


def same(some: list[tuple[str, float]], others: list[tuple[str, float]]) -> None:
    """Equal scores in the same order, and equal texts: of ties any order will do."""
    assert [value for _, value in some] == pytest.approx([value for _, value in others])
    assert dict(some) == pytest.approx(dict(others))


@pytest.mark.parametrize(
    "text",
    ["the {} sat on the mat.", "{} cat sat", "the cat sat on the {}", "({}) cat", "{}"],
)
def test_one_word_is_exactly_that_of_all_scores(words: Run, text: str) -> None:
    symbols = words.tokenizer.vocabulary.symbols
    expected = best(words, (text.format(word) for word in symbols))
    fillings = fill(words, text.format("___"), 999)
    assert fillings.exact and fillings.found == len(symbols)
    same(found(words, text.format("____"), count=999), expected)
    shares = np.exp([value for _, value in expected])
    shares /= shares.sum()
    assert [one.share for one in fillings.fillings] == pytest.approx(shares)


def test_the_text_after_the_blank_decides(words: Run) -> None:
    assert found(words, "the ___ sat", count=1)[0][0] == "the dog sat"
    assert found(words, "the ___ saw", count=1)[0][0] == "the cat saw"
    assert found(words, "a ___ ran", count=1)[0][0] == "a dog ran"
    assert found(words, "the cat saw a ___, and ran.", count=1)[0][0].split()[4] == "mouse,"


def test_several_blanks_are_filled_together(words: Run) -> None:
    symbols = words.tokenizer.vocabulary.symbols
    pairs = product(symbols, repeat=2)
    expected = best(words, (f"the {one} sat on the {other}." for one, other in pairs))
    fillings = fill(words, "the ___ sat on the ___.")
    assert fillings.exact
    same([(one.text, one.log_probability) for one in fillings.fillings], expected[:5])
    assert fillings.fillings[0].blanks == ["dog", "mat"]


@pytest.mark.parametrize("model", ["ngram", "mlp", "bigram-counts"])
def test_a_wide_beam_is_exact_too(trained: Trained, model: str) -> None:
    run = trained(model, lines=SENTENCES, tokens="words")
    for text in ("the ___ sat on ___ mat.", "___ ___ sat", "a ___", "___"):
        exact = fill(run, text, 10)
        searched = fill(run, text, 10, beam=999, max_exact=0)
        assert exact.exact and not searched.exact
        same(
            [(one.text, one.log_probability) for one in searched.fillings],
            [(one.text, one.log_probability) for one in exact.fillings],
        )


@pytest.mark.parametrize("model", ["ngram", "lstm"])
def test_runs_of_characters(trained: Trained, model: str) -> None:
    small = {"steps": 20, "threads": 1} if model == "lstm" else {}
    run = trained(model, unknown="refuse", **small)
    symbols = run.tokenizer.vocabulary.symbols
    runs = ["".join(letters) for n in (1, 2, 3) for letters in product(symbols, repeat=n)]
    expected = best(run, (f"a{letters}x" for letters in runs))
    assert fill(run, "a___x", longest=3).exact
    exact = found(run, "a___x", longest=3)
    np.testing.assert_allclose([v for _, v in exact], [v for _, v in expected[:5]], rtol=1e-5)
    searched = fill(run, "a___x", longest=5, beam=300)
    assert not searched.exact
    assert searched.fillings[0].log_probability >= exact[0][1] - 1e-4


def test_an_open_text_has_no_end(trained: Trained) -> None:
    # bigram-counts of "ab" and "aa": closed, "a_" asks for what ends; open, for what follows a.
    run = trained(lines=["abaa", "abaa", "abab"], add_k=0.01)
    assert found(run, "ab___", count=1, longest=1)[0][0] == "aba"
    assert found(run, "a___", count=1, longest=1, goes_on=True)[0][0] == "ab"
    (line,) = score(run, ["ab"], tokens=True)
    whole = sum(token["log_probability"] for token in line["tokens"][:-1])
    assert found(run, "a___", longest=1, goes_on=True)[0][1] == pytest.approx(whole)


@pytest.mark.parametrize("tokens", ["characters", "bytes", "words", "subwords"])
def test_every_level_keeps_the_text_and_scores_it(trained: Trained, tokens: str) -> None:
    run = trained("ngram", lines=SENTENCES, tokens=tokens, order=4)
    fillings = fill(run, "the ___  sat on\tthe ___.").fillings
    assert fillings
    assert found(run, "the ___ sat on the mat.", count=1)[0][0] == "the cat sat on the mat."
    for one in fillings:
        first, second = one.blanks
        assert " ".join(f"the {first} sat on the {second}.".split()) == " ".join(one.text.split())
        assert "  sat on\tthe " in one.text
        ((_, value),) = best(run, [one.text])
        assert one.log_probability == pytest.approx(value)


def test_no_broken_characters_and_no_unknown_ones(trained: Trained) -> None:
    run = trained("bigram-counts", lines=["žluť", "žal", "zub", "kůň"] * 4, tokens="bytes")
    fillings = fill(run, "___", 99, longest=3).fillings
    assert fillings and not any("\ufffd" in one.text for one in fillings)


def test_unknown_symbols_fill_no_blank(trained: Trained) -> None:
    fillings = fill(trained(lines=["ab"]), "a___", longest=1).fillings
    assert [one.text for one in fillings] == ["ab", "aa"]


def test_blanks_are_found() -> None:
    assert split_blanks("a ___ b _____c") == ["a ", " b ", "c"]
    assert split_blanks("______") == ["", ""]
    assert split_blanks("a__b_", "_") == ["a", "", "b", ""]
    assert split_blanks("a [?] ___", "[?]") == ["a ", " ___"]


def test_shown_and_as_json(words: Run) -> None:
    fillings = fill(words, "the [] sat", 2, blank="[]")
    read = json.loads(json.dumps(fillings.to_json(), allow_nan=False))
    assert read["text"] == "the [] sat" and len(read["fillings"]) == 2
    assert [one["blanks"] for one in read["fillings"]] == [["dog"], ["cat"]]
    first = fillings.fillings[0]
    shown = str(fillings).splitlines()
    assert shown[0] == f"{first.share:.4f}  {first.log_probability:.2f}  {first.text}"


def test_refusals(trained: Trained) -> None:
    run = trained(unknown="refuse")
    for name in ("count", "longest", "beam"):
        with pytest.raises(SettingError, match=f"`{name}` is 0; it must be a whole number .*1"):
            fill(run, "a___", **{name: 0})
    with pytest.raises(TextError, match=r"no blank in 'ax': write ___ where .* `blank`"):
        fill(run, "ax")
    with pytest.raises(SettingError, match="`blank` is empty"):
        fill(run, "ax", blank="")
    for text in ("ü___", "___ü"):
        with pytest.raises(UnknownSymbolError, match=r"'ü' .* closed vocabulary"):
            fill(run, text)


@pytest.mark.parametrize(
    "text", ["the c___ sat", "the ___s", "the ___'s", "don'___", "___ ______x", "a [][] b"]
)
def test_a_blank_is_no_part_of_a_word(words: Run, text: str) -> None:
    with pytest.raises(TextError, match=r"touches a word or another blank.*set spaces around it"):
        fill(words, text, blank="[]" if "[]" in text else "___")


def test_a_blank_may_stand_beside_marks(words: Run) -> None:
    assert fill(words, "'___' (___), ___.").fillings


def test_words_between_spaces_hold_their_marks(trained: Trained) -> None:
    words = trained("ngram", lines=SENTENCES, tokens="words", word_split="whitespace")
    assert found(words, "the cat sat on the ___", count=1)[0][0].endswith(".")
    with pytest.raises(TextError, match="touches a word"):
        fill(words, "the cat sat on the ___.")


def test_nothing_possible_is_a_sentence(trained: Trained) -> None:
    run = trained(lines=["ab", "ab", "bx"], add_k=0.0, unknown="refuse")
    for exact in (0, 8192):
        with pytest.raises(TextError, match=r"No filling of 'x___a' .* above 0; widen `beam`"):
            fill(run, "x___a", longest=1, max_exact=exact)


def test_what_may_stand_in_a_blank_can_be_given(sentences: Run) -> None:
    words = ["war", "trade", "a very long war", "war"]
    found = fill(sentences, "the ___", among=iter(words))
    assert {one.blanks[0] for one in found} == {*words}
    assert found.found == 3 and found.exact
    scores = {
        score["text"]: score["log_probability"]
        for score in score(sentences, [f"the {word}" for word in words])
    }
    for one in found:
        assert one.log_probability == pytest.approx(scores[one.text], abs=1e-4)
    assert sum(one.share for one in found) == pytest.approx(1)
    assert [one.log_probability for one in found] == sorted(
        (one.log_probability for one in found), reverse=True
    )
    assert len(fill(sentences, "the ___", 1, among=words)) == 1


def test_of_several_blanks_every_combination_is_judged(sentences: Run) -> None:
    found = fill(sentences, "___ war, ___ song", among=["the", "a"])
    assert len(found) == 4 and ["the", "a"] in [one.blanks for one in found]
    with pytest.raises(SettingError, match="100 candidates for 2 blanks, which is more than 8,192"):
        fill(sentences, "___ ___", among=[str(number) for number in range(100)])


@pytest.mark.parametrize(
    ("among", "sentence"),
    [([], "`among` is empty"), (["a", ""], "`among` has ''"), (["a", 3], "`among` has 3")],
)
def test_what_cannot_stand_in_a_blank_is_refused(
    sentences: Run, among: list[str], sentence: str
) -> None:
    with pytest.raises(SettingError, match=sentence):
        fill(sentences, "the ___", among=among)
    with pytest.raises(SettingError, match="`longest`"):
        fill(sentences, "the ___", among=["a"], longest=2)
