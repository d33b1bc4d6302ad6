"""``/v1/models``, ``/tokenize``, ``/detokenize``, ``/tokenizer_info``, ``/health``, ``/metrics``.

Endpoints about the models, their tokens, and the state of the server.
"""

from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter
from fastapi.responses import PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, Field

from thence.errors import SettingError
from thence.runs import ClassifierRun
from thence.serve.errors import (
    UNAVAILABLE,
    UnknownModelError,
    check_characters,
    check_length,
    error_response,
)
from thence.serve.loaded_runs import LoadedRun, OnDisk, find_model
from thence.serve.routes import Context
from thence.serve.routes.completions import PROMPTS_TOGETHER
from thence.serve.schemas import ModelRequest, TokenId


class ModelCard(BaseModel):
    """A model that answers requests."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "thence"
    kind: Literal["language model", "classifier"]
    family: str
    tokens: str
    vocab_size: int
    parameters: int
    running_text: bool
    labels: list[str] | None
    on_disk: OnDisk = Field(
        description="Whether the run's files have changed since they were loaded; answers still "
        "come from what was loaded."
    )


class ModelList(BaseModel):
    """All models."""

    object: Literal["list"] = "list"
    data: list[ModelCard]


class TokenizeRequest(ModelRequest):
    """A text to tokenize."""

    prompt: str
    add_special_tokens: bool = Field(False, description="Put the boundary before the text.")


class Tokens(BaseModel):
    """The tokens of a text."""

    count: int
    tokens: list[int]
    token_strs: list[str]


class DetokenizeRequest(ModelRequest):
    """Tokens to decode."""

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


def routes(context: Context) -> APIRouter:
    """Return the endpoints about models, their tokens, and the server itself."""
    router, models = APIRouter(), context.models
    max_tokens = PROMPTS_TOGETHER * context.limits.max_prompt
    cards = {name: card_of(loaded) for name, loaded in models.items()}

    def card_now(name: str) -> ModelCard:
        return cards[name].model_copy(update={"on_disk": models[name].on_disk()})

    @router.get("/v1/models")
    def list_models() -> ModelList:
        """List the models."""
        return ModelList(data=[card_now(name) for name in cards])

    @router.get("/v1/models/{name:path}")
    def describe_model(name: str) -> ModelCard:
        """Describe a model."""
        if name not in cards:
            raise UnknownModelError(f"There is no model {name!r} here; see /v1/models.")
        return card_now(name)

    @router.post("/tokenize")
    async def tokenize(request: TokenizeRequest) -> Tokens:
        """Split a text into tokens."""
        loaded = find_model(models, request.model, classifier=False)
        check_characters("text", len(request.prompt), max_tokens)
        return await loaded.worker.call(_tokenize, loaded, request, max_tokens)

    @router.post("/detokenize")
    async def detokenize(request: DetokenizeRequest) -> Text:
        """Return the text of tokens."""
        loaded = find_model(models, request.model, classifier=False)
        check_length("request", len(request.tokens), max_tokens)
        return await loaded.worker.call(_detokenize, loaded, request.tokens)

    @router.get("/tokenizer_info")
    async def tokenizer_info(model: str | None = None) -> TokenizerInfo:
        """Return the special symbols of a model."""
        loaded = find_model(models, model, classifier=False)
        boundary = loaded.token_names[loaded.boundary_id]
        unknown_id = loaded.run.tokenizer.vocabulary.unknown_id
        return TokenizerInfo(
            bos_token=boundary,
            eos_token=boundary,
            bos_token_id=loaded.boundary_id,
            eos_token_id=loaded.boundary_id,
            unk_token=None if unknown_id is None else loaded.token_names[unknown_id],
            vocab_size=len(loaded.token_names),
        )

    @router.get("/health")
    def health() -> Any:
        """Return whether the server runs and its models can answer."""
        found = (loaded.worker.find_trouble(context.limits.timeout) for loaded in models.values())
        if troubles := [trouble for trouble in found if trouble is not None]:
            return error_response(503, " ".join(troubles), code=UNAVAILABLE, kind=UNAVAILABLE)
        states = {loaded.name: loaded.on_disk() for loaded in models.values()}
        changed = {name: state for name, state in states.items() if state != "unchanged"}
        return {"status": "ok", "models": len(models), **({"on_disk": changed} if changed else {})}

    @router.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """Return the counts of requests and batches for Prometheus."""
        return Response(context.metrics.to_text(), media_type=CONTENT_TYPE_LATEST)

    return router


def card_of(loaded: LoadedRun) -> ModelCard:
    """Return the description of a loaded model."""
    run = loaded.run
    return ModelCard(
        id=loaded.name,
        created=loaded.created,
        kind=run.kind,
        family=run.recipe.model,
        tokens=run.tokenizer.options.tokens,
        vocab_size=len(loaded.token_names),
        parameters=run.num_parameters,
        running_text=loaded.is_running_text,
        labels=list(run.label_names) if isinstance(run, ClassifierRun) else None,
        on_disk="unchanged",
    )


def _tokenize(loaded: LoadedRun, request: TokenizeRequest, max_tokens: int) -> Tokens:
    ids = loaded.encode_prompt(request.prompt)
    if request.add_special_tokens:
        ids = np.concatenate([[loaded.boundary_id], ids])
    check_length("text", len(ids), max_tokens)
    texts = {index: loaded.token_text(index) for index in np.unique(ids).tolist()}
    tokens = ids.tolist()
    return Tokens(count=len(ids), tokens=tokens, token_strs=[texts[index] for index in tokens])


def _detokenize(loaded: LoadedRun, tokens: list[int]) -> Text:
    if max(tokens, default=0) >= len(loaded.token_names):
        raise SettingError(f"The ids of {loaded.name} are 0 to {len(loaded.token_names) - 1}.")
    return Text(prompt=loaded.decode(tokens))
