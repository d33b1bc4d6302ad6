"""Clients that ask for too much, leave, do not read, or are sent by the pages of other sites."""

import asyncio
import shutil
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import thence
from thence.serve import Limits, open_runs
from thence.serve.batching import call
from thence.serve.completion_stream import MAX_UNSENT, CompletionStream
from thence.serve.errors import CHARACTERS_PER_TOKEN
from thence.serve.routes.completions import PROMPTS_TOGETHER, encode_prompts
from thence.serve.run_entries import MAX_METRICS
from thence.serve.run_listing import RunListing
from thence.serve.schemas import CompletionRequest


def longest_wait(client: Any, work: Any) -> tuple[float, float]:
    """Return how long /health took at most while something else was asked for, and how long that.

    On a slow machine all takes longer; what holds up the others would hold them up to its end.
    """
    waits, thread = [0.0], threading.Thread(target=work)
    begun = time.monotonic()
    thread.start()
    while thread.is_alive():
        started = time.monotonic()
        assert client.get("/health").status == 200
        waits.append(time.monotonic() - started)
    thread.join()
    return max(waits), time.monotonic() - begun


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/tokenize", {"model": "words", "prompt": "the war " * 100_000}),
        ("/detokenize", {"model": "words", "tokens": [1] * 250_000}),
        (
            "/v1/completions",
            {"model": "lstm", "prompt": [[1] * 10_000], "echo": True, "logprobs": 20,
             "max_tokens": 0},
        ),
    ],
    ids=["tokenize", "detokenize", "echo"],
)  # fmt: skip
def test_long_work_does_not_hold_up_the_others(client: Any, path: str, body: Any) -> None:
    answers: list[Any] = []
    waited, whole = longest_wait(client, lambda: answers.append(client.post(path, body)))
    assert answers[0].status == 200, answers[0].body[:200]
    assert waited < max(1.5, whole / 2)


def test_what_is_too_long_for_the_tokenizer_is_refused(core: Any, serving: Any) -> None:
    with serving(core, Limits(max_prompt=4)) as client:
        long = {"model": "words", "prompt": "the " * 65}
        assert "--max-prompt" in client.refused("/tokenize", long)["message"]
        assert client.post("/tokenize", {**long, "prompt": "the " * 64}).json()["count"] == 64
        ids = {"model": "words", "tokens": [0] * 65}
        assert "--max-prompt" in client.refused("/detokenize", ids)["message"]


def test_what_is_plainly_too_long_never_occupies_the_model(made: Any, serving: Any) -> None:
    models = open_runs([made("words", "ngram", tokens="words"), made("lstm", "lstm")])
    most, over = CHARACTERS_PER_TOKEN * 20, threading.Event()
    word, ids = "a" * (most + 1), [0] * 21
    refused: list[tuple[str, dict[str, Any]]] = [
        ("/v1/completions", {"prompt": word}),
        ("/v1/completions", {"prompt": ["a", word]}),
        ("/v1/completions", {"prompt": ["a" * most] * 17}),
        ("/v1/completions", {"prompt": ids}),
        ("/v1/completions", {"prompt": [[0] * 20] * 17}),
        ("/v1/completions", {"prompt": "a", "max_tokens": 31}),
        ("/tokenize", {"prompt": "a" * (PROMPTS_TOGETHER * most + 1)}),
        ("/playground/read", {"text": word}),
    ]
    with serving(models, Limits(max_prompt=20, max_tokens=30, timeout=20)) as client:
        for loaded in models.values():
            loaded.worker.submit(call(over.wait, 60))
        for path, body in refused:
            for model in models:
                said = client.refused(path, {"model": model, **body})["message"]
                assert "--max-" in said
                if "--max-prompt" in said and "characters" in said:
                    assert "16 for each of" in said
        over.set()
        assert client.complete("words", prompt="a" * most, max_tokens=1)
        assert client.complete("words", prompt=["a" * most] * 16, max_tokens=1)


def test_what_is_plainly_too_long_is_not_classified(opinions: Any, serving: Any) -> None:
    with serving(open_runs([opinions]), Limits(max_prompt=4)) as client:
        most = 4 * CHARACTERS_PER_TOKEN
        assert client.post("/v1/classify", {"input": ["a" * most] * 16}).status == 200
        for given in ("a" * (most + 1), ["a" * most] * 17):
            assert "--max-prompt" in client.refused("/v1/classify", {"input": given})["message"]


