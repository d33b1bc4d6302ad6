"""A classifier that starts from a language model, from its run to its own."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from thence.corpus import ReadingOptions
from thence.errors import RunError, SettingError
from thence.evaluation.evaluate import evaluate
from thence.recipes.recipe import make_recipe
from thence.runs import Run
from thence.runs.files import load_tensors
from thence.signals import Interrupted
from thence.training import find_learning_rate, resume, train

Finetune = Callable[..., Run]
LABELS = {"good": "good fine nice", "bad": "bad poor sad"}


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    """54 documents, good or bad by one of their words."""
    path = tmp_path / "reviews.csv"
    rows = [
        f"{label},{first} {word} {last}"
        for label, words in LABELS.items()
        for first, word, last in product("abc", words.split(), "xyz")
    ]
    path.write_text("\n".join(["label,text", *rows]) + "\n")
    return path


@pytest.fixture
def language(tmp_path: Path, reviews: Path) -> Run:
    """An LSTM of two layers that knows most of the words."""
    return train(
        reviews,
        "lstm",
        output=tmp_path / "language",
        column="text",
        tokens="words",
        embedding_size=4,
        hidden_size=6,
        layers=2,
        batch_size=8,
        steps=20,
    )


@pytest.fixture
def finetune(reviews: Path, language: Run, tmp_path: Path) -> Iterator[Finetune]:
    """Train a classifier from the language model in some name's folder."""

    def run(name: str = "run", progress: Any = None, **settings: Any) -> Run:
        quiet = {} if progress is None else {"progress": progress}
        given = {"start_from": language.folder, "head_size": 5, "batch_size": 8, "steps": 20}
        given |= {"split": "60/20/20", "evaluate_every": 4, **settings}
        return train(reviews, "finetuned", output=tmp_path / name, label="label", **quiet, **given)

    yield run


def encoder_of(tensors: dict[str, Any]) -> dict[str, Any]:
    """Return the encoder's weights of a classifier's, or of its checkpoint's."""
    parts = {name.removeprefix("model."): value for name, value in tensors.items()}
    prefix = "network.encoder."
    return {n.removeprefix(prefix): v for n, v in parts.items() if n.startswith(prefix)}


def test_layers_begin_as_the_language_model_and_move_in_their_time(
    finetune: Finetune, language: Run, telling: Callable[..., Any], tmp_path: Path
) -> None:
    start = {n.removeprefix("network."): v for n, v in language.model.tensors().items()}
    moved: dict[str, list[int]] = {"layers.1": [], "layers.0": [], "embedding": []}

    def look(step: int) -> None:
        path = tmp_path / "run" / "last" / "checkpoint.safetensors"
        if not path.exists():
            return
        tensors, counters = load_tensors(path)
        for name, value in encoder_of(tensors).items():
            if not np.array_equal(value, start[name]) and not name.endswith("bias_hh"):
                moved[name.rpartition(".")[0]].append(counters["step"])

    run = finetune(progress=telling(look), checkpoint_seconds=0, unfreeze=0.6)
    # Shares 0.2, 0.4 and 0.6 of 20 steps: the fifth, ninth and thirteenth step are the first.
    assert {name: min(steps) for name, steps in moved.items()} == {
        "layers.1": 5,
        "layers.0": 9,
        "embedding": 13,
    }
    assert run.recipe.options.encoder["model"] == "lstm"


def outcome(folder: Path) -> tuple[Any, ...]:
    """Return what a training leaves behind, but for times and what follows them."""
    tensors, counters = load_tensors(folder / "last" / "checkpoint.safetensors")
    for name in ("seconds", "metrics_bytes", "curve_bytes"):
        counters.pop(name)
    metrics = Run(folder).metrics()
    for line in metrics:
        line.pop("seconds")
    arrays = {name: (value.shape, value.tobytes()) for name, value in tensors.items()}
    return (folder / "model.safetensors").read_bytes(), arrays, counters, metrics


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"optimizer": "sgd", "momentum": 0.9, "lr": 0.1, "average": "ema", "ema_decay": 0.9},
        {"optimizer": "adagrad", "unfreeze": 0.0, "layer_ratio": 1.0},
    ],
    ids=str,
)
def test_stopped_and_resumed_without_the_language_model(
    finetune: Finetune, language: Run, telling: Callable[..., Any], settings: dict[str, Any]
) -> None:
    whole = finetune("whole", **settings)
    stops = (1, 7)

    def hear(step: int) -> None:
        if step in stops:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted):
        finetune(progress=telling(hear), **settings)
    shutil.rmtree(language.folder)
    folder = whole.folder.parent / "run"
    with pytest.raises(Interrupted):
        resume(folder, telling(hear))
    resume(folder)
    assert outcome(folder) == outcome(whole.folder)


