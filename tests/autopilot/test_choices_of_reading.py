"""How a text is read where that is left open: blank lines, and words or characters."""

from pathlib import Path
from random import Random
from typing import Any

import pytest

import thence
from thence.autopilot.autopilot import TOLERANCE
from thence.autopilot.budget import make_budget
from thence.autopilot.reading import ReadText, read_text
from thence.recipes import make_recipe

WORDS = [f"{start}{end}" for start in "bdfgklm" for end in ("an", "el", "ir", "os")]
PARAGRAPHS = [" ".join(WORDS[(place * 7 + at) % 28] for at in range(400)) for place in range(10)]
BOOK = "\n\n".join(PARAGRAPHS) + "\n\n\n"


def read(path: Path, text: str, **settings: Any) -> ReadText:
    path.write_text(text, encoding="utf-8")
    named = make_recipe(str(path), "ngram", settings)
    return read_text(named, {}, settings, make_budget(None, 10, None))


def test_running_text_is_read_byte_for_byte(tmp_path: Path) -> None:
    found = read(tmp_path / "book.txt", BOOK)
    assert found.recipe.reading.keep_empty
    assert found.recipe.splitting.by == "position"
    splits = (found.splits.train, found.splits.dev, found.splits.test)
    stores = [found.data.tokenizer.encode(split) for split in splits]
    size = sum(int((store.byte_counts + 1).sum()) for store in stores)
    assert size == (tmp_path / "book.txt").stat().st_size
    assert "".join(f"{line}\n" for split in splits for line in split) == BOOK


def test_blank_lines_of_other_texts_are_skipped(tmp_path: Path) -> None:
    found = read(tmp_path / "names.txt", "\n\n".join(WORDS))
    assert not found.recipe.reading.keep_empty
    assert len(found.splits.train) + len(found.splits.dev) + len(found.splits.test) == 28


@pytest.mark.parametrize("keep", [False, True])
def test_who_says_how_blank_lines_are_read_is_heard(tmp_path: Path, keep: bool) -> None:
    for text in (BOOK, "\n\n".join(WORDS)):
        found = read(tmp_path / "text.txt", text, keep_empty=keep)
        assert found.recipe.reading.keep_empty == keep
        every = [*found.splits.train, *found.splits.dev, *found.splits.test]
        assert ("" in every) == keep


def test_words_or_characters_are_chosen_by_measuring(tmp_path: Path) -> None:
    # Twenty-eight words in a fixed order: whoever knows the words knows the text.
    assert read(tmp_path / "book.txt", BOOK).recipe.tokens.tokens == "words"
    assert read(tmp_path / "book.txt", BOOK, tokens="bytes").recipe.tokens.tokens == "bytes"
    assert read(tmp_path / "names.txt", "\n".join(WORDS)).recipe.tokens.tokens == "characters"


def test_a_large_alphabet_is_modelled_as_words_are(tmp_path: Path) -> None:
    random = Random(0)
    symbols = [chr(0x4E00 + at) for at in range(1100)]
    lines = ["".join(random.choices(symbols, k=40)) for _ in range(200)]
    (tmp_path / "text.txt").write_text("\n".join(lines), encoding="utf-8")
    done = thence.best(tmp_path / "text.txt", steps=2, output=tmp_path / "run")
    assert done.run.recipe.tokens.tokens == "characters"
    tried = {one.name: one for one in done.tried}
    assert {"ngram 3", "ngram 5"} <= {*tried} and "ngram 9" not in tried
    # What is worse than the n-grams has no place beside them, but for what pruning may cost.
    assert done.nats <= min(one.nats for one in done.tried) + TOLERANCE
