"""Training that starts from a run: fine-tuning it (``--from``), or a classifier with its encoder.

With ``--from`` the new run starts from the best weights of its parent, with the parent's tokens
and, by default, its settings and its text. The model, its sizes, tokens and labels cannot change,
as the weights depend on them.

With ``--start-from`` (the model ``finetuned``) a classifier takes the embedding and the layers of a
language model, and with them its tokens.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, cast

from thence.corpus import LabelledDocuments, Splits
from thence.errors import RunError, SettingError
from thence.models.registry import families, get_family
from thence.recipes.recipe import FROM_RUN, Recipe, flat_settings
from thence.runs import ClassifierRun, LanguageRun
from thence.runs.files import load_metadata
from thence.runs.provenance import FROM
from thence.runs.run import Run
from thence.runs.sources import named_sources, named_splits
from thence.tokens import WordOptions

DURATION_SETTINGS = ("epochs", "steps", "time")
"""Settings of the duration: if one is given, none is inherited from the parent."""
MACHINE_SETTINGS = ("threads", "precision", "device")
"""Settings that depend on the machine, so they are not inherited from the parent."""
TEXT_SETTINGS = ("dev", "test", "column", "encoding", "errors")
"""Settings of reading a text, which are not inherited for another text."""
CHANGEABLE_SETTINGS = ("unfreeze", "layer_ratio", "max_length", "start_from")
"""Settings of models that may differ from the parent's, as no weight depends on them; settings of
dropout may differ too."""


def settings_from_run(parent: Run, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return all settings of a training that starts from a run, by name.

    Args:
        parent: The run.
        given: Settings that override the parent's; with another ``text``, the parent's settings of
            reading are left out.

    Raises:
        SettingError: If ``given`` has another model.
        RunError: If the run cannot be fine-tuned, or it has no text and none is given.
    """
    _check_parent(parent)
    model = given.get("model", parent.recipe.model)
    if model != parent.recipe.model:
        raise SettingError(
            f"`model` is {model}, but {parent.folder} is a run of {parent.recipe.model}, and a "
            "training continues with the same model. Leave `model` out, or `from_run`."
        )
    settings = flat_settings(tomllib.loads(parent.recipe.to_toml()))
    left_out = set(MACHINE_SETTINGS)
    if any(name in given for name in DURATION_SETTINGS):
        left_out |= set(DURATION_SETTINGS)
    if (text := given.get("text")) is not None and not is_same_text(text, parent.recipe.text):
        left_out |= set(TEXT_SETTINGS)
    else:
        settings |= _text_paths(parent)
    settings = {name: value for name, value in settings.items() if name not in left_out}
    return {**settings, **given, "model": model, FROM_RUN: parent.address}


def is_same_text(one: Any, other: str) -> bool:
    """Return whether two values of ``text`` are the same name or the same path."""
    if not isinstance(one, str | Path):
        return False
    return str(one) == other or Path(one).absolute() == Path(other).absolute()


def _check_parent(parent: Run) -> None:
    """Raise RunError for a run that was not trained by gradient steps."""
    method = get_family(parent.recipe.model).method
    if method != "train":
        how = (
            "is made of other runs"
            if method == "combine"
            else "is made in one go, not step by step"
        )
        again = "mix runs again" if method == "combine" else "train again with other settings"
        if parent.recipe.model == "ngram":
            again += ", or mix it with a run of another text (thence mix --to arpa)"
        raise RunError(
            f"{parent.folder} is a run of {parent.recipe.model}, which {how}: there is no training "
            f"to continue. Leave `from_run` out and {again}."
        )


def _text_paths(parent: Run) -> dict[str, str]:
    """Return the sources of a run's texts by role: the copies in its folder if it has any."""
    found = {}
    for role, name in named_sources(parent.recipe).items():
        if role in parent.kept_texts:
            if not parent.kept_texts[role]:
                raise RunError(
                    f"{parent.folder} has not kept its {role}, only the hash of it; give the text "
                    "again: thence train TEXT --from RUN."
                )
            name = str(parent.folder.resolve() / parent.kept_texts[role])
        found[role] = name
    return found


def parent_run(recipe: Recipe) -> Run | None:
    """Return the run that a recipe fine-tunes (``--from``); None without one."""
    return None if recipe.from_run is None else Run(recipe.from_run)


def source_runs(recipe: Recipe) -> list[Run]:
    """Return the runs whose weights a training starts from: one, or none."""
    if recipe.from_run is not None:
        return [Run(recipe.from_run)]
    return [encoder_run(recipe)] if starts_from_encoder(recipe) else []


def resolve_source_runs(recipe: Recipe) -> Recipe:
    """Return a recipe with the settings that are inherited from the run it starts from, if any.

    Raises:
        SettingError: If a setting contradicts that run.
        RunError: If no training can start from that run.
    """
    parent = parent_run(recipe)
    if parent is not None:
        return _with_parent(recipe, parent)
    return with_encoder(recipe) if starts_from_encoder(recipe) else recipe


