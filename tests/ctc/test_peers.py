"""pyctcdecode beside thence.ctc, and its processor in transformers over thence.ctc.

It runs where pyctcdecode is installed (``pip install --no-deps pyctcdecode pygtrie``, as it asks
for an old NumPy) with the module kenlm.
"""

import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import thence
from thence import ctc
from thence.runs import LanguageRun

WORDS = {"order": 3, "tokens": "words", "word_split": "whitespace", "smoothing": "witten-bell"}
LABELS = ["a", "b", " ", ""]
Logits = np.ndarray[Any, Any]


@pytest.fixture(scope="module")
def peer() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("kenlm", reason="kenlm is not installed")
        return pytest.importorskip("pyctcdecode", reason="pyctcdecode is not installed")


@pytest.fixture(scope="module")
def arpa(trained: Callable[..., LanguageRun], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("arpa") / "model.arpa"
    thence.export(trained(**WORDS), path)
    return path


def utterance(seed: int, frames: int, labels: int, last: int) -> Logits:
    """Return random logits whose last frames say a label, so that no text ends in a space.

    pyctcdecode scores the empty word after such a space as an unknown one.
    """
    logits = np.random.default_rng(seed).normal(0, 2.5, (frames, labels))
    logits[-2:, last] += 40
    return logits


def assert_same(ours: list[Any], theirs: list[Any]) -> None:
    assert [beam[0] for beam in ours[:5]] == [beam[0] for beam in theirs[:5]]
    same = {beam[0]: beam for beam in theirs}
    for beam in ours:
        if beam[0] in same:
            assert beam[3:] == pytest.approx(same[beam[0]][3:], abs=1e-4)
            assert [word for word, _ in beam[2]] == [word for word, _ in same[beam[0]][2]]


@settings(max_examples=25)
@given(
    seed=st.integers(0, 1 << 32),
    with_model=st.booleans(),
    hotwords=st.none() | st.just(["ab", "bba ab"]),
    prune=st.booleans(),
    boundary=st.booleans(),
)
def test_beams_are_the_same(
    peer: Any,
    arpa: Path,
    seed: int,
    with_model: bool,
    hotwords: list[str] | None,
    prune: bool,
    boundary: bool,
) -> None:
    logits = utterance(seed, 14, len(LABELS), 0)
    given = {"kenlm_model_path": str(arpa)} if with_model else {}
    ours, theirs = (
        module.build_ctcdecoder(LABELS, **given, alpha=0.7, lm_score_boundary=boundary)
        for module in (ctc, peer)
    )
    asked = {"hotwords": hotwords, "prune_history": prune}
    assert_same(ours.decode_beams(logits, **asked), theirs.decode_beams(logits, **asked))
    assert ours.decode(logits) == theirs.decode(logits)


@settings(max_examples=25)
@given(seed=st.integers(0, 1 << 32), style=st.sampled_from(["▁", "##"]))
def test_pieces_are_the_same(peer: Any, seed: int, style: str) -> None:
    pieces = ["▁ab", "b", "▁b", "a"] if style == "▁" else ["ab", "##b", "b", "##a"]
    labels = [*pieces, "<pad>"]
    logits = utterance(seed, 10, len(labels), 1)
    ours, theirs = (module.build_ctcdecoder(labels) for module in (ctc, peer))
    assert_same(ours.decode_beams(logits), theirs.decode_beams(logits))


@given(
    st.lists(
        st.sampled_from(["a", "E", " ", "|", "_", "", "<pad>", "[PAD]", "<unk>", "▁a", "##b", "▁"]),
        unique=True,
        min_size=1,
    )
)
def test_alphabets_are_the_same(peer: Any, labels: list[str]) -> None:
    try:
        theirs = peer.Alphabet.build_alphabet(labels)
    except ValueError:
        with pytest.raises(ValueError, match="label"):
            ctc.Alphabet.build_alphabet(labels)
        return
    ours = ctc.Alphabet.build_alphabet(labels)
    assert (ours.labels, ours.is_bpe) == (theirs.labels, theirs.is_bpe)


def test_states_and_saved_decoders_go_over(peer: Any, arpa: Path, tmp_path: Path) -> None:
    theirs = peer.build_ctcdecoder(LABELS, str(arpa))
    theirs.save_to_dir(str(tmp_path))
    ours = ctc.BeamSearchDecoderCTC.load_from_dir(tmp_path)
    first, second = utterance(1, 8, 4, 1), utterance(2, 9, 4, 0)
    states = [decoder.decode_beams(first)[0][1] for decoder in (ours, theirs)]
    assert_same(
        ours.decode_beams(second, lm_start_state=states[0]),
        theirs.decode_beams(second, lm_start_state=states[1]),
    )


def test_the_logits_that_come_with_it(peer: Any) -> None:
    samples = Path(peer.__file__).parent / "tests" / "sample_data"
    if not (samples / "libri_logits.json").exists():
        pytest.skip("this pyctcdecode comes without samples")
    logits = np.array(json.loads((samples / "libri_logits.json").read_text()))
    labels = [" ", *"abcdefghijklmnopqrstuvwxyz'"]
    ours, theirs = (module.build_ctcdecoder(labels) for module in (ctc, peer))
    assert ours.decode(logits) == theirs.decode(logits)
    starts = [
        [first for _, (first, _) in decoder.decode_beams(logits)[0][2]]
        for decoder in (ours, theirs)
    ]
    assert len(starts[0]) == len(starts[1])
    # Frames differ where two paths are about as likely.
    assert all(abs(one - other) <= 2 for one, other in zip(*starts, strict=True))


@pytest.mark.slow
def test_the_processor_of_transformers(
    arpa: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    for name in ("", ".alphabet", ".constants"):
        monkeypatch.setitem(sys.modules, f"pyctcdecode{name}", sys.modules[f"thence.ctc{name}"])
    (tmp_path / "vocab.json").write_text('{"a": 0, "b": 1, "|": 2, "<pad>": 3, "<unk>": 4}')
    tokenizer = transformers.Wav2Vec2CTCTokenizer(
        str(tmp_path / "vocab.json"), bos_token=None, eos_token=None
    )
    labels = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().__getitem__)
    processor = transformers.Wav2Vec2ProcessorWithLM(
        feature_extractor=transformers.Wav2Vec2FeatureExtractor(),
        tokenizer=tokenizer,
        decoder=ctc.build_ctcdecoder(labels, arpa),
    )
    logits = np.full((2, 6, len(labels)), -9.0)
    for place, label in enumerate(["a", "b", "<pad>", "|", "b", "<pad>"]):
        logits[:, place, labels.index(label)] = 0
    found = processor.batch_decode(logits, num_processes=1, output_word_offsets=True)
    assert found.text == ["ab b"] * 2
    assert found.word_offsets[0] == [
        {"word": "ab", "start_offset": 0, "end_offset": 2},
        {"word": "b", "start_offset": 4, "end_offset": 5},
    ]
    one = processor.decode(logits[0], n_best=1, alpha=0.1, beta=0.5)
    assert one.text == "ab b"
    assert one.lm_score < found.lm_score[0]
