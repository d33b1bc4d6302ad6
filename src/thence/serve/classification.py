"""``POST /v1/classify``: the label of texts, and the words that moved it."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field

from thence.errors import SettingError
from thence.evaluation import classify, explain
from thence.evaluation.classify import Classification
from thence.evaluation.occlusion import Explanation
from thence.serve.body import Body
from thence.serve.limits import LONGEST_NAME, MOST_CHOICES, PROMPTS_TOGETHER, Limits
from thence.serve.problems import PROBLEMS, check_characters
from thence.serve.served import ServedRun, choose_served

MOST_EXPLAINED = 8
"""Texts that one request may have explained: each costs as much as many that are only labelled."""
LONGEST_EXPLAINED = 10_000
"""Characters of each: it is read again without each of its words."""
Several = Annotated[list[str], Field(fail_fast=True, min_length=1, max_length=MOST_CHOICES)]


class ClassifyRequest(Body):
    """Texts to label."""

    model: str | None = Field(
        None, max_length=LONGEST_NAME, description="Name of a classifier; not needed with one only."
    )
    input: str | Several = Field(description="A text, or several.")
    top: int = Field(5, ge=1, le=1000, description="How many of the likeliest labels to tell.")
    threshold: float | None = Field(None, ge=0, le=1, description="Where texts have several.")
    explain: bool = Field(False, description="Tell how much each word speaks for the label.")
    label: str | None = Field(None, description="What to explain; by default the likeliest label.")


class Word(BaseModel):
    """A word of a text: how much it speaks for the label, in nats of the label's log-odds."""

    text: str
    weight: float
    start: int


class Label(BaseModel):
    """What a classifier says of a text."""

    index: int
    label: str | None = Field(description="The label; none where there may be several.")
    labels: list[str]
    probabilities: dict[str, float]
    unknown: float = Field(description="Share of the tokens that the train text lacks, 0 to 1.")
    nothing_known: bool = Field(
        description="Whether nothing in the text is known, so that its label is no finding."
    )
    explained: str | None = None
    explanation: list[Word] | None = None


class ClassifyAnswer(BaseModel):
    """The labels, in order of the texts."""

    object: str = "list"
    model: str
    data: list[Label]


def classification_routes(models: dict[str, ServedRun], limits: Limits) -> APIRouter:
    """Return the route for labels."""
    router = APIRouter()

    @router.post("/v1/classify", responses=PROBLEMS)
    async def classify_texts(request: ClassifyRequest) -> ClassifyAnswer:
        """Label texts."""
        served = choose_served(models, request.model, classifier=True)
        texts = [request.input] if isinstance(request.input, str) else request.input
        check_characters("longest text", max(map(len, texts)), limits.max_prompt)
        check_characters("request", sum(map(len, texts)), PROMPTS_TOGETHER * limits.max_prompt)
        if request.explain:
            _check_explained(texts)
        return await served.worker.run(_answer, served, texts, request)

    return router


def _check_explained(texts: list[str]) -> None:
    longest = max(map(len, texts))
    if len(texts) > MOST_EXPLAINED or longest > LONGEST_EXPLAINED:
        raise SettingError(
            f"{len(texts)} texts of up to {longest} characters are too much to explain: at most "
            f"{MOST_EXPLAINED} of {LONGEST_EXPLAINED} can be at a time."
        )


def _answer(served: ServedRun, texts: list[str], request: ClassifyRequest) -> ClassifyAnswer:
    found = classify(served.run, texts, request.top, request.threshold)
    labels = [_label(index, of_text) for index, of_text in enumerate(found)]
    if request.explain:
        for label, text in zip(labels, texts, strict=True):
            _add_explanation(label, explain(served.run, text, request.label))
    return ClassifyAnswer(model=served.name, data=labels)


def _label(index: int, found: Classification) -> Label:
    return Label(
        index=index,
        label=None if found.multilabel else found.likeliest,
        labels=list(found.labels),
        probabilities=found.probabilities,
        unknown=found.unknown_share,
        nothing_known=found.nothing_known,
    )


def _add_explanation(label: Label, explanation: Explanation) -> None:
    label.explained = explanation.label
    label.explanation = [
        Word(text=part.text, weight=part.weight, start=part.start) for part in explanation.tokens
    ]