def _with_parent(recipe: Recipe, parent: Run) -> Recipe:
    """Return a recipe with the options and tokens of the run that it fine-tunes."""
    _check_parent(parent)
    if recipe.model != parent.recipe.model:
        settings_from_run(parent, {"model": recipe.model})  # Raises the error for it.
    return replace(
        recipe,
        options=_inherited(recipe.options, parent.recipe.options, parent),
        tokens=_inherited(recipe.tokens, parent.recipe.tokens, parent),
        from_run=parent.address,
    )


def _inherited(own: Any, parents: Any, parent: Run) -> Any:
    """Return options with the parent's where they are None; SettingError if one must not differ."""
    inherited = {}
    for item in fields(parents):
        value, before = getattr(own, item.name), getattr(parents, item.name)
        if value is None:
            inherited[item.name] = before
        elif (
            value != before and "dropout" not in item.name and item.name not in CHANGEABLE_SETTINGS
        ):
            raise SettingError(
                f"`{item.name}` is {value}, but {parent.folder} was trained with "
                f"{before}, which cannot change when it is trained on. Leave it out, or train a "
                "new model."
            )
    return replace(own, **inherited)


def match_labels(parent: ClassifierRun, splits: Splits) -> Splits:
    """Return labelled documents with the label ids of a classifier.

    Raises:
        SettingError: If train has a label that the classifier does not know.
    """
    named = named_splits(splits, parent.label_names)
    assert isinstance(named.train, LabelledDocuments)
    new = named.train.labels.names[len(parent.label_names) :]
    multilabel = named.train.labels.multilabel
    if new or multilabel != parent.classes.multilabel:
        what = f"has the label '{new[0]}'" if new else "gives documents another number of labels"
        raise SettingError(
            f"The text {what}, which {parent.folder} does not know; the labels cannot "
            "change when a classifier is trained on. Train a new one."
        )
    return named


def parent_provenance(parent: Run) -> dict[str, Any]:
    """Return the entry of a run's provenance about its parent: name, identity and step.

    Raises:
        RunError: If the parent has no weights yet.
    """
    path = parent.weights
    if not path.exists():
        raise RunError(f"{parent.folder} has no weights yet; wait until it was evaluated once.")
    step = int(load_metadata(path).get("step", 0))
    return {"run": parent.name, "identity": parent.identity, "step": step}


def parent_row(run: Run) -> list[tuple[str, str]]:
    """Return a row of (name, value) on the run's parent for a table; no row without a parent."""
    parent = run.provenance.get(FROM)
    return [("trained on from", f"{parent['run']}, step {parent['step']:,}")] if parent else []


def check_parent_unchanged(run: Run, parent: Run) -> None:
    """Raise RunError if a restarted training would start from other weights of its parent."""
    was, now = run.provenance[FROM], parent_provenance(parent)
    if any(was.get(name) != now[name] for name in ("identity", "step")):
        raise RunError(
            f"{run.folder} was started from {parent.folder} as it was at step {was.get('step')}, "
            "and that run has changed since. Train on from it again, into another folder."
        )


def starts_from_encoder(recipe: Recipe) -> bool:
    """Return whether a recipe's model is a classifier that starts from a language model."""
    return get_family(recipe.model).pretrained


def encoder_run(recipe: Recipe) -> LanguageRun:
    """Open the language model's run that a recipe's classifier starts from.

    Raises:
        SettingError: If none is named, or its model does not read sequences.
        RunError: If it is no run.
    """
    folder = recipe.options.start_from
    if folder is None:
        raise SettingError(
            f"The model '{recipe.model}' starts from a language model, and none is named: add "
            "`start_from=RUN` (thence train TEXT --model lstm makes one)."
        )
    run = Run(folder)
    family = get_family(run.recipe.model)
    if family.task != "language" or not family.reads_sequences:
        names = [name for name, one in families("language").items() if one.reads_sequences]
        kind = (
            "is a classifier"
            if isinstance(run, ClassifierRun)
            else "does not read a document in order"
        )
        raise SettingError(
            f"`start_from` is {folder}, a run of {run.recipe.model}, which {kind}; name that of a "
            f"language model with one of {', '.join(names)}."
        )
    return cast(LanguageRun, run)


def with_encoder(recipe: Recipe) -> Recipe:
    """Return a recipe of a ``finetuned`` classifier with its language model's tokens and options.

    Raises:
        SettingError: If the recipe has other settings of tokens than the language model, or no
            training can start from that model.
    """
    run = encoder_run(recipe)
    tokens = WordOptions(**asdict(run.tokenizer.options))
    for item in fields(WordOptions):
        asked, own = getattr(recipe.tokens, item.name), getattr(tokens, item.name)
        if asked not in (item.default, own):
            raise SettingError(
                f"`{item.name}` is {asked}, but a classifier that starts from a "
                f"language model has its tokens, and those of {run.folder} were made otherwise "
                f"({own}). Leave it out, or start from a language model with such tokens."
            )
    given = {name: v for name, v in asdict(run.recipe.options).items() if v is not None}
    encoder = {"model": run.recipe.model, **given}
    options = replace(recipe.options, start_from=run.address, encoder=encoder)
    return replace(recipe, options=options, tokens=tokens)
