"""The search beside one of all alignments: with beams enough it finds the same, of every model."""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import groupby, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thence.ctc import Decoder, LanguageModel
from thence.ctc.alphabet import Alphabet
from thence.runs import LanguageRun

Logits = np.ndarray[Any, Any]
LABELS = ("a", "b", " ", "")
WIDE: dict[str, Any] = {
    "beam_width": 10_000,
    "beam_prune_logp": -math.inf,
    "token_min_logp": -math.inf,
}
NETWORK = {
    "hidden_size": 6,
    "embedding_size": 3,
    "batch_size": 4,
    "steps": 10,
    "threads": 1,
    "lr": 0.05,
}
WORDS = {"tokens": "words", "word_split": "whitespace"}
MODELS: dict[str, dict[str, Any]] = {
    "words": {"order": 3, **WORDS, "smoothing": "witten-bell"},
    "closed": {"order": 2, **WORDS, "smoothing": "witten-bell", "unknown": "refuse"},
    "punctuation": {"order": 2, "tokens": "words", "smoothing": "witten-bell"},
    "characters": {"order": 4, "tokens": "characters", "smoothing": "witten-bell"},
    "subwords": {"order": 3, "tokens": "subwords", "smoothing": "witten-bell", "max_size": 260},
    "lstm": {"model": "lstm", **WORDS, **NETWORK},
    "letters": {"model": "lstm", "tokens": "characters", **NETWORK},
}


def frames(values: Sequence[float]) -> Logits:
    """Return log-probabilities of the labels, from numbers of any size."""
    logits = np.array(values).reshape(-1, len(LABELS))
    log_probs: Logits = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return log_probs


def exhaustive(log_probs: Logits, labels: Sequence[str] = LABELS) -> dict[str, float]:
    """Return the log-probability of each text: the sum over all its alignments."""
    totals: dict[str, float] = defaultdict(float)
    for path in product(range(len(labels)), repeat=len(log_probs)):
        spelled = "".join(labels[label] for label, _ in groupby(path))
        probability = math.exp(sum(log_probs[place, label] for place, label in enumerate(path)))
        totals[" ".join(spelled.split())] += probability
    return {text: math.log(total) for text, total in totals.items()}


LOGITS = st.integers(1, 5).flatmap(
    lambda count: st.lists(
        st.floats(-4, 4), min_size=count * len(LABELS), max_size=count * len(LABELS)
    )
)


@given(values=LOGITS)
def test_without_a_language_model_texts_have_the_sum_of_their_alignments(
    values: list[float],
) -> None:
    log_probs = frames(values)
    expected = exhaustive(log_probs)
    found = Decoder(LABELS).decode_beams(log_probs, **WIDE)
    assert {beam.text for beam in found} == set(expected)
    for beam in found:
        assert beam.logit_score == beam.lm_score == pytest.approx(expected[beam.text], abs=1e-9)
    assert found == sorted(found, key=lambda beam: -beam.lm_score)


@pytest.mark.parametrize("kind", MODELS)
def test_with_a_language_model_texts_have_its_score_too(
    kind: str, trained: Callable[..., LanguageRun]
) -> None:
    run = trained(**MODELS[kind])
    alpha, beta, offset = 0.7, 0.9, -2.0
    decoder = Decoder(LABELS, run, alpha, beta, unk_score_offset=offset)
    generator = np.random.default_rng(7)
    log_probs = frames(generator.normal(0, 2, 5 * len(LABELS)).tolist())
    expected = exhaustive(log_probs)
    found = decoder.decode_beams(log_probs, **WIDE)
    assert {beam.text for beam in found} == set(expected)
    known = set(run.tokenizer.vocabulary.symbols)
    for beam in found:
        words = beam.text.split()
        unknown = [word for word in words if word not in known] if "words" in repr(kind) else []
        if kind in ("words", "punctuation", "lstm"):
            unknown = [word for word in words if word not in known]
        elif kind == "closed" and any(word not in known for word in words):
            continue  # No probability is defined for these.
        else:
            unknown = []
        log_prob = run.score(beam.text)[0]["log_probability"] + offset * math.log(10) * len(unknown)
        total = expected[beam.text] + alpha * log_prob + beta * len(words)
        assert beam.logit_score == pytest.approx(expected[beam.text], abs=1e-9)
        assert beam.lm_score == pytest.approx(total, abs=1e-4), beam.text