def test_too_many_log_probabilities_are_refused(client: Any) -> None:
    asked = {"model": "lstm", "prompt": [1] * 16_000, "echo": True, "logprobs": 20}
    assert "log-probabilities" in client.refused("/v1/completions", asked)["message"]
    asked = {"model": "lstm", "prompt": "a", "n": 128, "max_tokens": 2048, "logprobs": 5}
    assert "log-probabilities" in client.refused("/v1/completions", asked)["message"]


@pytest.mark.slow
def test_who_leaves_while_texts_are_drawn_stops_it(core: Any, serving: Any) -> None:
    with serving(core) as client:
        started = time.monotonic()
        client.get("/playground/samples?run=mixture&seed=1&count=40")
        one = time.monotonic() - started
        for seed in range(2, 30):
            with socket.create_connection(("127.0.0.1", client.port)) as connection:
                asked = f"GET /playground/samples?run=mixture&seed={seed}&count=40 HTTP/1.1"
                connection.sendall(f"{asked}\r\nHost: localhost\r\n\r\n".encode())
                time.sleep(0.01)
        started = time.monotonic()
        client.complete("mixture", prompt="a", max_tokens=1)
        assert time.monotonic() - started < max(3, 5 * one)  # And not all of them.


def test_drawn_texts_count_among_the_requests(core: Any, serving: Any, at_once: Any) -> None:
    def draw(seed: int) -> int:
        return int(client.get(f"/playground/samples?run=mixture&seed={seed}").status)

    with serving(core, Limits(max_requests=1)) as client:
        found = at_once([lambda seed=seed: draw(seed) for seed in range(2, 8)])
        assert set(found) == {200, 503}


def test_nothing_is_written_ahead_of_a_reader_that_is_slow(core: Any) -> None:
    async def read_one_piece() -> int:
        loaded = core["running"]
        request = CompletionRequest(prompt="the", n=8, max_tokens=2000)
        stream = CompletionStream(loaded, request, encode_prompts(loaded, request, Limits()))
        pieces = stream.pieces()
        await anext(pieces)
        async with asyncio.timeout(60):
            while stream.usage().completion_tokens < MAX_UNSENT:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)  # What would write on, does.
        await pieces.aclose()
        return stream.usage().completion_tokens

    assert asyncio.run(read_one_piece()) <= MAX_UNSENT + 2


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb", ["a", "\udc00"]])
def test_half_a_character_is_refused(client: Any, text: Any) -> None:
    for path, name in (("/v1/completions", "prompt"), ("/tokenize", "prompt")):
        if path == "/tokenize" and not isinstance(text, str):
            continue
        assert client.post(path, {"model": "lstm", name: text}).status == 400


def test_pages_of_other_sites_may_not_ask(client: Any) -> None:
    header = {"Sec-Fetch-Site": "cross-site"}
    assert client.ask("GET", "/playground/runs", headers=header).status == 403
    assert client.ask("GET", "/v1/models", headers=header).status == 403
    assert client.ask("GET", "/v1/models", headers={"Sec-Fetch-Site": "same-origin"}).status == 200
    assert client.ask("GET", "/", headers=header).status == 200  # A link to the page is welcome.


def test_a_long_name_is_refused(client: Any) -> None:
    assert client.refused("/v1/completions", {"model": "a" * 256})["param"] == "model"


def test_folders_with_odd_names_and_huge_metrics_are_listed(made: Any, tmp_path: Path) -> None:
    run = made("lstm", "lstm")
    odd, huge = tmp_path / b"odd\xff".decode("utf-8", "surrogateescape"), tmp_path / "huge"
    shutil.copytree(run.folder, odd)
    shutil.copytree(run.folder, huge)
    with (huge / "metrics.jsonl").open("ab") as file:
        file.truncate(MAX_METRICS + 1)  # Sparse: it takes no room.
    entries = {entry.name: entry for entry in RunListing({}, (tmp_path,)).entries().runs}
    assert entries["huge"].state == "unreadable"
    assert "too much" in str(entries["huge"].problem)
    (name,) = set(entries) - {"huge"}
    name.encode("utf-8")
    assert entries[name].state == "finished"


def test_the_documents_of_python_hold_no_halves(made: Any) -> None:
    with pytest.raises(thence.ThenceError, match="surrogate"):
        thence.next_tokens(made("lstm", "lstm"), "\ud800")
    assert open_runs([]) == {}
