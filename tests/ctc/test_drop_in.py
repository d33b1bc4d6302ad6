"""What programs for pyctcdecode rely on: alphabets, states, batches, saved decoders."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import thence
from thence import kenlm
from thence.ctc import (
    Alphabet,
    BeamSearchDecoderCTC,
    Decoder,
    LanguageModel,
    MultiLanguageModel,
    build_ctcdecoder,
)
from thence.ctc.errors import DecodingError
from thence.ctc.sources import KenlmSource
from thence.errors import RunError, ThenceWarning
from thence.runs import LanguageRun

LABELS = ["a", "b", " ", ""]
WORDS = {"order": 3, "tokens": "words", "word_split": "whitespace", "smoothing": "witten-bell"}


def said(text: str, labels: list[str] = LABELS, certain: float = 0.9) -> np.ndarray[Any, Any]:
    """Return probabilities of frames that say a text, a frame for each label, "_" the blank."""
    rest = (1 - certain) / (len(labels) - 1)
    return np.array(
        [[certain if label == one.strip("_") else rest for label in labels] for one in text]
    )


@pytest.fixture(scope="session")
def arpa(trained: Callable[..., LanguageRun], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trigram model of the lines as an ARPA file."""
    path = tmp_path_factory.mktemp("arpa") / "model.arpa"
    thence.export(trained(**WORDS), path)
    return path


@pytest.mark.parametrize(
    ("labels", "expected", "is_bpe"),
    [
        (["a", " ", "b"], ["a", " ", "b", ""], False),  # NeMo: the blank is the last column.
        (["[PAD]", "|", "<UNK>", "E"], ["", " ", "⁇", "E"], False),  # transformers
        (["_", "a", "|"], ["", "a", " "], False),
        (["_", "a", ""], ["_", "a", ""], False),
        (["<unk>", "▁the", "re"], ["▁⁇▁", "▁the", "re", ""], True),
        (["[pad]", "[CLS]", "the", "##re", "▁"], ["", "[CLS]", "▁the", "re", "▁"], True),
    ],
)
def test_labels_of_toolkits(labels: list[str], expected: list[str], is_bpe: bool) -> None:
    alphabet = Alphabet.build_alphabet(labels)
    assert (alphabet.labels, alphabet.is_bpe) == (expected, is_bpe)
    assert Alphabet.loads(alphabet.dumps()) == Alphabet(expected, is_bpe)


@pytest.mark.parametrize(
    ("labels", "words"),
    [(["a", "b", "a"], "'a' occurs twice"), (["▁a", "b c"], "'b c' has a space")],
)
def test_labels_that_mean_nothing_are_refused(labels: list[str], words: str) -> None:
    with pytest.raises(DecodingError, match=words):
        Alphabet.build_alphabet(labels)
    with pytest.raises(ValueError, match=words):  # As pyctcdecode raises it.
        build_ctcdecoder(labels)


@pytest.mark.parametrize(
    "text", ["[", "[]", '{"labels": ["a"]}', '{"labels": "a", "is_bpe": true}', '{"is_bpe": 1}']
)
def test_what_is_no_alphabet_is_refused(text: str) -> None:
    with pytest.raises(DecodingError, match="alphabet"):
        Alphabet.loads(text)


def test_words_of_other_characters_are_warned_of() -> None:
    alphabet = Alphabet.build_alphabet(LABELS)
    alphabet.check_coverage(["ab", "ba"])
    with pytest.warns(ThenceWarning, match=r"2 of 3 characters .* \('AB'\)"):
        alphabet.check_coverage(["AB", "a"])


