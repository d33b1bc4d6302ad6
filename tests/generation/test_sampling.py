from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from thence.errors import SettingError, UnknownSymbolError
from thence.evaluation.scoring import score
from thence.generation import DecodingOptions, next_tokens, sample, sampling
from thence.generation.sampling import UNIFORMS_AT_ONCE, choose, draw, text_generator
from thence.runs import Run

Trained = Callable[..., Run]


class Cycle:
    """A model that says 0, 1, 2, boundary (3) for certain, and remembers how far it is."""

    vocabulary_size = 4

    def start(self, batch_size: int) -> Any:
        return np.zeros(batch_size, np.int64)

    def step(self, ids: Any, state: Any) -> tuple[Any, Any]:
        log_probs = np.full((len(ids), 4), -np.inf)
        log_probs[np.arange(len(ids)), state % 4] = 0.0
        return log_probs, state + 1


def chi_square(observed: np.ndarray, expected: np.ndarray) -> float:
    return float(((observed - expected) ** 2 / expected).sum())


@pytest.mark.parametrize("model", ["bigram-counts", "mlp"])
def test_frequencies_are_the_probabilities_of_the_model(trained: Trained, model: str) -> None:
    # Whole texts of "", one or two letters, and all others together: 4,000 draws against exact
    # probabilities. With d degrees of freedom chi-square has mean d and deviation sqrt(2 d); six
    # deviations above happen by chance about once in a million seeds.
    run = trained(model, lines=["a", "b", "ab", "ba", "aab", "b", "a", "bb"], unknown="refuse",
                  **({"context": 2} if model == "mlp" else {}))  # fmt: skip
    texts = ["", "a", "b", "aa", "ab", "ba", "bb"]
    chances = np.exp([line["log_probability"] for line in score(run, texts)])
    drawn = sample(run, 4000, seed=1)
    counts = Counter(drawn.texts)
    observed = np.array([counts[text] for text in texts])
    everything = np.append(observed, 4000 - observed.sum())
    expected = 4000 * np.append(chances, 1 - chances.sum())
    degrees = len(texts)
    assert chi_square(everything, expected) < degrees + 6 * np.sqrt(2 * degrees)


@pytest.mark.parametrize("model", ["bigram-counts", "mlp"])
def test_first_tokens_follow_the_next_token_distribution(trained: Trained, model: str) -> None:
    # The same bound as above, on the first token of 3,000 texts.
    run = trained(model)
    names = run.tokenizer.vocabulary.names()
    chances = dict(next_tokens(run, "", 100).tokens)
    drawn = draw(run.model, np.zeros(0, np.int64), 3000, 1, DecodingOptions(), seed=2)
    observed = np.bincount([ids[0] for ids in drawn], minlength=len(names))
    expected = 3000 * np.array([chances[name] for name in names])
    common = expected >= 5
    observed = np.append(observed[common], observed[~common].sum())
    expected = np.append(expected[common], max(expected[~common].sum(), 1e-9))
    degrees = len(expected) - 1
    assert chi_square(observed, expected) < degrees + 6 * np.sqrt(2 * degrees)


def test_frequencies_after_filters() -> None:
    # Of 0.5, 0.3, 0.2 the two likeliest are 5/8 and 3/8: 4,000 draws have a deviation of 31, and
    # 186 away from 2,500 (six deviations) is a chance of once in five hundred million.
    log_probs = np.log(np.tile([0.2, 0.5, 0.3], (4000, 1)))
    found = choose(log_probs, DecodingOptions(top_k=2), np.random.default_rng(0))
    counts = np.bincount(found, minlength=3)
    assert counts[0] == 0
    assert abs(counts[1] - 2500) < 186


@pytest.mark.parametrize("model", ["bigram-counts", "mlp"])
def test_greedy_takes_the_likeliest_at_every_step(trained: Trained, model: str) -> None:
    run = trained(model)
    prefix, names = "", dict(enumerate(run.tokenizer.vocabulary.names()))
    for _ in range(12):
        ((token, _),) = next_tokens(run, prefix, 1).tokens
        if token in ("<boundary>", "<unk>"):
            break
        prefix += token
    drawn = sample(run, 3, greedy=True, max_length=12)
    assert drawn.texts == [prefix] * 3
    assert len(names) == len(run.tokenizer.vocabulary)
    assert sample(run, 2, greedy=True, max_length=12, seed=9).texts == [prefix] * 2


