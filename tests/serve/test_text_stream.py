"""The text of tokens that come one by one is the text of all together."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import thence
from thence.serve import open_runs
from thence.serve.loaded_runs import LoadedRun
from thence.serve.text_stream import StopSequences, TextStream

Made = Callable[..., thence.Run]


def streamed(loaded: LoadedRun, ids: list[int], prompt: list[int] | None = None) -> list[str]:
    stream = TextStream(loaded)
    if prompt is not None:
        text = loaded.decode(prompt)
        certain = loaded.complete_text(prompt, text)
        stream.follow(certain, np.array(prompt, np.int64), certain != text)
    pieces = [stream.add(index) for index in ids]
    return [*pieces, stream.finish()]


@pytest.fixture(
    scope="module",
    params=["characters", "bytes", "words", "subwords", "spelled words", "spelled characters"],
)
def loaded(request: pytest.FixtureRequest, made: Made) -> LoadedRun:
    kinds: dict[str, dict[str, Any]] = {
        "subwords": {"tokens": "subwords", "max_size": 280},
        "spelled words": {"tokens": "words", "unknown": "bytes"},
        "spelled characters": {"unknown": "bytes"},
    }
    given_ = kinds.get(request.param, {"tokens": request.param})
    run = made(f"{request.param} tokens", "bigram-counts", **given_)
    return open_runs([run])[run.name]


@pytest.mark.parametrize("text", ["the war, and (old) 😀 trade", "€€ über", "", " a  b "])
def test_a_text_comes_whole(loaded: LoadedRun, text: str) -> None:
    ids = loaded.encode(text).tolist()
    assert "".join(streamed(loaded, ids)) == loaded.decode(ids)


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_any_ids_come_whole(loaded: LoadedRun, data: st.DataObject) -> None:
    ids = data.draw(st.lists(st.integers(0, len(loaded.token_names) - 1), max_size=40))
    assert "".join(streamed(loaded, ids)) == loaded.decode(ids)


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_what_follows_a_prompt_is_what_it_gains(loaded: LoadedRun, data: st.DataObject) -> None:
    some = st.lists(st.integers(0, len(loaded.token_names) - 1), max_size=12)
    prompt, ids = data.draw(some), data.draw(some)
    known = loaded.complete_text(prompt, loaded.decode(prompt))
    if known[-1:].isspace() and loaded.run.tokenizer.options.tokens == "words":
        return
    assert "".join(streamed(loaded, ids, prompt)) == loaded.decode([*prompt, *ids])[len(known) :]


def test_no_piece_breaks_a_character(made: Made) -> None:
    run = made("bytes tokens", tokens="bytes")
    loaded = open_runs([run])[run.name]
    assert streamed(loaded, list("a€😀".encode())) == ["a", "", "", "€", "", "", "", "😀", ""]
    assert streamed(loaded, [0xE2, 0x82]) == ["", "", "\ufffd"]
    assert streamed(loaded, [0xE2, 0x41]) == ["", "\ufffdA", ""]


@settings(max_examples=60)
@given(st.text("abc", max_size=12), st.lists(st.text("abc", min_size=1, max_size=4), max_size=3))
def test_stopping_is_the_same_in_pieces(text: str, stops: list[str]) -> None:
    found = [place for stop in stops if (place := text.find(stop)) >= 0]
    stopper = StopSequences(stops)
    shown = ""
    for letter in text:
        shown += stopper.add(letter)
        if stopper.stopped:
            break
    shown += stopper.finish()
    assert stopper.stopped is bool(found)
    if not found:
        assert shown == text
    else:  # Of several stops the one that is complete first counts.
        ends = min(text.find(stop) + len(stop) for stop in stops if stop in text)
        begins = min(text.find(stop) for stop in stops if stop in text[:ends])
        assert shown == text[:begins]
