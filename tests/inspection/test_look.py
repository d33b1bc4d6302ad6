"""A text as a model reads it: tokens, spans, ranks and what could follow."""

import json
import math
from collections.abc import Callable
from importlib import import_module

import numpy as np
import pytest

import thence
from thence.errors import SettingError, TextError
from thence.inspection import Look, look
from thence.inspection.lenses import LABEL_LENSES, LENSES, Lens
from thence.runs import Run

Counted = Callable[..., Run]


def seen(run: Run, text: str, **settings: object) -> Look:
    found = look(run, text, **settings)  # type: ignore[arg-type]
    assert isinstance(found, Look)
    return found


@pytest.mark.parametrize("lens", [*LENSES, *LABEL_LENSES], ids=lambda lens: lens.name)
def test_every_lens_names_a_function(lens: Lens) -> None:
    module, _, name = lens.function.partition(":")
    assert callable(getattr(import_module(f"thence.inspection.{module}"), name))


def test_by_hand(counted: Counted) -> None:
    # Train: ab ab b. Beginnings: a 2, b 1; after a: b 2; after b: the end 3. Add 1, V = 4 with
    # <unk>: P(a | start) = 3/7, b 2/7, <unk> and the end 1/7 each; P(b | a) = 3/6, and
    # P(end | b) = 4/7.
    found = seen(counted(), "ab", top=2)
    first, second = found.tokens
    assert [first.text, second.text] == ["a", "b"]
    assert first.probability == pytest.approx(3 / 7)
    assert second.bits == pytest.approx(1.0)
    assert (first.rank, second.rank) == (1, 1)
    shares = np.array([3, 2, 1, 1]) / 7
    assert first.entropy == pytest.approx(-(shares * np.log2(shares)).sum())
    assert [(one.text, one.id) for one in first.top] == [("a", 0), ("b", 1)]
    assert found.next is not None
    assert found.next.rank is None
    assert found.next.top[0].text == "<boundary>"
    assert found.next.top[0].probability == pytest.approx(4 / 7)
    assert found.end_bits == pytest.approx(-math.log2(4 / 7))
    assert found.bits == pytest.approx(-math.log2(3 / 7) + 1)


def test_it_is_what_score_says(counted: Counted) -> None:
    run = counted(model="ngram", order=3)
    found = seen(run, "abba")
    (line,) = thence.score(run, ["abba"], tokens=True)
    bits = [token["surprisal_bits"] for token in line["tokens"]]
    assert [*(token.bits for token in found.tokens), found.end_bits] == pytest.approx(bits)


def test_shapes_and_contexts_of_counts(counted: Counted) -> None:
    # Two tokens and the boundary that closes them; a, b, the unknown symbol and the boundary.
    lens = seen(counted(model="ngram", order=3), "ab", lenses=["shapes"]).lenses["shapes"]
    assert [stage.shape for stage in lens.stages] == [(1, 3), (1, 3, 2), (1, 3, 4)]
    assert lens.contexts == (("<boundary>",), ("<boundary>", "a"))
    pairs = seen(counted(name="pairs"), "ab", lenses=["shapes"]).lenses["shapes"]
    assert pairs.contexts == (("<boundary>",), ("a",))


def test_lines_are_documents(counted: Counted) -> None:
    found = seen(counted(), "a\r\n\nb\n")
    assert [(token.text, token.start, token.end) for token in found.tokens] == [
        ("a", 0, 1),
        ("\r\n\n", 1, 4),
        ("b", 4, 5),
        ("\n", 5, 6),
    ]
    assert [token.is_boundary for token in found.tokens] == [False, True, False, True]


def test_places_and_lenses(counted: Counted) -> None:
    run = counted(model="ngram", order=2)
    whole, part = seen(run, "abab"), seen(run, "abab", places=(1, 3))
    assert part.places == (1, 3)
    assert part.tokens[1:3] == whole.tokens[1:3]
    assert part.tokens[0].rank is None
    assert seen(run, "abab", places=(2, 99)).places == (2, 4)
    bare = seen(run, "abab", lenses=[])
    assert bare.next is None
    assert "rank" not in bare.to_json()["tokens"][0]
    assert seen(run, "", lenses=[]).tokens[:] == []


def test_refused(counted: Counted) -> None:
    run = counted()
    with pytest.raises(SettingError, match=r"There is no lens 'folowing'.*Did you mean"):
        look(run, "a", lenses=["folowing"])
    with pytest.raises(SettingError, match="Name each lens by itself"):
        look(run, "a", lenses=["following,backoff"])
    with pytest.raises(SettingError, match="`places` is 3, 1"):
        look(run, "a", places=(3, 1))
    with pytest.raises(SettingError, match="`label` is for classifiers"):
        look(run, "a", label="x")
    with pytest.raises(TextError, match="must be one text"):
        look(run, ["a"])  # type: ignore[arg-type]


def test_what_is_said_of_it(counted: Counted) -> None:
    run = counted(model="ngram", order=2)
    assert str(seen(run, "")).split("\n\n")[1].startswith("What could follow: b ")
    shown = str(seen(run, "ab", top=2))
    assert shown.startswith("run (ngram, 4 different tokens) reads 2 tokens: ")
    assert shown.split("\n")[2].split() == [
        "token", "bits", "probability", "rank", "entropy", "order", "likeliest",
    ]  # fmt: skip
    (a, b) = seen(run, "ab", lenses=["backoff"]).tables("backoff")
    assert str(a).startswith("a  0.")
    assert str(b).split("\n")[2].startswith("2      a  ")
    assert max(map(len, str(b).split("\n"))) <= 80


def test_one_token_and_nothing_listed(counted: Counted) -> None:
    found = seen(counted(), "a", top=0)
    assert "reads 1 token: " in found.heading()
    assert "likeliest" not in found.table()[0]


def test_json(counted: Counted) -> None:
    found = seen(counted(add_k=0.0), "ba", top=1)
    read = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert read["kind"] == "language model"
    assert read["tokens"][0] == {
        "text": "b",
        "id": 1,
        "start": 0,
        "end": 1,
        "is_boundary": False,
        "is_unknown": False,
        "probability": pytest.approx(1 / 3),
        "bits": pytest.approx(math.log2(3)),
        "rank": 2,
        "entropy": pytest.approx(math.log2(3) - 2 / 3),
        "top": [{"text": "a", "id": 0, "probability": pytest.approx(2 / 3)}],
    }
    assert read["tokens"][1]["bits"] is None