def test_a_run_does_without_the_language_model(finetune: Finetune, language: Run) -> None:
    run = finetune()
    before, tokens = Run(run.folder).classifier.tensors(), language.tokenizer.to_json()
    shutil.rmtree(language.folder)
    again = Run(run.folder)
    for name, value in again.classifier.tensors().items():
        np.testing.assert_array_equal(value, before[name])
    assert again.tokenizer.to_json() == tokens
    assert evaluate(again, "dev").to_json() == evaluate(run, "dev").to_json()
    resume(run.folder)  # Finished: left as it is.
    shutil.rmtree(run.folder / "last")
    with pytest.raises(RunError, match=r"^There is no run .*language"):
        resume(run.folder)


def test_tokens_are_the_language_models(finetune: Finetune, language: Run, tmp_path: Path) -> None:
    run = finetune(tokens="words", lowercase=False)  # As the language model's are.
    assert run.recipe.tokens.lowercase is False
    assert run.recipe.options.start_from == str(language.folder)
    with pytest.raises(SettingError) as caught:
        finetune("other", min_count=2)
    assert str(caught.value) == (
        "`min_count` is 2, but a classifier that starts from a language model has its tokens, and "
        f"those of {language.folder} were made otherwise (1). Leave it out, or start from a "
        "language model with such tokens."
    )
    assert not (tmp_path / "other").exists()


def test_a_config_trains_the_same_again(finetune: Finetune, tmp_path: Path) -> None:
    run = finetune()
    again = train(config=run.folder / "config.toml", output=tmp_path / "again")
    assert again.recipe == run.recipe
    assert outcome(again.folder) == outcome(run.folder)


def test_find_lr_begins_with_the_language_model(reviews: Path, language: Run) -> None:
    settings = {"label": "label", "start_from": language.folder, "batch_size": 8}
    recipe = make_recipe(reviews, "finetuned", {**settings, "threads": 1})
    assert find_learning_rate(recipe, rates=20).suggestion > 0


@pytest.mark.parametrize(
    ("model", "settings", "kind"),
    [
        ("ngram", {}, "does not read a document in order"),
        ("mlp", {"steps": 2, "hidden_size": 4, "context": 2}, "does not read a document in order"),
        ("averaging", {"steps": 2, "label": "label"}, "is a classifier"),
    ],
)
def test_runs_that_cannot_be_started_from(
    reviews: Path, tmp_path: Path, model: str, settings: dict[str, Any], kind: str
) -> None:
    more = settings if "label" in settings else {**settings, "column": "text"}
    other = train(reviews, model, output=tmp_path / "other", **more)
    with pytest.raises(SettingError) as caught:
        train(reviews, "finetuned", label="label", start_from=other.folder, output=tmp_path / "x")
    assert str(caught.value) == (
        f"`start_from` is {other.folder}, a run of {model}, which {kind}; name that of a language "
        "model with one of rnn, lstm, gru, transformer."
    )


def test_a_run_must_be_named_and_be_there(reviews: Path, language: Run, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="none is named: add `start_from=RUN`"):
        train(reviews, "finetuned", label="label", output=tmp_path / "x")
    missing = tmp_path / "langage"
    with pytest.raises(RunError, match=r"There is no run .*Did you mean 'language'"):
        train(reviews, "finetuned", label="label", start_from=missing, output=tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_looks_at_test_come_from_the_language_model(tmp_path: Path, reviews: Path) -> None:
    lines = reviews.read_text().splitlines()
    for name, part in (("dev", lines[1:9]), ("test", lines[9:17])):
        (tmp_path / f"{name}.csv").write_text("\n".join([lines[0], *part]) + "\n")
    held_out = {name: tmp_path / f"{name}.csv" for name in ("dev", "test")}
    tiny = {"embedding_size": 4, "hidden_size": 6, "steps": 2}
    common = {"batch_size": 8, **held_out}
    language = train(
        reviews, "lstm", output=tmp_path / "lm", column="text", tokens="words", **tiny, **common
    )
    evaluate(language, text=held_out["test"], reading=ReadingOptions(column="text"))
    evaluate(language, "test")
    run = train(
        reviews,
        "finetuned",
        output=tmp_path / "run",
        label="label",
        start_from=language.folder,
        steps=2,
        **common,
    )
    assert [look["run"] for look in run.test_looks()] == ["lm", "lm"]
    assert evaluate(run, "test").to_json()["test_looks"] == 3
