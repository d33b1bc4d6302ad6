"""Which earlier tokens mattered, by gradient and by occlusion, and how far back gradients reach."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import thence
from thence.corpus import Documents
from thence.errors import SettingError
from thence.inspection import Look, look
from thence.inspection.gradients import input_gradients, state_gradients
from thence.runs import LanguageRun, Run

Runs = Callable[..., Run]


def seen(run: Run, text: str, lens: str, **settings: Any) -> Any:
    found = look(run, text, lenses=[lens], **settings)
    assert isinstance(found, Look)
    return found.lenses[lens]


def test_occlusion_by_hand(counted: Runs) -> None:
    # Train: ab ab b. After a: b 2; add 1 with V = 4, P(b | a) = 3/6. After <unk> nothing was seen,
    # so P(b | <unk>) = 1/4 and log2 of 3/6 over 1/4 is 1 bit. The first token has no other before.
    found = seen(counted(), "ab", "why")
    assert (found.method, found.starts, found.places) == ("occlusion", -1, (0, 2))
    np.testing.assert_allclose(found.matrix, [[0, 0, 0], [0, 1, 0]], atol=1e-5)
    assert "with the unknown symbol in its place" in found.about


def test_left_out_where_an_unknown_symbol_was_never_learned(runs: Runs, tmp_path: Any) -> None:
    mixed = thence.mix([runs("mlp"), runs("gru")], output=tmp_path / "mixed")
    found = seen(mixed, "abcab", "why")
    assert (found.method, "without the source" in found.about) == ("occlusion", True)
    whole, without = ([*thence.score(mixed, [text], tokens=True)] for text in ("abcab", "abab"))
    bits = [[t["surprisal_bits"] for t in line["tokens"]] for line in (whole[0], without[0])]
    # Without the c, the a and the b after it stand one place before.
    expected = [bits[1][2] - bits[0][3], bits[1][3] - bits[0][4]]
    np.testing.assert_allclose(found.matrix[:, 3], [0, 0, 0, *expected], atol=2e-5)
    part = seen(mixed, "abcab", "why", places=(3, 5))
    np.testing.assert_allclose(part.matrix, found.matrix[3:], atol=2e-5)


def test_networks_have_both_ways(runs: Runs) -> None:
    run = runs("gru")
    found, by_gradient = seen(run, "abcab", "occlusion"), seen(run, "abcab", "why")
    assert (found.method, by_gradient.method) == ("occlusion", "gradient")
    assert found.matrix.shape == by_gradient.matrix.shape
    whole, without = ([*thence.score(run, [text], tokens=True)] for text in ("abcab", "abab"))
    bits = [[t["surprisal_bits"] for t in line["tokens"]] for line in (whole[0], without[0])]
    assert found.matrix[4, 3] == pytest.approx(bits[1][3] - bits[0][4], abs=2e-5)


@pytest.mark.parametrize("carry", [False, True])
@pytest.mark.parametrize("model", ["gru", "transformer"])
def test_gradients_stay_within_documents(runs: Runs, model: str, carry: bool) -> None:
    run = runs(model, carry_context=carry)
    assert isinstance(run, LanguageRun)
    found = seen(run, "abc\nbca\nab", "why", places=(2, 7))
    assert (found.method, found.starts) == ("gradient", -1)
    assert found.matrix.shape == found.norms.shape == (5, 8)
    # Tokens 2 to 6 are c, the end of a line, b, c, a. The end is the first that b could come from.
    ids = run.tokenizer.encode(Documents.from_strings(["abc", "bca"])).ids.astype(np.int64)
    expected = np.zeros((2, 5, 8))
    parts = [(ids, range(3, 8), 0)] if carry else [(ids, range(3, 5), 0), (ids[4:], range(1, 4), 4)]
    row = 0
    for read, targets, column in parts:
        of_part = input_gradients(run.network, read[: targets[-1] + 1], targets)
        for kind, values in zip(expected, (-of_part.products, of_part.norms), strict=True):
            kind[row : row + len(targets), column : column + values.shape[1]] = values
        row += len(targets)
    for matrix, values in zip((found.matrix, found.norms), expected / math.log(2), strict=True):
        np.testing.assert_allclose(matrix, values, atol=2e-5)


@pytest.mark.parametrize("model", ["gru", "mlp"])
def test_what_is_too_long_ago_is_read_all_the_same(
    runs: Runs, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, text = runs(model), "abcacbbacab"
    whole = seen(run, text, "why")
    monkeypatch.setattr("thence.inspection.why.MOST_BEFORE", 4)
    found = seen(run, text, "why", places=(8, 11))
    assert found.starts == 3
    np.testing.assert_allclose(found.matrix, whole.matrix[8:, 4:], atol=2e-5)
    monkeypatch.setattr("thence.inspection.why.MOST_TARGETS", 2)
    assert seen(run, text, "why", places=(8, 11)).places == (8, 10)


def test_occlusion_with_carried_context(counted: Runs) -> None:
    run = counted(model="ngram", order=3, carry_context=True)
    found = seen(run, "ab\nab", "why")
    # The end of a line may matter for what follows it, and what was before it too.
    assert found.matrix.shape == (5, 6)
    assert found.matrix[3, 2] != 0


def test_flow_is_the_mean_over_targets(runs: Runs) -> None:
    run = runs("lstm")
    assert isinstance(run, LanguageRun)
    found = seen(run, "abc\nab", "flow")
    ids = run.tokenizer.encode(Documents.from_strings(["abc", "ab"])).ids.astype(np.int64)
    first = state_gradients(run.network, ids[:5], range(1, 5))
    second = state_gradients(run.network, ids[4:7], range(1, 3))
    assert [layer.name for layer in found.layers] == ["layer 1", "layer 1 cell"]
    assert found.targets.tolist() == [6, 4, 2, 1]  # Of 4 and of 2 tokens.
    for layer in found.layers:
        joined = np.full((6, 4), np.nan)
        joined[:4], joined[4:, :2] = first[layer.name], second[layer.name]
        np.testing.assert_allclose(layer.norms, np.nanmean(joined, axis=0), rtol=1e-4)


def test_empty_texts(runs: Runs, counted: Runs) -> None:
    assert seen(runs("gru"), "", "why").matrix.shape == (0, 0)
    assert seen(counted(), "", "why").matrix.shape[0] == 0
    assert seen(runs("gru"), "", "flow").layers == ()


@pytest.mark.parametrize("model", ["gru", "ngram"])
def test_against_another_token(runs: Runs, counted: Runs, model: str) -> None:
    run = runs("gru") if model == "gru" else counted(model="ngram", order=3)
    found = seen(run, "abba", "why", against="a")
    plain = seen(run, "abba", "why")
    assert "than 'a' in its place" in found.about
    assert found.against == "a"
    # Nothing made the last token likelier than itself; the second is compared with that of "aa".
    np.testing.assert_allclose(found.matrix[3], 0, atol=2e-5)
    other = seen(run, "aaba", "why")
    np.testing.assert_allclose(found.matrix[1], plain.matrix[1] - other.matrix[1], atol=4e-5)


def test_what_it_is_compared_with_is_one_token(counted: Runs) -> None:
    run = counted()
    assert seen(run, "ab", "why", against="<boundary>").against == "<boundary>"
    with pytest.raises(SettingError, match="'ab' is 2 tokens of run; choose a single one"):
        look(run, "ab", lenses=["why"], against="ab")
    with pytest.raises(SettingError, match="'z' is no token that the model knows"):
        look(run, "ab", lenses=["why"], against="z")
