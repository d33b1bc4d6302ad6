"""``/tokenize``, ``/detokenize`` and ``/tokenizer_info``: a model's tokens for its clients."""

from typing import Annotated

import numpy as np
from fastapi import APIRouter
from pydantic import BaseModel, Field

from thence.errors import SettingError
from thence.serve.body import Body
from thence.serve.completion_shapes import TokenId
from thence.serve.limits import LONGEST_NAME, PROMPTS_TOGETHER, Limits
from thence.serve.problems import PROBLEMS, check_characters
from thence.serve.served import ServedRun, choose_served


class TokenizeRequest(Body):
    """A text to cut into tokens."""

    model: str | None = Field(None, max_length=LONGEST_NAME)
    prompt: str
    add_special_tokens: bool = Field(False, description="Put the boundary before the text.")


class Tokens(BaseModel):
    """The tokens of a text."""

    count: int
    tokens: list[int]
    token_strs: list[str]


class DetokenizeRequest(Body):
    """Tokens to make text of."""

    model: str | None = Field(None, max_length=LONGEST_NAME)
    tokens: Annotated[list[TokenId], Field(fail_fast=True)]


class Text(BaseModel):
    """The text of tokens."""

    prompt: str


class TokenizerInfo(BaseModel):
    """The special symbols: one boundary both begins and ends a document."""

    bos_token: str
    eos_token: str
    bos_token_id: int
    eos_token_id: int
    unk_token: str | None
    chat_template: None = None
    vocab_size: int


def token_routes(models: dict[str, ServedRun], limits: Limits) -> APIRouter:
    """Return the routes about tokens."""
    router = APIRouter()
    most = PROMPTS_TOGETHER * limits.max_prompt

    @router.post("/tokenize", responses=PROBLEMS)
    async def tokenize(request: TokenizeRequest) -> Tokens:
        """Cut a text into tokens."""
        served = choose_served(models, request.model, classifier=False)
        check_characters("text", len(request.prompt), most)
        return await served.worker.run(_tokenize, served, request, most)

    @router.post("/detokenize", responses=PROBLEMS)
    async def detokenize(request: DetokenizeRequest) -> Text:
        """Make text of tokens."""
        served = choose_served(models, request.model, classifier=False)
        _check_length(len(request.tokens), most)
        return await served.worker.run(_detokenize, served, request.tokens)

    @router.get("/tokenizer_info", responses=PROBLEMS)
    async def tokenizer_info(model: str | None = None) -> TokenizerInfo:
        """Tell the special symbols of a model."""
        served = choose_served(models, model, classifier=False)
        vocabulary = served.run.tokenizer.vocabulary
        boundary = served.token_names[served.boundary_id]
        unknown = vocabulary.unknown_id
        return TokenizerInfo(
            bos_token=boundary,
            eos_token=boundary,
            bos_token_id=served.boundary_id,
            eos_token_id=served.boundary_id,
            unk_token=None if unknown is None else served.token_names[unknown],
            vocab_size=len(served.token_names),
        )

    return router


def _check_length(tokens: int, most: int) -> None:
    if tokens > most:
        raise SettingError(
            f"{tokens} tokens are more than {most}, 16 times what a prompt may have "
            "(--max-prompt); send the text in parts."
        )


def _tokenize(served: ServedRun, request: TokenizeRequest, most: int) -> Tokens:
    ids = served.encode_prompt(request.prompt)
    if request.add_special_tokens:
        ids = np.concatenate([[served.boundary_id], ids])
    _check_length(len(ids), most)
    texts = {index: served.token_text(index) for index in np.unique(ids).tolist()}
    tokens = ids.tolist()
    return Tokens(count=len(ids), tokens=tokens, token_strs=[texts[index] for index in tokens])


def _detokenize(served: ServedRun, tokens: list[int]) -> Text:
    if max(tokens, default=0) >= len(served.token_names):
        raise SettingError(f"The ids of {served.name} are 0 to {len(served.token_names) - 1}.")
    return Text(prompt=served.decode(tokens))
