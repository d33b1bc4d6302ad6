"""OpenAI's own client understands the server."""

from typing import Any

import pytest

NO_RETRIES: dict[str, Any] = {"api_key": "none", "max_retries": 0}


@pytest.fixture(scope="module")
def openai() -> Any:
    """Return the library, which takes a second to import."""
    return pytest.importorskip("openai")


@pytest.fixture(scope="module")
def ask(client: Any, openai: Any) -> Any:
    with openai.OpenAI(base_url=f"{client.address}/v1", **NO_RETRIES) as made:
        yield made


def test_it_completes(ask: Any, client: Any) -> None:
    asked = {"prompt": "the w", "seed": 1, "max_tokens": 9, "logprobs": 2, "n": 2}
    answer = ask.completions.create(model="lstm", **asked)
    want = client.complete("lstm", **asked)
    assert answer.object == "text_completion"
    for choice, other in zip(answer.choices, want["choices"], strict=True):
        assert choice.text == other["text"]
        assert choice.finish_reason == other["finish_reason"]
        assert choice.logprobs.token_logprobs == pytest.approx(other["logprobs"]["token_logprobs"])
        assert choice.logprobs.tokens == other["logprobs"]["tokens"]
    assert answer.usage.total_tokens == want["usage"]["total_tokens"]


def test_it_streams(ask: Any, client: Any) -> None:
    asked = {"prompt": "the w", "seed": 1, "max_tokens": 9, "stop": "\n"}
    options = {"include_usage": True}
    chunks = list(
        ask.completions.create(model="lstm", stream=True, stream_options=options, **asked)
    )
    text = "".join(chunk.choices[0].text for chunk in chunks if chunk.choices)
    assert text == client.text("lstm", **asked)
    assert chunks[-1].usage.prompt_tokens == 5
    assert chunks[-2].choices[0].finish_reason in ("stop", "length")


def test_it_lists_models(ask: Any, client: Any) -> None:
    assert [model.id for model in ask.models.list()] == list(client.models)
    assert ask.models.retrieve("lstm").owned_by == "thence"


def test_it_scores(ask: Any, client: Any) -> None:
    answer = ask.completions.create(
        model="running", prompt="a song", echo=True, logprobs=0, max_tokens=0
    )
    assert answer.choices[0].logprobs.tokens == ["a", "song"]
    assert answer.choices[0].logprobs.token_logprobs[0] is None


def test_errors_have_their_types(ask: Any, client: Any, serving: Any, openai: Any) -> None:
    with pytest.raises(openai.NotFoundError, match="no model 'nothing'") as missing:
        ask.completions.create(model="nothing", prompt="a")
    assert missing.value.code == "model_not_found"
    assert missing.value.param == "model"
    with pytest.raises(openai.BadRequestError, match="max_tokens") as bad:
        ask.completions.create(model="lstm", prompt="a", max_tokens=-1)
    assert bad.value.param == "max_tokens"
    with pytest.raises(openai.NotFoundError):
        ask.chat.completions.create(model="lstm", messages=[{"role": "user", "content": "a"}])
    with serving(client.models, token="secret") as protected:
        wrong = openai.OpenAI(base_url=f"{protected.address}/v1", **NO_RETRIES)
        right = openai.OpenAI(
            base_url=f"{protected.address}/v1", **{**NO_RETRIES, "api_key": "secret"}
        )
        with wrong, right:
            with pytest.raises(openai.AuthenticationError, match="token"):
                wrong.completions.create(model="lstm", prompt="a")
            assert right.completions.create(model="lstm", prompt="a").choices


def test_a_stream_that_fails_raises(ask: Any, client: Any, serving: Any, openai: Any) -> None:
    from thence.serve import Limits

    with (
        serving(client.models, Limits(timeout=0.3, max_tokens=10**6)) as slow,
        openai.OpenAI(base_url=f"{slow.address}/v1", **NO_RETRIES) as asking,
    ):
        asked = {"model": "running", "prompt": "", "max_tokens": 10**6, "stream": True}
        with pytest.raises(openai.APIError, match="longer than"):
            list(asking.completions.create(**asked))
