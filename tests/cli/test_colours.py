"""What a person sees of scores at a terminal, and a program in a pipe."""

import re

import pytest

from thence.cli.colours import coloured_score, described_score
from thence.generation import next_tokens
from thence.results import Score

PLAIN = re.compile(r"\x1b\[[0-9;]*m")


def score_of(*bits: float | None) -> Score:
    names = [*"abc"[: len(bits) - 1], "<boundary>"]
    tokens = [
        {"token": name, "surprisal_bits": one, "special": name == "<boundary>"}
        for name, one in zip(names, bits, strict=True)
    ]
    about = {"log_probability": -2.5, "nats_per_token": 0.625, "targets": 4, "bits_per_byte": 1.0}
    made = Score({"text": "abc", **about, "tokens": tokens})
    made.display = (16, "", None)
    return made


def test_the_colour_grows_with_the_surprisal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    # Of 16 symbols the colour is strongest from 1.5 log2 16 = 6 bits on.
    line = coloured_score(score_of(0.1, 3.0, None, 0.2))
    assert PLAIN.sub("", line) == "  0.6250  abc ■"
    a, b, c = (re.search(rf"(\x1b\[[0-9;]*m)?{one}", line)[1] or "" for one in "abc")
    assert "48;5" not in a and "48;5" in b and b != c
    assert "4;" in c and "4;30" not in b


def test_no_colour_where_it_is_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    line = coloured_score(score_of(0.1, 3.0, None, 0.2))
    assert not re.search(r"\x1b\[[0-9;]*[34][0-9]", line)  # Bold and underlined at most.


def test_numbers_of_each_token() -> None:
    lines = PLAIN.sub("", described_score(score_of(1.0, 3.0, None, 2.0), tokens=True)).split("\n")
    assert lines[1] == (
        "nats per token; log-probability -2.5, 4 targets with its end (■), 1.0000 bits per byte"
    )
    assert [line.split()[0] for line in lines[3:]] == ["token", "a", "b", "c", "<boundary>"]
    assert lines[4].endswith("0.5000") and lines[6].split()[1] == "∞"


def test_a_person_sees_bars_of_next_tokens(thence, trained, monkeypatch):
    piped = thence("next", trained.mlp, "a")
    monkeypatch.setattr("thence.cli.evaluating.shows_for_people", lambda: True)
    assert thence("next", trained.mlp, "a").out == f"{next_tokens(trained.mlp, 'a')}\n"
    assert thence("next", trained.mlp, "a", "--json").out == piped.out


def test_a_person_sees_colours_and_a_program_json(thence, trained, monkeypatch):
    piped = thence("score", trained.mlp, "ab")
    assert piped.json()["text"] == "ab"
    monkeypatch.setattr("thence.cli.texts.shows_for_people", lambda: True)
    shown = thence("score", trained.mlp, "ab")
    assert "nats per token; log-probability" in PLAIN.sub("", shown.out)
    assert thence("score", trained.mlp, "ab", "--json").out == piped.out
    assert thence("score", trained.mlp, "text.txt").out.count("■") == len(
        thence("score", trained.mlp, "text.txt", "--json").out.splitlines()
    )


def test_a_look_is_coloured_for_a_person(thence, trained, monkeypatch):
    piped = thence("look", trained.mlp, "ab")
    assert "\x1b" not in piped.out
    assert "reads 2 tokens" in piped.out
    monkeypatch.setattr("thence.cli.looking.shows_for_people", lambda: True)
    shown = PLAIN.sub("", thence("look", trained.mlp, "ab").out)
    assert shown == f"ab\n\n{piped.out}"
    lenses = thence("look", trained.mlp, "ab", "--lens", "examples")
    assert "The longest n-gram of the train text" in lenses.out
    assert {*thence("look", trained.mlp, "ab", "--json").json()["lenses"]} == set()
