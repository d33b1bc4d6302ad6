"""A CTC beam search on made utterances: word error rates and seconds, beside pyctcdecode.

    python benchmarks/ctc.py DATA

DATA holds ``ptb/``. A sentence of PTB's test text becomes frames as an acoustic model gives them:
each character takes one to three frames, blanks stand between some, letters are taken for others
that sound alike, and all logits have noise. The language models are trained on PTB's train text;
alpha and beta are chosen on utterances of its validation text. pyctcdecode runs where it is
installed (``pip install --no-deps pyctcdecode pygtrie kenlm``), with the same n-grams.
"""

import gzip
import logging
import sys
from collections.abc import Callable, Sequence
from itertools import groupby, product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from measuring import Results, cpu

import thence
from thence.ctc import Decoder
from thence.evaluation.rescoring import word_errors

UTTERANCES, DEV, TIMED = 1000, 100, 100
"""Utterances that are decoded, that alpha and beta are chosen on, and that are timed."""
LABELS = [" ", *"abcdefghijklmnopqrstuvwxyz'", ""]
ALIKE = (
    "bp",
    "dt",
    "gk",
    "vf",
    "sz",
    "mn",
    "ae",
    "ei",
    "ou",
    "ck",
    "iy",
    "lr",
    "uw",
    "qk",
    "jg",
    "xs",
    "h ",
)
"""Letters that are taken for one another."""
LEVEL, NOISE, MISTAKEN, BLANKS = 5.0, 1.2, 0.12, 0.35
"""The logit of what is said, the deviation of noise, and how many letters are mistaken for another
that has a logit about as high, and how many have a blank before them."""
ALPHAS, BETAS = (0.3, 0.5, 0.7, 1.0, 1.4), (0.0, 1.5, 3.0, 4.5)
SEED = 7
RESULTS = Results("ctc", "python benchmarks/ctc.py DATA", ("numpy", "pyctcdecode", "kenlm"))


def sentences(path: Path, count: int, generator: np.random.Generator) -> list[str]:
    """Return sentences of a text, without what is not spelled: numbers, signs and unknown words."""
    data = path.read_bytes()
    lines = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8").splitlines()
    spoken = set(LABELS)
    kept = [
        " ".join(w for w in line.split() if w not in ("N", "<unk>") and set(w) <= spoken)
        for line in lines
    ]
    kept = [line for line in kept if len(line.split()) > 3]
    return [kept[place] for place in generator.permutation(len(kept))[:count]]


def frames_of(text: str, generator: np.random.Generator) -> np.ndarray[Any, Any]:
    """Return logits of frames that say a text."""
    place = {label: number for number, label in enumerate(LABELS)}
    alike: dict[str, list[int]] = {}
    for one, other in ALIKE:
        alike.setdefault(one, []).append(place[other])
        alike.setdefault(other, []).append(place[one])
    said: list[tuple[int, int | None]] = []
    before = ""
    for character in text:
        if character == before or generator.random() < BLANKS:
            said.append((place[""], None))
        is_mistaken = character in alike and generator.random() < MISTAKEN
        other = int(generator.choice(alike[character])) if is_mistaken else None
        said += [(place[character], other)] * int(generator.integers(1, 4))
        before = character
    logits = generator.normal(0, NOISE, (len(said), len(LABELS)))
    for frame, (label, other) in enumerate(said):
        logits[frame, label] += LEVEL
        if other is not None:
            logits[frame, label] -= 1.0
            logits[frame, other] += LEVEL
    return logits


def greedy(logits: np.ndarray[Any, Any]) -> str:
    """Return the text of the likeliest labels."""
    text = "".join(LABELS[label] for label, _ in groupby(logits.argmax(axis=1).tolist()))
    return " ".join(text.split())


def error_rate(references: Sequence[str], texts: Sequence[str]) -> float:
    """Return word errors per word of the references, in per cent."""
    errors = sum(int(word_errors(a, [b])[0]) for a, b in zip(references, texts, strict=True))
    return 100 * errors / sum(len(reference.split()) for reference in references)


def chosen(
    decoder: Decoder,
    references: Sequence[str],
    logits: Sequence[Any],
) -> tuple[float, float]:
    """Return the alpha and beta with the fewest errors on dev, and set them."""

    def errors(weights: tuple[float, float]) -> float:
        decoder.reset_params(*weights)
        return error_rate(references, decoder.decode_batch(None, logits))

    best = min(product(ALPHAS, BETAS), key=errors)
    decoder.reset_params(*best)
    return best


def main() -> None:
    """Measure everything and keep the results."""
    data = Path(sys.argv[1]) / "ptb"
    generator = np.random.default_rng(SEED)
    dev = sentences(data / "ptb.valid.txt", DEV, generator)
    test = sentences(data / "ptb.test.txt", UTTERANCES, generator)
    logits_of_dev, logits = ([frames_of(one, generator) for one in some] for some in (dev, test))
    print(f"{len(test)} utterances, {sum(map(len, logits)):,} frames")
    rates = {"greedy": [error_rate(test, [greedy(one) for one in logits])]}
    without = Decoder(LABELS)
    rates["no language model"] = [error_rate(test, without.decode_batch(None, logits))]
    with TemporaryDirectory() as place:
        folder = Path(place)
        words = {"tokens": "words", "word_split": "whitespace", "split": "100/0/0"}
        train = data / "ptb.train.txt.gz"
        run = thence.train(train, "ngram", output=folder / "words", order=4, **words)
        letters = thence.train(
            train, "ngram", output=folder / "letters", order=8, tokens="characters", split="100/0/0"
        )
        decoder = Decoder(LABELS, run)
        alpha, beta = chosen(decoder, dev, logits_of_dev)
        rates["4-gram of words"] = [error_rate(test, decoder.decode_batch(None, logits))]
        few = slice(0, TIMED)
        spelled = Decoder(LABELS, letters)
        chosen(spelled, dev, logits_of_dev)
        rates["8-gram of characters"] = [error_rate(test, spelled.decode_batch(None, logits))]
        arpa = folder / "words.arpa"
        thence.export(run, arpa)
        sides: dict[str, Callable[[], float]] = {
            "thence": cpu(lambda: [decoder.decode(one) for one in logits[few]])
        }
        of_few = {"thence": [error_rate(test[few], [decoder.decode(one) for one in logits[few]])]}
        try:
            import pyctcdecode
        except ImportError:
            print("pyctcdecode is not installed")
        else:
            logging.disable(logging.WARNING)
            peer = pyctcdecode.build_ctcdecoder(LABELS, str(arpa), alpha=alpha, beta=beta)
            of_few["pyctcdecode"] = [
                error_rate(test[few], [peer.decode(one) for one in logits[few]])
            ]
            sides["pyctcdecode"] = cpu(lambda: [peer.decode(one) for one in logits[few]])
    RESULTS.add(
        "errors",
        f"word error rate of {len(test):,} made utterances",
        rates,
        "%",
        note=f"alpha {alpha:g} and beta {beta:g} chosen on {DEV} others",
    )
    RESULTS.add("same", f"word error rate of the first {TIMED}, with the same n-grams", of_few, "%")
    RESULTS.measure(
        "seconds",
        f"decoding {TIMED} utterances ({sum(map(len, logits[few])):,} frames), beam width 100",
        sides,
        "s",
        goal="ratio <= 1" if len(sides) > 1 else "",
    )


if __name__ == "__main__":
    main()