def test_chunks_give_what_all_frames_give(trained: Callable[..., LanguageRun]) -> None:
    log_probs = frames(np.random.default_rng(3).normal(0, 2, 12 * len(LABELS)).tolist())
    for kind in ("words", "letters"):
        decoder = Decoder(LABELS, trained(**MODELS[kind]))
        whole = decoder.decode_beams(log_probs, prune_history=True)
        stream = decoder.stream()
        for chunk in np.split(log_probs, [1, 4, 4, 9]):
            partial = stream.feed(chunk)
            assert stream.text == partial
        assert [beam[:1] + beam[2:] for beam in stream.finish()] == [
            beam[:1] + beam[2:] for beam in whole
        ]
        assert stream.finish()[0].text == whole[0].text  # Asked again, it is the same.


def test_a_state_carries_the_language_model_over(trained: Callable[..., LanguageRun]) -> None:
    run = trained(**MODELS["words"])
    decoder = Decoder(LABELS, run, alpha=1.0, beta=0.0)
    ab, b = (frames([9.0 * (label == one) for one in range(4)]) for label in (0, 1))
    first = decoder.decode_beams(np.concatenate([ab, b]))[0]
    second = decoder.decode_beams(b, lm_start_state=first.last_lm_state)[0]
    # log p("ab") + log p("</s>" | "ab") and log p("b" | "ab") + log p("</s>" | "ab b"): the end
    # after the first is one too many.
    both = run.score("ab b", tokens=True)[0]["tokens"]
    one = run.score("ab", tokens=True)[0]["tokens"]
    language = [beam.lm_score - beam.logit_score for beam in (first, second)]
    assert language[0] == pytest.approx(sum(token["log_probability"] for token in one), abs=1e-5)
    expected = sum(token["log_probability"] for token in both[1:])
    assert language[1] == pytest.approx(expected, abs=1e-5)


def test_history_of_words_is_pruned_only_where_the_model_cannot_tell(
    trained: Callable[..., LanguageRun],
) -> None:
    log_probs = frames(np.random.default_rng(5).normal(0, 1, 9 * len(LABELS)).tolist())
    bigram = Decoder(LABELS, trained(**MODELS["punctuation"]))
    every = bigram.decode_beams(log_probs, **WIDE)
    pruned = bigram.decode_beams(log_probs, prune_history=True, **WIDE)
    assert len(pruned) < len(every)
    assert pruned[0].text == every[0].text
    network = Decoder(LABELS, trained(**MODELS["lstm"]))
    every, pruned = (
        network.decode_beams(log_probs[:5], prune_history=prune, **WIDE) for prune in (False, True)
    )
    assert [beam[:1] + beam[2:] for beam in every] == [beam[:1] + beam[2:] for beam in pruned]


def test_a_word_is_penalised_as_soon_as_no_known_one_begins_so(
    trained: Callable[..., LanguageRun],
) -> None:
    model = LanguageModel(trained(**MODELS["words"]), ["ab", "ba", "zz"], unk_score_offset=-3.0)
    assert model.unigrams == ("ab", "ba")  # The model knows no zz.
    assert model.score_partial_token("a") == model.score_partial_token("ab") == 0
    assert model.score_partial_token("aa") == -3
    assert model.score_partial_token("aabbaabbb") == -3 * 9 / 6  # Longer than six characters.


@given(pieces=st.lists(st.sampled_from(["▁a", "b", "▁b", "a", "▁⁇▁", ""]), min_size=1, max_size=6))
def test_pieces_of_words_are_joined(pieces: list[str]) -> None:
    labels = ("▁a", "b", "▁b", "a", "▁⁇▁", "")
    probabilities = np.array([[piece == label for label in labels] for piece in pieces], float)
    text = Decoder(labels).decode(probabilities)
    joined = "".join(label for label, _ in groupby(pieces)).replace("▁", " ")
    assert text == " ".join(joined.split())
    assert Alphabet.build_alphabet(labels).is_bpe


@settings(max_examples=20)
@given(
    values=LOGITS, weight=st.floats(0, 5), hotwords=st.lists(st.sampled_from(["a", "ab", "b ba"]))
)
def test_each_hotword_of_a_text_adds_its_weight(
    values: list[float], weight: float, hotwords: list[str]
) -> None:
    log_probs = frames(values)
    expected = exhaustive(log_probs)
    hot = {word for phrase in hotwords for word in phrase.split()}
    found = Decoder(LABELS).decode_beams(
        log_probs, hotwords=hotwords, hotword_weight=weight, **WIDE
    )
    for beam in found:
        added = weight * sum(word in hot for word in beam.text.split())
        assert beam.lm_score == pytest.approx(expected[beam.text] + added, abs=1e-9)
