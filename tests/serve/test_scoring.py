"""Echoed log-probabilities are those of ``thence.score``, for every family and level of tokens."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import thence
from thence.models.registry import families
from thence.serve import open_runs
from thence.serve.loaded_runs import LoadedRun

CLOSE = 1e-5
TEXTS = ["the old song", "a", "war, and (the) long 😀 trade" * 4]
LEVELS = ("characters", "bytes", "words", "subwords")
Made = Callable[..., thence.Run]


def expected(run: thence.Run, texts: list[str]) -> list[float]:
    """The log-probability of every target of the texts, their ends included.

    Context mixing learns from what it scores, not from what the server is asked.
    """
    static = run.recipe.model == "context-mixing"
    lines = thence.score(run, texts, tokens=True, static=static)
    found = [token["log_probability"] for line in lines for token in line["tokens"]]
    return [-9999.0 if value is None else value for value in found]


def echoed(client: Any, name: str, texts: list[str]) -> list[float]:
    """The same from the server, for the ids with a boundary before and after each text."""
    loaded = client.models[name]
    boundary = loaded.boundary_id
    ids = [boundary]
    for text in texts:
        ids += [*loaded.encode(text).tolist(), boundary]
    answer = client.complete(name, prompt=ids, echo=True, logprobs=0, max_tokens=0)
    logprobs = answer["choices"][0]["logprobs"]
    assert {len(values) for values in logprobs.values()} == {len(ids)}
    assert logprobs["token_logprobs"][0] is None
    assert logprobs["top_logprobs"][0] is None
    return list(logprobs["token_logprobs"][1:])


def check(client: Any, name: str, texts: list[str] = TEXTS) -> None:
    run = client.models[name].run
    np.testing.assert_allclose(echoed(client, name, texts), expected(run, texts), atol=CLOSE)


@pytest.mark.parametrize(
    "name", ["lstm", "ngram", "mixture", "mlp", "transformer", "words", "bytes", "running"]
)
def test_echoed_numbers_are_those_of_score(client: Any, name: str) -> None:
    check(client, name)


def family_run(made: Made, mixed: Made, family: str, **settings: Any) -> thence.Run:
    name = "-".join([family, *map(str, settings.values())])
    if family != "mixture":
        return made(name, family, **settings)
    members = [family_run(made, mixed, other, **settings) for other in ("ngram", "lstm")]
    carries = settings.get("carry_context", False)
    return mixed(name, members, **({"cache": 20} if carries else {}))


@pytest.mark.slow
@pytest.mark.parametrize("carry_context", [False, True])
@pytest.mark.parametrize("family", families("language"))
def test_every_family(
    made: Made, mixed: Made, serving: Any, family: str, carry_context: bool
) -> None:
    run = family_run(made, mixed, family, carry_context=carry_context)
    with serving(open_runs([run])) as client:
        check(client, run.name)


@pytest.mark.slow
@pytest.mark.parametrize("carry_context", [False, True])
@pytest.mark.parametrize("family", ["ngram", "lstm", "mixture"])
@pytest.mark.parametrize("level", LEVELS)
def test_every_level_of_tokens(
    made: Made, mixed: Made, serving: Any, family: str, level: str, carry_context: bool
) -> None:
    size = {"max_size": 280} if level == "subwords" else {}
    run = family_run(made, mixed, family, tokens=level, carry_context=carry_context, **size)
    with serving(open_runs([run])) as client:
        check(client, run.name)


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{"neural_cache": 20}, {"dynamic": True}])
def test_members_that_adapt(made: Made, mixed: Made, serving: Any, settings: Any) -> None:
    members = [
        made(f"{family}-carries", family, tokens="words", carry_context=True)
        for family in ("lstm", "ngram")
    ]
    run = mixed("-".join(settings), members, **settings)
    with serving(open_runs([run])) as client:
        if "dynamic" in settings:  # It learns only from what it scores, as the server's page says.
            assert len(echoed(client, run.name, TEXTS)) == len(expected(run, TEXTS))
        else:
            check(client, run.name)


@pytest.mark.parametrize("name", ["lstm", "ngram", "mixture", "transformer"])
def test_documents_begin_afresh_at_a_boundary(client: Any, name: str) -> None:
    alone = echoed(client, name, ["a song"])
    after = echoed(client, name, ["the war, and trade", "a song"])[-len(alone) :]
    np.testing.assert_allclose(after, alone, atol=CLOSE)


def test_running_text_goes_on_over_a_boundary(client: Any) -> None:
    alone = echoed(client, "running", ["a song"])
    after = echoed(client, "running", ["the war, and trade", "a song"])[-len(alone) :]
    assert np.abs(np.subtract(after, alone)).max() > 1e-3


def test_lines_of_a_text_prompt_are_documents(client: Any) -> None:
    answer = client.complete("lstm", prompt="a war\na song\n", echo=True, logprobs=0, max_tokens=0)
    found = answer["choices"][0]["logprobs"]
    want = expected(client.models["lstm"].run, ["a war", "a song"])
    assert found["token_logprobs"][0] is None
    np.testing.assert_allclose(found["token_logprobs"][1:], want[1:], atol=CLOSE)
    assert answer["choices"][0]["text"] == "a war\na song\n"
    assert found["tokens"] == [*"a war", "<boundary>", *"a song", "<boundary>"]
    assert found["text_offset"] == list(range(len("a war\na song\n")))


@pytest.mark.parametrize("name", ["lstm", "words", "bytes", "running"])
def test_offsets_say_where_tokens_begin(client: Any, name: str) -> None:
    prompt = "the war, and 😀 trade"
    choice = client.complete(name, prompt=prompt, echo=True, logprobs=1, max_tokens=3, seed=1)
    text, logprobs = choice["choices"][0]["text"], choice["choices"][0]["logprobs"]
    offsets = logprobs["text_offset"]
    assert offsets[0] == 0
    assert offsets == sorted(offsets)
    loaded: LoadedRun = client.models[name]
    for token, offset in zip(logprobs["tokens"], offsets, strict=True):
        if token not in ("<unk>", "<boundary>") and not token.startswith("<0x"):
            assert text[offset:].lstrip().startswith(token.strip()), (token, offset)
    assert loaded.encode(prompt).tolist() == loaded.encode(text[: len(prompt)]).tolist()


def test_the_last_token_is_of_the_most_likely_ones(client: Any) -> None:
    """What lm-eval's test of greedy tokens needs: the same float in both places."""
    answer = client.complete(
        "mixture", prompt="a song", echo=True, logprobs=1, max_tokens=1, temperature=0
    )
    found = answer["choices"][0]["logprobs"]
    pairs = list(zip(found["token_logprobs"], found["top_logprobs"], strict=True))[1:]
    assert all(value in top.values() for value, top in pairs)
    assert pairs[-1][0] == max(pairs[-1][1].values())


