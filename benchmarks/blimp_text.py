"""At most ten million words of sentences, for models that are judged by minimal pairs.

The text is WikiText-2 (its train part) and the film reviews of IMDB, train and test, without their
labels. It becomes sentences, a line each, with the spelling of ordinary text: WikiText's spaces
around marks and its ``<unk>`` are gone, and so are the tags of the reviews. Words are what
``str.split`` gives, as in the BabyLM challenge.
"""

import csv
import gzip
import re
from collections.abc import Iterable, Iterator
from io import TextIOWrapper
from pathlib import Path

WORDS = 10_000_000
"""Words of train at most, as in BabyLM's track ``strict-small``."""
DEV_EVERY = 150
"""One document (a review, a paragraph) of so many is kept for dev."""
FEWEST_WORDS, MOST_WORDS = 2, 40
"""Of a sentence that is kept: a shorter one is a fragment, a longer one takes more time than it
teaches. With at most 25 words, 6.3 million words would be left instead of 9.7."""

TAG = re.compile(r"<[^<>]*>")
END = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[]*[A-Z0-9])")
"""Between two sentences; a mark that closes goes with the end."""
ABBREVIATION = re.compile(
    r"(?:^|[\s(\"'])(?:[A-Z]|Mr|Mrs|Ms|Dr|St|Jr|Sr|vs|etc|Lt|Col|Gen|Capt|Prof|Rev|No|e\.g|i\.e"
    r"|U\.S|Vol|Ft|Mt|approx)\.$"
)
WIKI = (
    (re.compile(r" @([-,.])@ "), r"\1"),
    (re.compile(r" (n't|'(?:s|re|ve|ll|d|m|S))\b"), r"\1"),
    (re.compile(r" ([.,;:!?%)\]])"), r"\1"),
    (re.compile(r"([(\[$£]) "), r"\1"),
    (re.compile(r"\" ([^\"]*?) \""), r'"\1"'),
    (re.compile(r" ' ([^']*?) ' "), r" '\1' "),
    (re.compile(r"s ' "), r"s' "),
)


def sentences(text: str) -> Iterator[str]:
    """Yield the sentences of a paragraph."""
    start = 0
    for found in END.finditer(text):
        if ABBREVIATION.search(text[start : found.start()]):
            continue
        yield text[start : found.end()].strip()
        start = found.end()
    yield text[start:].strip()


def is_usable(sentence: str) -> bool:
    """Whether a sentence is whole: it begins with a capital and ends with its mark."""
    words = sentence.split()
    if not FEWEST_WORDS <= len(words) <= MOST_WORDS:
        return False
    whole = sentence[0].isupper() and sentence.rstrip("\"')]")[-1:] in tuple(".!?")
    letters = sum(map(str.isalpha, sentence))
    capitals = sum(map(str.isupper, sentence))
    return whole and 0.6 * len(sentence) < letters and capitals < 0.3 * letters


def reviews(path: Path) -> Iterator[list[str]]:
    """Yield the sentences of each review."""
    with gzip.open(path) as file:
        for row in csv.DictReader(TextIOWrapper(file, "utf-8", newline="")):
            text = re.sub(r"\s+", " ", TAG.sub("\n", row["text"]).replace("\n", " \n ")).strip()
            text = re.sub(r"[`´’‘]", "'", text)
            text = re.sub(r"''|[“”]", '"', text)
            text = re.sub(r"([.!?])\1+", r"\1", text)
            yield [sentence for sentence in sentences(text) if is_usable(sentence)]


def paragraphs(path: Path) -> Iterator[list[str]]:
    """Yield the sentences of each paragraph of WikiText, those without a word left out."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            if not line.strip() or line.startswith(" = "):
                continue
            for pattern, plain in WIKI:
                line = pattern.sub(plain, line)
            found = (sentence for sentence in sentences(line.strip()) if "<unk>" not in sentence)
            yield [sentence for sentence in found if is_usable(sentence)]


def documents(data: Path) -> Iterator[list[str]]:
    """Yield all documents: WikiText, then the reviews."""
    yield from paragraphs(data / "wikitext-2" / "train.txt.gz")
    for part in ("train", "test"):
        yield from reviews(data / "imdb" / f"{part}.csv.gz")


def write_text(data: Path, folder: Path, words: int = WORDS) -> tuple[int, int]:
    """Write ``train.txt`` and ``dev.txt``; return how many words each has."""
    return split(documents(data), folder, words)


def split(found: Iterable[list[str]], folder: Path, words: int) -> tuple[int, int]:
    """Write train until it has so many words, and dev: every ``DEV_EVERY``-th document."""
    seen: set[str] = set()
    counts = [0, 0]
    with (folder / "train.txt").open("w") as train, (folder / "dev.txt").open("w") as dev:
        for number, lines in enumerate(found, 1):
            is_dev = number % DEV_EVERY == 0
            for line in lines:
                size = len(line.split())
                if line in seen or (not is_dev and counts[0] + size > words):
                    continue
                seen.add(line)
                (dev if is_dev else train).write(f"{line}\n")
                counts[is_dev] += size
    return counts[0], counts[1]