def test_top_k_of_one_is_greedy(trained: Trained) -> None:
    run = trained("mlp")
    greedy = sample(run, 4, greedy=True, max_length=20)
    assert sample(run, 4, top_k=1, max_length=20, seed=3) == greedy
    assert sample(run, 4, temperature=1e-9, max_length=20, seed=3) == greedy


def test_no_two_texts_of_any_seeds_share_their_random_numbers() -> None:
    # Beyond 32 bits too, where a seed is several words of entropy.
    seeds = [0, 1, 2, 3, 1 << 32, (1 << 32) + 1, 5 + (3 << 32), 2**64 - 1, 2**64]
    firsts = {text_generator(seed, index).random() for seed in seeds for index in range(6)}
    assert len(firsts) == 6 * len(seeds)


def test_texts_of_neighbouring_seeds_are_other_texts(trained: Trained) -> None:
    run = trained("bigram-counts", carry_context=True)  # Its texts never end.
    one, two, three = (set(sample(run, 5, seed=seed, max_length=30).texts) for seed in (1, 2, 3))
    assert len(one | two | three) == 15


def test_a_text_is_the_same_whatever_is_drawn_beside_it(trained: Trained) -> None:
    run, options, nothing = trained("bigram-counts"), DecodingOptions(), np.zeros(0, np.int64)
    assert sample(run, 20, seed=4).texts[:5] == sample(run, 5, seed=4).texts
    several = draw(run.model, nothing, 3, UNIFORMS_AT_ONCE + 9, options, seed=4, past_boundary=True)
    alone = draw(run.model, nothing, 1, UNIFORMS_AT_ONCE + 9, options, seed=4, past_boundary=True)
    np.testing.assert_array_equal(alone[0], several[0])
    shorter = draw(run.model, nothing, 1, UNIFORMS_AT_ONCE - 1, options, seed=4, past_boundary=True)
    np.testing.assert_array_equal(shorter[0], several[0][: UNIFORMS_AT_ONCE - 1])


@pytest.mark.parametrize("cells", [1, 100, 1 << 20])
@pytest.mark.parametrize("few", [0.0, 0.75, 1.0])
def test_texts_do_not_depend_on_how_many_are_drawn_side_by_side(
    trained: Trained, cells: int, few: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trained("bigram-counts")
    expected = sample(run, 30)
    monkeypatch.setattr(sampling, "CELLS_AT_ONCE", cells)
    monkeypatch.setattr(sampling, "FEW_LEFT", few)
    assert sample(run, 30) == expected


def test_the_same_seed_gives_the_same_texts(trained: Trained) -> None:
    run = trained("mlp")
    assert sample(run, 20, seed=4) == sample(Run(run.folder), 20, seed=4)
    assert sample(run, 20, seed=4) != sample(run, 20, seed=5)


def test_the_prefix_is_kept_and_continued(trained: Trained) -> None:
    run = trained()
    drawn = sample(run, 300, prefix="ax", seed=1)
    assert all(text.startswith("ax") for text in drawn.texts)
    third = Counter(text[2:3] for text in drawn.texts)
    chances = dict(next_tokens(run, "ax", 100).tokens)
    # 300 draws have a deviation of at most 8.7 each: 45 is more than five of them.
    for token in "abcxyz":
        assert abs(third[token] - 300 * chances[token]) < 45


def test_the_greatest_length_counts_drawn_tokens(trained: Trained) -> None:
    run = trained()
    drawn = sample(run, 100, prefix="ax", max_length=2, seed=1)
    for text, finished in zip(drawn.texts, drawn.finished, strict=True):
        # A finished text spent one of its two tokens on its end.
        assert len(text) <= 3 if finished else len(text) == 4
    assert set(drawn.finished) == {True, False}


def test_a_certain_model_ends_or_goes_on() -> None:
    nothing = np.zeros(0, np.int64)
    for options in (DecodingOptions(), DecodingOptions(greedy=True), DecodingOptions(top_p=0.5)):
        (ids,) = draw(Cycle(), nothing, 1, 10, options, seed=0)
        assert ids.tolist() == [0, 1, 2, 3]
        (ids,) = draw(Cycle(), nothing, 1, 4, options, seed=0)
        assert ids.tolist() == [0, 1, 2, 3]
        (ids,) = draw(Cycle(), nothing, 1, 3, options, seed=0)
        assert ids.tolist() == [0, 1, 2]
        # Running text goes on through the boundary.
        (ids,) = draw(Cycle(), nothing, 1, 10, options, seed=0, past_boundary=True)
        assert ids.tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]
        (ids,) = draw(Cycle(), np.array([0, 1]), 1, 10, options, seed=0)
        assert ids.tolist() == [2, 3]


