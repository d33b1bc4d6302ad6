"""``POST /v1/classify``: the labels of texts, and the words that decided them."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field

from thence.errors import SettingError
from thence.evaluation.classify import classify
from thence.evaluation.explain import explain
from thence.serve.errors import check_characters
from thence.serve.loaded_runs import LoadedRun, find_model
from thence.serve.routes import Context
from thence.serve.routes.completions import PROMPTS_TOGETHER
from thence.serve.schemas import MAX_CHOICES, ModelRequest

MAX_EXPLAINED = 8
"""Texts that one request may have explained: each is classified once for each of its words."""
MAX_EXPLAINED_CHARACTERS = 10_000
"""Characters of each text to explain."""
Texts = Annotated[list[str], Field(fail_fast=True, min_length=1, max_length=MAX_CHOICES)]


class ClassifyRequest(ModelRequest):
    """Texts to classify."""

    input: str | Texts = Field(description="A text, or several.")
    top: int = Field(5, ge=1, le=1000, description="Number of most probable labels to return.")
    threshold: float | None = Field(None, ge=0, le=1, description="For multilabel classifiers.")
    explain: bool = Field(False, description="Return how much each word speaks for the label.")
    label: str | None = Field(
        None, description="What to explain; by default the most probable label."
    )


class Word(BaseModel):
    """A word of a text: how much it speaks for the label, in nats of the label's log-odds."""

    text: str
    weight: float
    start: int


class Label(BaseModel):
    """The classification of a text."""

    index: int
    label: str | None = Field(description="The label; none of a multilabel classifier.")
    labels: list[str]
    probabilities: dict[str, float]
    unknown: float = Field(description="Share of tokens that the train text lacks, 0 to 1.")
    nothing_known: bool = Field(
        description="Whether every token is unknown, so that the label says nothing of the text."
    )
    explained: str | None = None
    explanation: list[Word] | None = None


class ClassifyAnswer(BaseModel):
    """The classifications, in order of the texts."""

    object: str = "list"
    model: str
    data: list[Label]


def routes(context: Context) -> APIRouter:
    """Return the endpoint for classification."""
    router = APIRouter()

    @router.post("/v1/classify")
    async def classify_texts(request: ClassifyRequest) -> ClassifyAnswer:
        """Classify texts."""
        loaded = find_model(context.models, request.model, classifier=True)
        texts = [request.input] if isinstance(request.input, str) else request.input
        longest, maximum = max(map(len, texts)), context.limits.max_prompt
        check_characters("longest text", longest, maximum)
        check_characters("request", sum(map(len, texts)), PROMPTS_TOGETHER * maximum)
        too_much = len(texts) > MAX_EXPLAINED or longest > MAX_EXPLAINED_CHARACTERS
        if request.explain and too_much:
            raise SettingError(
                f"{len(texts)} texts of up to {longest} characters are too much to explain: at "
                f"most {MAX_EXPLAINED} of {MAX_EXPLAINED_CHARACTERS} can be at a time."
            )
        return await loaded.worker.call(_classify, loaded, texts, request)

    return router


def _classify(loaded: LoadedRun, texts: list[str], request: ClassifyRequest) -> ClassifyAnswer:
    labels = [
        Label(
            index=index,
            label=None if found.multilabel else found.likeliest,
            labels=list(found.labels),
            probabilities=found.probabilities,
            unknown=found.unknown_share,
            nothing_known=found.nothing_known,
        )
        for index, found in enumerate(classify(loaded.run, texts, request.top, request.threshold))
    ]
    for label, text in zip(labels if request.explain else [], texts, strict=False):
        explanation = explain(loaded.run, text, request.label)
        label.explained = explanation.label
        label.explanation = [
            Word(text=part.text, weight=part.weight, start=part.start)
            for part in explanation.tokens
        ]
    return ClassifyAnswer(model=loaded.name, data=labels)
