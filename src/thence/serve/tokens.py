"""``/tokenize``, ``/detokenize`` and ``/tokenizer_info``: a model's tokens for its clients."""

from typing import Annotated

import numpy as np
from fastapi import APIRouter
from pydantic import BaseModel, Field

from thence.errors import SettingError
from thence.serve.body import Body
from thence.serve.completion_shapes import TokenId
from thence.serve.problems import PROBLEMS
from thence.serve.served import ServedRun, choose_served


class TokenizeRequest(Body):
    """A text to cut into tokens."""

    model: str | None = None
    prompt: str
    add_special_tokens: bool = Field(False, description="Put the boundary before the text.")


class Tokens(BaseModel):
    """The tokens of a text."""

    count: int
    tokens: list[int]
    token_strs: list[str]


class DetokenizeRequest(Body):
    """Tokens to make text of."""

    model: str | None = None
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


def token_routes(models: dict[str, ServedRun]) -> APIRouter:
    """Return the routes about tokens."""
    router = APIRouter()

    @router.post("/tokenize", responses=PROBLEMS)
    async def tokenize(request: TokenizeRequest) -> Tokens:
        """Cut a text into tokens."""
        served = choose_served(models, request.model, classifier=False)
        ids = served.encode(request.prompt)
        if request.add_special_tokens:
            ids = np.concatenate([[served.boundary_id], ids])
        names = [served.token_text(int(index)) for index in ids]
        return Tokens(count=len(ids), tokens=ids.tolist(), token_strs=names)

    @router.post("/detokenize", responses=PROBLEMS)
    async def detokenize(request: DetokenizeRequest) -> Text:
        """Make text of tokens."""
        served = choose_served(models, request.model, classifier=False)
        if any(index >= len(served.token_names) for index in request.tokens):
            raise SettingError(f"The ids of {served.name} are 0 to {len(served.token_names) - 1}.")
        return Text(prompt=served.decode(request.tokens))

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