@pytest.mark.parametrize(
    ("logits", "words"),
    [
        (np.zeros((3, 5)), r"shape \(3, 5\); it must be \(frames, 4\)"),
        (np.zeros(4), r"shape \(4,\)"),
        (np.array([[0.0] * 4, [0, np.nan, 0, 0]]), "frame 1 hold NaN"),
    ],
)
def test_logits_that_do_not_fit_are_refused(logits: np.ndarray[Any, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        build_ctcdecoder(LABELS).decode(logits)
    with pytest.raises(ValueError, match="`beam_width` is 0"):
        build_ctcdecoder(LABELS).decode(np.zeros((1, 4)), beam_width=0)


def test_logits_log_probabilities_and_probabilities_are_the_same_and_stay_as_they_are() -> None:
    decoder = build_ctcdecoder(LABELS)
    probabilities = said("ab_b b")
    logits = np.log(probabilities) + 3.0
    before = logits.copy()
    found = [decoder.decode_beams(one) for one in (probabilities, np.log(probabilities), logits)]
    assert np.array_equal(logits, before)
    assert {beams[0].text for beams in found} == {"abb b"}
    assert found[0][0].lm_score == pytest.approx(found[2][0].lm_score)
    assert decoder.decode(np.full((2, 4), -np.inf)) in ("a", "")  # Nothing is likelier.
    assert decoder.decode(np.zeros((0, 4))) == ""
    assert decoder.decode(logits.astype(np.float32)) == "abb b"


def test_frames_of_words() -> None:
    decoder = build_ctcdecoder(LABELS)
    beam = decoder.decode_beams(said(" _aab__ba ", certain=0.99))[0]
    # Spaces at 0 and 9; a at 2 and 3, b at 4, a blank at 5 and 6, b at 7, a at 8.
    assert beam.text_frames == [("abba", (2, 9))]
    assert beam == (beam.text, None, beam.text_frames, beam.logit_score, beam.lm_score)
    pieces = build_ctcdecoder(["▁a", "b", "▁b", ""])
    frames = np.eye(4)[[3, 0, 2, 1, 1, 3]]
    # Blank; ▁a at 1; ▁b at 2, b at 3 and 4.
    assert pieces.decode_beams(frames)[0].text_frames == [("a", (1, 2)), ("bb", (2, 5))]


def test_an_arpa_file_a_run_and_a_model_of_kenlm_score_the_same(
    arpa: Path, trained: Callable[..., LanguageRun]
) -> None:
    module = kenlm.Model(arpa)
    asked = LanguageModel(arpa, sorted(trained(**WORDS).tokenizer.vocabulary.symbols))
    asked.source = KenlmSource(module)  # As a hash table of KenLM is asked.
    models = [arpa, str(arpa), trained(**WORDS), module, asked]
    logits = said("ab b_ba abab", certain=0.5)
    found = [Decoder(LABELS, model).decode_beams(logits) for model in models]
    for beams in found[1:]:
        assert [beam.text for beam in beams] == [beam.text for beam in found[0]]
        for beam, same in zip(beams, found[0], strict=True):
            assert beam.lm_score == pytest.approx(same.lm_score, abs=1e-4)
    with pytest.raises(RunError):
        build_ctcdecoder(LABELS, "no-such-model.arpa")


def test_a_mean_of_models_has_the_mean_of_their_scores(trained: Callable[..., LanguageRun]) -> None:
    letters = {"order": 4, "tokens": "characters", "smoothing": "witten-bell"}
    models = [LanguageModel(trained(**some)) for some in (WORDS, letters)]
    logits = said("ab ba", certain=0.5)
    both, *each = (
        Decoder(LABELS, one).decode_beams(logits, 10_000, -1e9, -1e9)
        for one in (MultiLanguageModel(models), *models)
    )
    scores = [{beam.text: beam.lm_score for beam in beams} for beams in each]
    for beam in both:
        mean = sum(one[beam.text] for one in scores) / 2
        assert beam.lm_score == pytest.approx(mean, abs=1e-9)
    with pytest.raises(DecodingError, match="at least two"):
        MultiLanguageModel(models[:1])


def test_settings_of_the_language_model_can_be_changed(arpa: Path) -> None:
    decoder = build_ctcdecoder(LABELS, arpa, alpha=0.0, beta=0.0, unk_score_offset=0.0)
    logits = said("ab b", certain=0.8)
    before = decoder.decode_beams(logits)[0]
    assert before.lm_score == pytest.approx(before.logit_score)
    decoder.reset_params(beta=2)  # pyctcdecode refuses whole numbers.
    decoder.reset_params(alpha=None)
    assert decoder.decode_beams(logits)[0].lm_score == pytest.approx(before.logit_score + 2 * 2.0)
    with pytest.raises(ValueError, match="`alpha` is 'much'"):
        decoder.reset_params(alpha="much")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="`beta` is 'much'; it must be a number"):
        build_ctcdecoder(LABELS, arpa, beta="much")  # type: ignore[arg-type]
    build_ctcdecoder(LABELS).reset_params(alpha=1.0)  # Without a language model nothing happens.


class Pool:
    """Runs what it is given in this process, sent there and back as by pickle."""

    def __init__(self, context: type) -> None:
        self._ctx, self.sent = context(), 0

    def map(self, function: Callable[[Any], Any], items: list[Any]) -> list[Any]:
        self.sent += len(items)
        return [
            pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(function))(one))) for one in items
        ]


