"""Completions: what is asked for, in which shape, and that it is what ``thence.sample`` draws."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import thence
from thence.serve import open_runs

Made = Callable[..., thence.Run]
NAMES = ["lstm", "ngram", "mixture", "mlp", "transformer", "words", "bytes", "running"]


def test_a_prompt_may_be_text_or_ids_one_or_several(client: Any) -> None:
    ids = client.models["lstm"].encode("the w").tolist()
    some = client.models["lstm"].encode("a s").tolist()
    given: list[Any] = ["the w", ["the w"], ids, [ids], ["the w", "a s"], [ids, some]]
    answers = [client.complete("lstm", prompt=prompt, seed=3, max_tokens=8) for prompt in given]
    texts = [[choice["text"] for choice in answer["choices"]] for answer in answers]
    assert texts[0] == texts[1] == texts[2] == texts[3]
    assert texts[4] == texts[5]
    assert texts[4][0] == texts[0][0]
    assert [choice["index"] for choice in answers[4]["choices"]] == [0, 1]


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_gives_what_sample_draws(client: Any, name: str) -> None:
    run = client.models[name].run
    for settings in ({}, {"temperature": 0.5}, {"top_k": 3}, {"top_p": 0.7}):
        want = thence.sample(run, 1, prefix="the", max_length=8, seed=7, **settings).texts[0]
        got = client.text(name, prompt="the", max_tokens=8, seed=7, echo=True, **settings)
        assert got.removesuffix("\n") == want


def test_temperature_zero_takes_the_likeliest(client: Any) -> None:
    want = thence.sample(client.models["lstm"].run, 1, prefix="the", max_length=9, greedy=True)
    got = client.text("lstm", prompt="the", max_tokens=9, temperature=0, echo=True)
    assert got == want.texts[0]
    assert client.text("lstm", prompt="the", max_tokens=9, top_k=1, echo=True) == got


def test_several_of_one_prompt_differ_and_come_again(client: Any) -> None:
    asked = {"prompt": ["the", "a"], "n": 3, "seed": 5, "max_tokens": 10}
    first, again = (client.complete("lstm", **asked)["choices"] for _ in range(2))
    assert [choice["index"] for choice in first] == list(range(6))
    assert [choice["text"] for choice in first] == [choice["text"] for choice in again]
    assert len({choice["text"] for choice in first}) > 3
    alone = client.complete("lstm", prompt="the", seed=5, max_tokens=10)["choices"]
    assert alone[0]["text"] == first[0]["text"]


@pytest.mark.parametrize("name", ["ngram", "running"])
def test_several_of_a_seed_are_what_sample_draws(client: Any, name: str) -> None:
    asked = {"prompt": "the", "n": 5, "max_tokens": 20, "echo": True}
    of_each = []
    for seed in (1, 2):
        choices = client.complete(name, seed=seed, **asked)["choices"]
        of_each.append([choice["text"].removesuffix("\n") for choice in choices])
        run = client.models[name].run
        assert of_each[-1] == thence.sample(run, 5, prefix="the", max_length=20, seed=seed).texts
    if name == "running":  # Texts of 20 words; the others may end early, and so alike.
        assert len({*of_each[0], *of_each[1]}) == 10


def test_without_a_seed_texts_differ(client: Any) -> None:
    texts = {client.text("lstm", prompt="", max_tokens=20) for _ in range(4)}
    assert len(texts) > 1


@pytest.mark.parametrize("name", NAMES)
def test_a_stream_is_the_text_in_pieces(client: Any, name: str) -> None:
    asked = {"prompt": "a ", "seed": 11, "n": 2, "max_tokens": 20, "echo": True, "logprobs": 2}
    whole = client.complete(name, **asked)
    events = client.stream(name, **asked, stream_options={"include_usage": True})
    *events, last = events
    assert last["choices"] == []
    assert last["usage"] == whole["usage"]
    for want in whole["choices"]:
        pieces = [event["choices"][0] for event in events]
        pieces = [piece for piece in pieces if piece["index"] == want["index"]]
        assert "".join(piece["text"] for piece in pieces) == want["text"]
        assert all("\ufffd" not in piece["text"] for piece in pieces) or "\ufffd" in want["text"]
        assert [piece["finish_reason"] for piece in pieces][:-1] == [None] * (len(pieces) - 1)
        assert pieces[-1]["finish_reason"] == want["finish_reason"]
        joined = {
            key: [item for piece in pieces for item in piece["logprobs"][key]]
            for key in want["logprobs"]
        }
        assert joined["tokens"] == want["logprobs"]["tokens"]
        assert joined["text_offset"] == want["logprobs"]["text_offset"]
        told = [joined["token_logprobs"], want["logprobs"]["token_logprobs"]]
        np.testing.assert_allclose(*[list(map(float, values[1:])) for values in told], atol=1e-5)
        tops = zip(joined["top_logprobs"], want["logprobs"]["top_logprobs"], strict=True)
        assert all(top == pytest.approx(other, abs=1e-5) for top, other in tops)
    assert len({event["id"] for event in events}) == 1


def test_a_character_of_several_bytes_comes_at_once(client: Any) -> None:
    prompt = [*b"5 ", 0xE2]
    events = client.stream("bytes", prompt=prompt, temperature=0, max_tokens=8)
    texts = [event["choices"][0]["text"] for event in events]
    assert "".join(texts).startswith("€ 😀")
    assert {"€", "😀"} <= set(texts)
    assert "".join(texts) == client.text("bytes", prompt=prompt, temperature=0, max_tokens=8)


def test_the_end_of_a_document_ends_a_completion(client: Any) -> None:
    choice = client.complete("ngram", prompt="a song", temperature=0, logprobs=0)["choices"][0]
    assert (choice["text"], choice["finish_reason"]) == ("", "stop")
    assert choice["logprobs"]["tokens"] == ["<boundary>"]
    choice = client.complete("ngram", prompt="a so", temperature=0, max_tokens=1)["choices"][0]
    assert (choice["text"], choice["finish_reason"]) == ("n", "length")


def test_running_text_goes_on_after_the_end_of_a_document(client: Any) -> None:
    asked = {"prompt": "the", "seed": 1, "max_tokens": 40}
    choice = client.complete("running", **asked)["choices"][0]
    assert choice["finish_reason"] == "length"
    assert "\n" in choice["text"]
    stopped = client.complete("running", **asked, stop="\n")["choices"][0]
    assert stopped["finish_reason"] == "stop"
    assert stopped["text"] == choice["text"].partition("\n")[0]


@pytest.mark.parametrize("name", ["lstm", "words", "bytes"])
def test_it_stops_before_a_stop(client: Any, name: str) -> None:
    asked = {"prompt": "", "seed": 2, "max_tokens": 30}
    text = client.text(name, **asked)
    assert len(text) > 5
    for stop in (text[2:5], text[3:4], ["never", text[2:5], text[3:6]]):
        choice = client.complete(name, **asked, stop=stop)["choices"][0]
        stops = [stop] if isinstance(stop, str) else stop
        ends = min(text.find(item) + len(item) for item in stops if item in text)
        place = min(text.find(item) for item in stops if item in text[:ends])
        assert choice["text"] == text[:place]
        assert choice["finish_reason"] == "stop"
        events = client.stream(name, **asked, stop=stop)
        assert "".join(event["choices"][0]["text"] for event in events) == choice["text"]
    unmatched = client.complete(name, **asked, stop=[text + "x", text[-1] + "zz"])["choices"][0]
    assert unmatched["text"] == text


def test_ids_of_a_prompt_are_given_back_as_their_text(client: Any) -> None:
    ids = client.post("/tokenize", {"model": "lstm", "prompt": "a war\na"}).json()["tokens"]
    boundary = client.models["lstm"].boundary_id
    for prompt in (ids, [boundary, *ids]):
        asked = {"prompt": prompt, "echo": True, "max_tokens": 1, "logprobs": 0, "seed": 1}
        choice = client.complete("lstm", **asked)["choices"][0]
        assert choice["text"].startswith("a war\na")
        begins = choice["logprobs"]["text_offset"][len(prompt) - len(ids) :]
        assert begins == list(range(8))


def test_a_prompt_that_ends_within_a_character_ends_before_it(client: Any) -> None:
    prompt = [*b"5 ", 0xE2]
    asked: dict[str, Any] = {"prompt": prompt, "temperature": 0, "echo": True}
    assert client.text("bytes", **asked, max_tokens=2) == "5 €"
    assert client.text("bytes", **asked, max_tokens=0) == "5 \ufffd"


def test_a_stop_in_the_prompt_does_not_stop(client: Any) -> None:
    text = client.text("lstm", prompt="the war", seed=3, echo=True, stop="the war", max_tokens=5)
    assert text.startswith("the war")


def test_no_tokens_may_be_asked_for(client: Any) -> None:
    answer = client.complete("lstm", prompt="a song", max_tokens=0, echo=True)
    assert answer["choices"][0]["text"] == "a song"
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"] == {"prompt_tokens": 6, "completion_tokens": 0, "total_tokens": 6}
    assert client.text("lstm", prompt="a song", max_tokens=0) == ""
    events = client.stream("lstm", prompt="a song", max_tokens=0, echo=True)
    assert "".join(event["choices"][0]["text"] for event in events) == "a song"


def test_tokens_are_counted(client: Any) -> None:
    ended = client.complete("ngram", prompt=["a son", "a so"], temperature=0, n=2)
    # 'g' or 'ng' and the boundary, twice each.
    assert ended["usage"] == {"prompt_tokens": 9, "completion_tokens": 10, "total_tokens": 19}


def test_words_are_spaced_from_their_prompt(client: Any) -> None:
    spaced = client.text("words", prompt="the", temperature=0, max_tokens=1)
    tight = client.text("words", prompt="the ", temperature=0, max_tokens=1)
    assert spaced == " " + tight
    assert tight.strip() == tight != ""
    assert not client.text("words", prompt="", seed=1, max_tokens=1).startswith(" ")
    assert not client.text("words", prompt="a song\n", seed=1, max_tokens=1).startswith(" ")
    assert client.text("words", prompt="the war", temperature=0, max_tokens=1) == ","


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_prompt_begins_a_document(client: Any, name: str) -> None:
    asked = {"seed": 4, "max_tokens": 10}
    boundary = client.models[name].boundary_id
    texts = [client.text(name, prompt=prompt, **asked) for prompt in ("", "\n", [boundary], [""])]
    assert len(set(texts)) == 1
    assert client.text(name, **asked) == texts[0]


def test_unknown_symbols_are_read_as_such(client: Any) -> None:
    answer = client.complete("lstm", prompt="Ω", echo=True, logprobs=0, max_tokens=0)
    assert answer["choices"][0]["text"] == "Ω"
    assert answer["choices"][0]["logprobs"]["tokens"] == ["<unk>"]


def test_a_closed_vocabulary_refuses_others(client: Any) -> None:
    said = client.refused("/v1/completions", {"model": "closed", "prompt": "Ω"})
    assert "Ω" in said["message"]
    said = client.refused("/tokenize", {"model": "closed", "prompt": "Ω"})
    assert "Ω" in said["message"]


def test_empty_documents_count_where_a_run_keeps_them(made: Made, serving: Any) -> None:
    run = made("keeping", "ngram", ["a b", "", "b a"], keep_empty=True)
    with serving(open_runs([run])) as client:
        assert client.post("/tokenize", {"prompt": "a\n\nb"}).json()["tokens"] == [
            *client.post("/tokenize", {"prompt": "a\n"}).json()["tokens"],
            *client.post("/tokenize", {"prompt": "\nb"}).json()["tokens"],
        ]
        asked = {"prompt": "\na b\n", "echo": True, "logprobs": 0, "max_tokens": 0}
        choice = client.complete(**asked)["choices"][0]
        lines = thence.score(run, ["", "a b"], tokens=True)
        want = [token["log_probability"] for line in lines for token in line["tokens"]]
        assert choice["text"] == "\na b\n"
        np.testing.assert_allclose(choice["logprobs"]["token_logprobs"][1:], want, atol=1e-5)
        assert choice["logprobs"]["text_offset"] == [0, 0, 1, 2, 3, 4]


def test_null_stands_for_what_is_not_given(client: Any) -> None:
    nothing = dict.fromkeys(["max_tokens", "n", "temperature", "top_p", "echo", "stream", "stop"])
    answer = client.complete("lstm", prompt="a", seed=1, **nothing)
    assert answer["choices"][0]["text"] == client.text("lstm", prompt="a", seed=1)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"best_of": 3}, None),
        ({"suffix": "x"}, "suffix"),
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"frequency_penalty": -1}, "frequency_penalty"),
        ({"logit_bias": {"5": 1}}, "logit_bias"),
        ({"n": 0}, "n"),
        ({"n": 1000}, "n"),
        ({"prompt": ["a"] * 100, "n": 2}, None),
        ({"temperature": -1}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"top_k": 0}, "top_k"),
        ({"logprobs": 21}, "logprobs"),
        ({"logprobs": True}, "logprobs"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": "9"}, "max_tokens"),
        ({"max_tokens": 10**9}, None),
        ({"seed": 2**63}, "seed"),
        ({"stop": ""}, "stop"),
        ({"stop": ["a"] * 1000}, "stop"),
        ({"prompt": []}, None),
        ({"prompt": [[]] * 3 + [["a"]]}, "prompt"),
        ({"prompt": [1, "a"]}, "prompt"),
        ({"prompt": [10**6]}, None),
        ({"prompt": [-1]}, "prompt"),
        ({"prompt": 5}, "prompt"),
        ({"prompt": {"a": "b"}}, "prompt"),
        ({"stream": "yes"}, "stream"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_what_is_not_offered_is_refused(client: Any, fields: Any, param: str | None) -> None:
    said = client.refused("/v1/completions", {"model": "lstm", "prompt": "a", **fields})
    assert said["type"] == "invalid_request_error"
    assert (said["param"] or "").split(".")[0] == (param or "")
    assert len(said["message"]) < 300


def test_a_model_must_be_named_where_there_are_several(client: Any) -> None:
    answer = client.post("/v1/completions", {"prompt": "a"})
    assert answer.status == 404
    assert "lstm" in answer.problem()["message"]
    answer = client.post("/v1/completions", {"model": "lstn", "prompt": "a"})
    assert answer.status == 404
    assert answer.problem()["code"] == "model_not_found"
    assert "Did you mean" in answer.problem()["message"]


def test_tokens_and_back(client: Any) -> None:
    for name in NAMES:
        found = client.post("/tokenize", {"model": name, "prompt": "the war\na song"}).json()
        assert found["count"] == len(found["tokens"]) == len(found["token_strs"])
        back = client.post("/detokenize", {"model": name, "tokens": found["tokens"]}).json()
        assert back == {"prompt": "the war\na song"}
        info = client.get(f"/tokenizer_info?model={name}").json()
        special = client.post("/tokenize", {"model": name, "prompt": info["bos_token"]}).json()
        assert special["tokens"] == [info["bos_token_id"]]
    with_special = {"model": "lstm", "prompt": "a", "add_special_tokens": True}
    assert client.post("/tokenize", with_special).json()["token_strs"] == ["<boundary>", "a"]
    said = client.refused("/detokenize", {"model": "lstm", "tokens": [999]})
    assert "0 to" in said["message"]


def test_a_list_of_models(client: Any) -> None:
    found = client.get("/v1/models").json()
    assert [card["id"] for card in found["data"]] == list(client.models)
    card = client.get("/v1/models/lstm").json()
    assert (card["family"], card["kind"], card["running_text"]) == ("lstm", "language model", False)
    assert client.get("/v1/models/nothing").status == 404
    assert client.get("/v1/models/nothing").problem()["code"] == "model_not_found"