def test_top_tokens_are_those_of_next(client: Any) -> None:
    answer = client.complete("lstm", prompt="the w", logprobs=5, max_tokens=1, temperature=0)
    top = answer["choices"][0]["logprobs"]["top_logprobs"][0]
    after = thence.next_tokens(client.models["lstm"].run, "the w", 5)
    want = {token: np.log(chance) for token, chance in after.tokens}
    assert list(top) == list(want)
    np.testing.assert_allclose(list(top.values()), list(want.values()), atol=CLOSE)


def test_what_cannot_be_has_a_number(made: Made, serving: Any) -> None:
    run = made("mle", "ngram", smoothing="mle", order=2)
    with serving(open_runs([run])) as client:
        answer = client.complete("mle", prompt="aaa", echo=True, logprobs=1, max_tokens=0)
        assert -9999.0 in answer["choices"][0]["logprobs"]["token_logprobs"]


def test_an_imported_model_is_served(made: Made, serving: Any, here: Any) -> None:
    thence.export(made("words", "ngram", tokens="words"), here / "words.arpa")
    run = thence.import_arpa(here / "words.arpa", here / "imported")
    with serving(open_runs([run])) as client:
        check(client, "imported", ["the old song"])


def test_a_long_text_is_read_in_pieces(client: Any) -> None:
    check(client, "lstm", ["the war and a song, " * 20, "", "a"])


def test_a_model_adapts_to_a_request_if_that_is_asked_for(made: Made, serving: Any) -> None:
    run = made("adapts", "context-mixing", carry_context=True, slot_bits=12)
    text = "xyzzy plugh\n" * 6
    lines = text.splitlines()
    with serving(open_runs([run])) as client:

        def nats(**more: Any) -> float:
            request = {"model": run.name, "text": text, "alternatives": 0, **more}
            return float(client.post("/playground/read", request).json()["nats_with_end"])

        adapted, plain = nats(adapt=True), nats()
        assert nats(adapt=True) == adapted and nats() == plain  # Each request begins anew.
    # The text ends with a line end, which is the boundary, and one more ends the text.
    for found, static in ((adapted, False), (plain, True)):
        scored = sum(line["log_probability"] for line in thence.score(run, lines, static=static))
        end = 10.0  # The end of an empty document costs no more than that.
        assert 0 < found + scored < end
    assert adapted < plain - 20


def test_what_does_not_adapt_says_so(client: Any) -> None:
    request = {"model": "lstm", "text": "a song", "adapt": True}
    problem = client.post("/playground/read", request)
    assert problem.status == 400
    assert "'adapt': lstm does not adapt" in problem.problem()["message"]
