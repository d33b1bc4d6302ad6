"""The prompts of a request for completions, made into ids or refused."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from thence.errors import SettingError
from thence.serve.completion_shapes import CompletionRequest
from thence.serve.limits import MOST_CHOICES, MOST_TOLD, PROMPTS_TOGETHER, Limits
from thence.serve.problems import check_characters, check_length, refuse
from thence.serve.served import ServedRun
from thence.serve.worker import Ids


@dataclass(frozen=True)
class Prompt:
    """A text to go on from.

    Attributes:
        text: As it is given back.
        ids: Its tokens.
        lacks: Whether the ids end within a character, which is no part of the text yet.
    """

    text: str
    ids: Ids
    lacks: bool = False


def length_of(prompt: Any) -> int:
    """Return the characters or ids of all prompts together."""
    is_nested = isinstance(prompt, list) and prompt and not isinstance(prompt[0], int)
    return sum(map(len, prompt)) if is_nested else len(prompt)


def check_size(request: CompletionRequest, limits: Limits) -> None:
    """Refuse a request that is plainly too large, before it occupies the model's thread.

    Raises:
        HTTPException: With status 400, if a prompt or what is to be added to it is too long.
        SettingError: If it has no prompt, or asks for too much.
    """
    several = _several(request.prompt)
    if not several:
        raise SettingError('"prompt" is an empty list; give at least one text.')
    if len(several) * request.n > MOST_CHOICES:
        raise SettingError(
            f"{len(several)} prompts with n = {request.n} are more than {MOST_CHOICES} "
            "completions; ask for fewer at a time."
        )
    if request.max_tokens > limits.max_tokens:
        raise refuse(
            400,
            f'"max_tokens" is {request.max_tokens}; this server gives at most '
            f"{limits.max_tokens} (--max-tokens).",
        )
    if request.best_of not in (None, request.n):
        raise SettingError('"best_of" other than n is not offered; leave it out.')
    for check, kind in ((check_characters, str), (check_length, list)):
        _check_all(check, [len(given) for given in several if isinstance(given, kind)], limits)


def _check_all(check: Callable[[str, int, int], None], lengths: list[int], limits: Limits) -> None:
    """Check the length of each prompt, and of all of them together."""
    check("prompt", max(lengths, default=0), limits.max_prompt)
    check("prompt", sum(lengths), PROMPTS_TOGETHER * limits.max_prompt)


def prompts_of(served: ServedRun, request: CompletionRequest, limits: Limits) -> list[Prompt]:
    """Return the prompts as ids, or refuse them."""
    several = _several(request.prompt)
    of_each = [_ids_of(served, given) for given in several]
    _check_all(check_length, [len(ids) for ids in of_each], limits)
    if request.logprobs is not None:
        echoed = sum(len(ids) for ids in of_each) * request.echo
        told = (echoed + len(several) * request.n * request.max_tokens) * (1 + request.logprobs)
        if told > MOST_TOLD:
            raise SettingError(
                f"The request asks for {told} log-probabilities (tokens times one more than "
                f'"logprobs"); at most {MOST_TOLD} are told at a time.'
            )
    return [_prompt(served, given, ids) for given, ids in zip(several, of_each, strict=True)]


def _several(given: Any) -> list[str | list[int]]:
    """Return the prompts as a list; a list of ids is one of them."""
    is_one = isinstance(given, str) or (given and isinstance(given[0], int))
    return [given] if is_one else list(given)


def _ids_of(served: ServedRun, given: str | list[int]) -> Ids:
    if isinstance(given, str):
        ids = served.encode_prompt(given)
        if given.startswith("\n") and len(ids) and ids[0] == served.boundary_id:
            # The first document is empty and kept: its end is not the boundary that begins a text.
            ids = np.insert(ids, 0, served.boundary_id)
        return ids
    size = len(served.token_names)
    if wrong := [index for index in given if index >= size]:
        raise SettingError(
            f"{str(wrong[0])[:40]} is no token id of {served.name}; its ids are 0 to {size - 1}."
        )
    return np.array(given, np.int64)


def _prompt(served: ServedRun, given: str | list[int], ids: Ids) -> Prompt:
    if isinstance(given, str):
        return Prompt(given, ids)
    begun = ids[1:] if len(ids) and ids[0] == served.boundary_id else ids
    text = served.decode(begun)
    certain = served.certain_text(begun, text)
    return Prompt(certain, ids, lacks=certain != text)
