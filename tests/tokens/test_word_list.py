"""A vocabulary from a list, as other programs have one."""

from pathlib import Path

import pytest

from thence.corpus import Documents
from thence.errors import SettingError, TextError
from thence.tokens import TokenOptions, learn_tokens, make_tokenizer, tokenizer_from_json
from thence.tokens.vocabulary import read_word_list
from thence.training import train

TEXTS = Documents.from_strings(["the cat saw a dog", "the dog ran <unk>"])


@pytest.fixture
def listed(tmp_path: Path) -> str:
    path = tmp_path / "words.txt"
    path.write_bytes("\ufeff<s>\n</s>\ndog\r\nfish\t7\ncat NN\n\n<unk>\ndog\n".encode())
    return str(path)


def test_a_list_is_read_in_its_order(listed: str) -> None:
    assert read_word_list(listed) == ["dog", "fish", "cat"]


def test_exactly_the_words_of_the_list_have_ids(listed: str) -> None:
    options = TokenOptions("words", vocabulary=listed)
    tokenizer, store = learn_tokens(TEXTS, options)
    assert tokenizer.vocabulary.symbols == ("dog", "fish", "cat")
    assert tokenizer.left_out == ("a", "ran", "saw", "the")
    assert store.ids.tolist() == [4, 3, 2, 3, 3, 0, 4, 3, 0, 3, 3, 4]
    again = tokenizer_from_json(tokenizer.to_json(), "a")
    assert again.content_hash() == tokenizer.content_hash()
    letters = Path(listed).with_name("letters.txt")
    letters.write_text("t\n \nq\n")
    made = make_tokenizer(TEXTS, TokenOptions(vocabulary=str(letters)))
    assert made.vocabulary.symbols == (" ", "q", "t")


def test_a_word_that_was_never_seen_has_a_probability(listed: str, tmp_path: Path) -> None:
    run = train(
        list(TEXTS),
        "ngram",
        output=tmp_path / "run",
        order=2,
        tokens="words",
        vocabulary=listed,
        split="100/0/0",
    )
    log_probs, _ = run.model.step(run.store("train").ids[:1], run.model.start(1))
    assert log_probs[0, 1] > -20


def test_a_list_that_does_not_fit_is_refused(listed: str, tmp_path: Path) -> None:
    for settings, said in (
        ({"tokens": "subwords"}, "a list of words or characters"),
        ({"tokens": "words", "min_count": 2}, "leave out `max_size` and `min_count`"),
    ):
        with pytest.raises(SettingError, match=said):
            make_tokenizer(TEXTS, TokenOptions(vocabulary=listed, **settings))
    with pytest.raises(SettingError, match="holds 'dog', which is no character"):
        make_tokenizer(TEXTS, TokenOptions(vocabulary=listed))
    with pytest.raises(TextError, match="cannot be read: No such file"):
        make_tokenizer(TEXTS, TokenOptions("words", vocabulary=str(tmp_path / "none")))