def test_batches(arpa: Path) -> None:
    decoder = build_ctcdecoder(LABELS, arpa)
    logits = [said(text, certain=0.6) for text in ("ab b", "b a ab", "ba")]
    texts = [decoder.decode(one) for one in logits]
    fork, spawn = Pool(type("ForkContext", (), {})), Pool(type("SpawnContext", (), {}))
    assert all(decoder.decode_batch(pool, logits) == texts for pool in (None, fork, spawn))
    assert (fork.sent, spawn.sent) == (3, 0)  # Another process would not have the model.
    beams = [decoder.decode_beams(one) for one in logits]
    for pool in (None, fork):
        for several, same in zip(decoder.decode_beams_batch(pool, logits), beams, strict=True):
            assert [tuple(beam) for beam in several] == [beam[:1] + beam[2:] for beam in same]


@pytest.mark.parametrize("with_model", [False, True])
def test_a_saved_decoder(with_model: bool, arpa: Path, tmp_path: Path) -> None:
    decoder = build_ctcdecoder(LABELS, arpa if with_model else None, alpha=0.75)
    decoder.save_to_dir(tmp_path)
    again = BeamSearchDecoderCTC.load_from_dir(tmp_path)
    logits = said("ab b_ba", certain=0.5)
    found, expected = again.decode_beams(logits), decoder.decode_beams(logits)
    assert [beam.text for beam in found] == [beam.text for beam in expected]
    assert found[0].lm_score == pytest.approx(expected[0].lm_score, abs=1e-4)
    key = decoder._model_key
    assert (key in decoder.model_container) == with_model
    decoder.cleanup()
    assert key not in decoder.model_container


def test_what_is_no_saved_decoder_is_refused(
    tmp_path: Path, arpa: Path, trained: Callable[..., LanguageRun]
) -> None:
    with pytest.raises(DecodingError, match=r"no saved decoder: it lacks alphabet\.json"):
        BeamSearchDecoderCTC.load_from_dir(tmp_path)
    build_ctcdecoder(LABELS, arpa).save_to_dir(tmp_path)
    (tmp_path / "language_model" / "second.arpa").touch()
    with pytest.raises(DecodingError, match=r"attrs.json, model.arpa, second.arpa, unigrams.txt"):
        BeamSearchDecoderCTC.load_from_dir(tmp_path)
    (tmp_path / "language_model" / "second.arpa").unlink()
    (tmp_path / "language_model" / "attrs.json").write_text('{"alpha": 1}')
    with pytest.raises(DecodingError, match="other names than alpha, beta"):
        BeamSearchDecoderCTC.load_from_dir(tmp_path)
    letters = LanguageModel(trained(order=2, tokens="characters", smoothing="witten-bell"))
    with pytest.raises(DecodingError, match="n-grams of words"):
        BeamSearchDecoderCTC(Alphabet.build_alphabet(LABELS), letters).save_to_dir(tmp_path)
