"""``/playground/models``: the served models with their scores, states and lenses, for the page."""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import cast

from fastapi import APIRouter
from pydantic import BaseModel, Field

from thence.errors import ThenceError
from thence.evaluation.baselines import Baselines, baselines
from thence.evaluation.embeddings import has_embeddings
from thence.inspection.lenses import label_lenses_of, lenses_of
from thence.runs import ClassifierRun, LanguageRun
from thence.serve.loaded_runs import LoadedRun
from thence.serve.routes import Context
from thence.serve.routes.models import ModelCard, card_of
from thence.serve.run_entries import RunEntry, State
from thence.serve.schemas import Ruler


class PageModel(ModelCard):
    """A served model; what is unknown is null."""

    text: str | None
    group: str = Field(description="Models of the same group may be compared.")
    loss: float | None = Field(description="Nats per token on dev, or per document for labels.")
    accuracy: float | None
    state: State
    problem: str | None
    steps: int | None
    made: str | None
    lenses: list[str]
    has_embeddings: bool
    ruler: Ruler | None = Field(description="Null also while it is being computed.")


class PageModels(BaseModel):
    """All served models."""

    models: list[PageModel]
    waiting: bool = Field(description="Whether some rulers are still being computed.")


class Rulers:
    """The baselines of groups of runs (rulers of the page), computed one by one in a thread."""

    def __init__(self) -> None:
        self._known: dict[str, Ruler | None] = {}
        self._asked: set[str] = set()
        self._thread = ThreadPoolExecutor(1, "rulers")

    def of(self, group: str, loaded: LoadedRun) -> Ruler | None:
        """Return the ruler of a run's group; None if there is none, or not yet."""
        if group not in self._asked:
            self._asked.add(group)
            self._thread.submit(self._compute, group, loaded)
        return self._known.get(group)

    @property
    def waiting(self) -> bool:
        """Whether some are not computed yet."""
        return len(self._known) < len(self._asked)

    def _compute(self, group: str, loaded: LoadedRun) -> None:
        found: Baselines | None = None
        try:
            found = baselines(loaded.run)
        except ThenceError as error:  # Its text is gone, or it has no dev split.
            logging.getLogger("thence.serve").info("no ruler for %s: %s", loaded.name, error)
        finally:
            self._known[group] = None if found is None else Ruler.model_validate(vars(found))


def routes(context: Context) -> APIRouter:
    """Return the endpoint that lists the models for the page."""
    router, rulers = APIRouter(), Rulers()
    listing = context.listing
    embeds: dict[str, bool] = {}

    def models() -> PageModels:
        found = []
        for name, loaded in context.models.items():
            if name not in embeds:
                embeds[name] = has_embeddings(loaded.run)
            found.append(_page_model(loaded, listing.entry(name), rulers, embeds[name]))
        return PageModels(models=found, waiting=rulers.waiting)

    @router.get("/playground/models")
    async def list_page_models() -> PageModels:
        """List the served models with their scores on dev, states and lenses."""
        return await asyncio.to_thread(models)

    return router


def _page_model(loaded: LoadedRun, entry: RunEntry, rulers: Rulers, embeds: bool) -> PageModel:
    run = loaded.run
    is_language = isinstance(run, LanguageRun)
    if isinstance(run, LanguageRun):
        lenses = lenses_of(run)
    else:
        lenses = label_lenses_of(cast(ClassifierRun, run))
    return PageModel(
        **card_of(loaded).model_dump(exclude={"on_disk"}),
        on_disk=loaded.on_disk(),
        text=entry.text,
        group=entry.group or loaded.name,
        loss=entry.nats_per_token if is_language else entry.nats_per_document,
        accuracy=entry.accuracy,
        state=entry.state,
        problem=entry.problem,
        steps=entry.steps,
        made=entry.made,
        lenses=[lens.name for lens in lenses],
        has_embeddings=embeds,
        ruler=rulers.of(entry.group, loaded) if entry.group else None,
    )
