import numpy as np
import pytest

import thence
from thence.errors import SettingError
from thence.generation.sampling_filters import ModelWithoutBadWords, without_bad_words
from thence.models.base import read

SENTENCES = "the cat sat\nthe dog sat\nthe cat ran\na cat ran\na dog sat\nthe rare one sat\n" * 4


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> thence.Run:
    """A model of words in which ``rare`` and ``one`` are unknown."""
    folder = tmp_path_factory.mktemp("words")
    (folder / "text.txt").write_text(SENTENCES)
    settings = {"tokens": "words", "min_count": 5, "order": 2, "split": "100/0/0"}
    return thence.train(folder / "text.txt", "ngram", output=folder / "run", **settings)


@pytest.fixture(scope="module")
def letters(tmp_path_factory: pytest.TempPathFactory) -> thence.Run:
    folder = tmp_path_factory.mktemp("letters")
    (folder / "text.txt").write_text("abc\nabd\nbad\ncab\n" * 5)
    sizes = {"embedding_size": 3, "hidden_size": 4, "steps": 5, "split": "100/0/0", "threads": 1}
    return thence.train(folder / "text.txt", "lstm", output=folder / "run", **sizes)


def test_no_sample_holds_a_bad_word(words: thence.Run) -> None:
    assert any("<unk>" in text for text in thence.sample(words, 50).texts)
    texts = thence.sample(words, 50, bad_words=["<unk>", "the cat", "ran"]).texts
    assert all(bad not in text for text in texts for bad in ("<unk>", "the cat", "ran"))
    assert any("cat" in text for text in texts)
    assert any("the dog" in text for text in texts)


@pytest.mark.parametrize("seed", [None, 1])
def test_no_completion_completes_a_bad_word(letters: thence.Run, seed: int | None) -> None:
    found = thence.complete(letters, "a", 5, seed=seed, max_length=6, bad_words=["bc", "d"])
    texts = [completion.text for completion in found.completions]
    assert texts and all("bc" not in text and "d" not in text for text in texts)
    for completion in found.completions:  # Their probability is what the model says of them.
        if completion.finished:
            whole, part = (next(thence.score(letters, [t])) for t in (completion.text, "a"))
            of_prefix = part["log_probability"] - _end(letters, "a")
            expected = whole["log_probability"] - of_prefix
            assert completion.log_probability == pytest.approx(expected, abs=1e-4)


def _end(run: thence.Run, text: str) -> float:
    """Return the log-probability that a text ends there."""
    (score,) = thence.score(run, [text], tokens=True)
    return float(score["tokens"][-1]["log_probability"])


def test_reading_at_once_and_step_by_step_agree(letters: thence.Run) -> None:
    model = without_bad_words(letters, ["ab", "b"])
    ids = np.array([[4, 0, 1, 2], [4, 1, 0, 0]])
    at_once, _ = read(model, ids, model.start(2))
    state, steps = model.start(2), []
    for column in ids.T:
        log_probs, state = model.step(column, state)
        steps.append(log_probs)
    np.testing.assert_allclose(at_once, np.stack(steps, axis=1), rtol=1e-5)


def test_a_text_ends_where_nothing_else_may_follow(letters: thence.Run) -> None:
    names = letters.tokenizer.vocabulary.names()
    texts = thence.sample(letters, 5, bad_words=names[:-1]).texts
    assert texts == [""] * 5


def test_what_cannot_be_drawn_changes_nothing(letters: thence.Run) -> None:
    assert without_bad_words(letters, ["xyz"]) is letters.model
    assert without_bad_words(letters, []) is letters.model
    assert isinstance(without_bad_words(letters, ["ab"]), ModelWithoutBadWords)


@pytest.mark.parametrize(("words", "message"), [("the", "give a list"), ([" "], "an empty word")])
def test_words_that_make_no_sense(letters: thence.Run, words: list[str], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        thence.sample(letters, 1, bad_words=words)