def test_texts_side_by_side_end_one_by_one(trained: Trained) -> None:
    run = trained()
    boundary = run.tokenizer.vocabulary.boundary_id
    drawn = draw(run.model, np.zeros(0, np.int64), 200, 50, DecodingOptions(), seed=0)
    assert len({len(ids) for ids in drawn}) > 3
    for ids in drawn:
        assert (ids == boundary).sum() == (len(ids) < 50 or ids[-1] == boundary)
        assert boundary not in ids[:-1]


def test_running_text_goes_on_through_the_boundary(trained: Trained) -> None:
    run = trained("mlp", carry_context=True, split="100/0/0")
    drawn = sample(run, 5, max_length=60, seed=0)
    assert all("\n" in text for text in drawn.texts)
    # Sixty tokens each, of which boundaries within show as line ends.
    assert {len(text) for text in drawn.texts} <= {59, 60}
    assert drawn.copies == 0


def test_copies_of_train_documents_are_counted(trained: Trained) -> None:
    run = trained(lines=["ab", "ab", "b"], add_k=0.0)
    drawn = sample(run, 50)
    # Without smoothing this model can say nothing but "ab" and "b".
    assert set(drawn.texts) == {"ab", "b"}
    assert drawn.copies == 50
    assert sample(run, 50, prefix="a").copies == 50


def test_what_is_no_whole_document_is_no_copy(trained: Trained) -> None:
    run = trained(lines=["abab", "abba", "bb"])
    train = {"abab", "abba", "bb"}
    drawn = sample(run, 400, seed=0, max_length=6)
    assert drawn.copies == sum(text in train for text in drawn.texts) > 0


def test_running_text_of_two_documents_is_no_copy(trained: Trained) -> None:
    # The text is a|b|a|b..., and "ab" is a document: run together they would pass for it.
    run = trained(lines=["a", "b"] * 40 + ["ab"], carry_context=True, add_k=0.0, by="position")
    drawn = sample(run, 200, max_length=4, seed=0)
    singles = [text for text in drawn.texts if "\n" not in text]
    assert "a\nb" in drawn.texts
    assert drawn.copies == sum(text in ("a", "b", "ab") for text in singles)


def test_copies_are_not_known_without_the_text(trained: Trained, tmp_path: Path) -> None:
    run = trained()
    (tmp_path / "text.txt").unlink()
    assert sample(Run(run.folder), 3).copies is None


def test_refusals(trained: Trained) -> None:
    run = trained(unknown="refuse")
    for settings in ({"count": 0}, {"max_length": 0}, {"seed": -1}, {"top_k": 0}):
        with pytest.raises(SettingError):
            sample(run, **settings)
    with pytest.raises(UnknownSymbolError, match=r"'ü' .symbol 3 .* closed vocabulary"):
        sample(run, prefix="axü")


@pytest.mark.parametrize("tokens", ["characters", "bytes", "words"])
def test_every_level_of_tokens(trained: Trained, tokens: str) -> None:
    lines = ["the cat sat", "a dog ran, too", "the dog sat", "žluťoučký kůň"] * 3
    run = trained(lines=lines, tokens=tokens, unknown="refuse")
    drawn = sample(run, 20, prefix="the", max_length=8, seed=2)
    assert all(text.startswith("the") for text in drawn.texts)
    read = drawn.to_json()
    assert read["texts"] == drawn.texts
    assert str(drawn).startswith("the")
