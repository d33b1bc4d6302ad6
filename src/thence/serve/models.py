"""``GET /v1/models``: what is served."""

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from thence.runs import ClassifierRun
from thence.serve.problems import PROBLEMS
from thence.serve.served import OnDisk, ServedRun, UnknownModelError


class ModelCard(BaseModel):
    """A model that is served."""

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
        description="What has become of the run's files since they were loaded; answers go on "
        "coming from what was loaded."
    )


class ModelList(BaseModel):
    """All models that are served."""

    object: Literal["list"] = "list"
    data: list[ModelCard]


def model_routes(models: dict[str, ServedRun]) -> APIRouter:
    """Return the routes about models."""
    router = APIRouter()
    cards = {name: _card(served) for name, served in models.items()}

    def card_now(name: str) -> ModelCard:
        return cards[name].model_copy(update={"on_disk": models[name].on_disk()})

    @router.get("/v1/models", responses=PROBLEMS)
    def list_models() -> ModelList:
        """List the models."""
        return ModelList(data=[card_now(name) for name in cards])

    @router.get("/v1/models/{name:path}", responses=PROBLEMS)
    def describe_model(name: str) -> ModelCard:
        """Describe a model."""
        if name not in cards:
            raise UnknownModelError(f"There is no model {name!r} here; see /v1/models.")
        return card_now(name)

    return router


def _card(served: ServedRun) -> ModelCard:
    run = served.run
    return ModelCard(
        id=served.name,
        created=served.made,
        kind=run.kind,
        family=run.recipe.model,
        tokens=run.tokenizer.options.tokens,
        vocab_size=len(served.token_names),
        parameters=run.num_parameters,
        running_text=served.is_running_text,
        labels=list(run.label_names) if isinstance(run, ClassifierRun) else None,
        on_disk="unchanged",
    )
