"""Export of a run as a PyTorch script: its model and training in plain code, without thence.

The script reads the text that is written beside it, splits it as the run did, initialises the same
weights with the same seed, reads the same batches, and reaches the run's dev loss up to rounding.
If a setting has no place in a short script, its docstring says what is different. The script is
joined from the templates in ``pytorch_templates``.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from math import isinf
from pathlib import Path
from string import Template
from typing import cast

import numpy as np

from thence.atomic import write_atomically
from thence.batches.windows import distinct_windows
from thence.corpus import Documents
from thence.corpus.splits import cut_points, parse_split, shuffled
from thence.errors import RunError, SettingError
from thence.exchange.pytorch_head import CELLS, KINDS, Facts, head
from thence.models.language.mlp import GAINS
from thence.runs import LanguageRun
from thence.runs.run import Run
from thence.tokens.tokenizer import normalized_chunks
from thence.tokens.vocabulary import UNKNOWN, choose_symbols
from thence.training.schedules import DEFAULT_EPOCHS, MIN_STEPS
from thence.training.setup import LARGE_VOCABULARY

TEMPLATES = Path(__file__).parent / "pytorch_templates"
"""Folder with a template for each part. A line that ends in ``#? name`` is kept only if that fact
is true, one that ends in ``#? !name`` only if it is false; of several names, all must hold."""

WINDOWED = ("bigram", "mlp")
ACTIVATIONS = {
    "tanh": "torch.tanh({})",
    "relu": "F.relu({})",
    "gelu": "F.gelu({})",
    "sigmoid": "torch.sigmoid({})",
    "none": "{}",
}


def export_pytorch(run: Run, path: Path) -> tuple[None, str]:
    """Write a run as a script, and beside it the text that the script reads.

    Returns:
        No difference, and in words what else was written.

    Raises:
        RunError: If there is no template for the model or the text, or a file exists.
        SettingError: If a setting is not supported.
        TextError: If the run's text cannot be read any more, or has changed.
        OSError: If a file cannot be written.
    """
    _check_supported(run)
    if path.suffix != ".py":
        raise SettingError(f"`path` is '{path}'; a script of PyTorch has a name that ends in .py.")
    run = cast(LanguageRun, run)
    texts, facts = _texts(run)
    files = {path.with_suffix(suffix): text for suffix, text in texts.items()}
    reads = " and ".join(map(str, files))
    for file, text in [*files.items()]:
        if file.exists():
            _check_same(file, text)
            del files[file]
    facts |= _token_facts(run) | _model_facts(run) | _training_facts(run)
    facts |= {"script": path.name} | head(run, facts, path.stem + next(iter(texts)))
    files[path] = "".join(fill_template(_template(name), facts) for name in _parts(run, facts))
    for file, content in files.items():
        write_atomically(file, content.encode())
    return None, f"It reads {reads}, the text that the run was trained on."


def _check_same(file: Path, text: str) -> None:
    """Raise ``RunError`` if a file exists with another content than the text for the script."""
    if not file.is_file() or file.read_bytes().rstrip(b"\n") != text.encode().rstrip(b"\n"):
        raise RunError(
            f"{file}, which the script would read, exists already with another text and is left as "
            "it is; choose another name for the script."
        )


def _check_supported(run: Run) -> None:
    """Raise an error for a model or a setting that scripts do not support."""
    recipe, model = run.recipe, run.recipe.model
    if model not in KINDS:
        raise RunError(
            f"{run.folder} is a run of the model '{model}'; a script of PyTorch can only be "
            f"written for {', '.join(KINDS)}."
        )
    if run.step is not None:
        raise RunError(
            f"A script trains a run from its beginning to its end, and {run.name} is a snapshot of "
            f"it; export {run.folder} instead."
        )
    softmax, tokens, training = recipe.options, recipe.tokens, recipe.training
    cannot = {
        f"softmax={getattr(softmax, 'softmax', '')!r}": ("adaptive",),
        f"optimizer={training.optimizer!r}": ("muon", "adagrad"),
        f"unknown={tokens.unknown!r}": ("bytes",),
    }
    found = [one for one, values in cannot.items() if any(f"={value!r}" in one for value in values)]
    found += [f"accumulate={training.accumulate}"] if training.accumulate > 1 else []
    found += ["from_run"] if recipe.from_run is not None else []
    found += ["vocabulary"] if tokens.vocabulary is not None else []
    if tokens.tokens not in ("characters", "words", "bytes"):
        found.append(f"tokens={tokens.tokens!r}")
    if found:
        raise SettingError(
            f"{run.folder} was trained with {' and '.join(f'`{one}`' for one in found)}, which has "
            "no place in a short script of PyTorch; to export one, train without."
        )


def _texts(run: LanguageRun) -> tuple[dict[str, str], Facts]:
    """Return the texts of the files that the script reads, by suffix, and facts for the templates.

    It is the whole text, which the script splits itself, or else train and dev.
    """
    recipe, splitting = run.recipe, run.recipe.splitting
    splits = [run.documents("train"), run.documents("dev"), run.documents("test")]
    sizes, shares = [len(part) for part in splits], parse_split(splitting.split)
    one_text = splitting.by == "position" and sizes[0] == 1
    facts: Facts = {"keep_empty": recipe.reading.keep_empty, "has_dev": sizes[1] > 0}
    facts["judged"] = "dev" if sizes[1] else "all of train"
    if one_text or sizes != np.diff(cut_points(sum(sizes), shares)).tolist():
        whole = one_text and sizes[1] <= 1
        files = {".train.txt": splits[0], ".dev.txt": splits[1]}
        texts = {name: _file(run, part, whole) for name, part in files.items()}
        return texts, facts | {"whole": whole, "lines": not whole}
    shuffle = splitting.by == "shuffle" and shares[0] < 100
    order = shuffled(sum(sizes), splitting.split_seed) if shuffle else np.arange(sum(sizes))
    text = Documents.join(splits).take(np.argsort(order))
    both = (shares[0] + shares[1]) / 100 if shares[2] > 0 else 1.0
    facts |= {"split": True, "shuffle": shuffle, "split_seed": splitting.split_seed}
    facts |= {"train_share": shares[0] / 100 if shares[1] > 0 else both, "both_shares": both}
    facts["undivided"] = both == 1.0
    return {".txt": _file(run, text, False)}, facts


def _file(run: LanguageRun, documents: Documents, whole: bool) -> str:
    """Return documents as the content of a file: one per line, or a single one as it is."""
    lines = list(chain.from_iterable(_spelled(run, documents)))
    if whole:
        return "".join(lines)
    if any("\n" in line for line in lines):
        raise RunError(
            f"{run.folder} has documents of several lines, but a script reads one document a line. "
            "Train on a text with one document a line."
        )
    return "".join(f"{line}\n" for line in lines)


def _spelled(run: LanguageRun, documents: Documents) -> Iterator[Sequence[str]]:
    """Yield batches of documents, normalised, with words separated by spaces."""
    for chunk in normalized_chunks(documents, run.tokenizer.options):
        if run.tokenizer.options.tokens != "words":
            yield list(chunk)
            continue
        found = run.tokenizer.find_words(chunk)
        words, ends = found.words(np.arange(len(found.starts))), np.cumsum(found.lengths).tolist()
        starts = [0, *ends][:-1]
        yield [" ".join(words[first:end]) for first, end in zip(starts, ends, strict=True)]


def _token_facts(run: LanguageRun) -> Facts:
    """Return facts on the vocabulary, after checking that the script would make that of the run."""
    tokens, vocabulary = run.recipe.tokens, run.tokenizer.vocabulary
    is_words, is_bytes = tokens.tokens == "words", tokens.tokens == "bytes"
    lines = chain.from_iterable(_spelled(run, run.documents("train")))
    times = Counter(symbol for line in lines for symbol in (line.split() if is_words else line))
    chosen = choose_symbols(times, tokens.max_size, tokens.min_count, tokens.unknown)
    if not is_bytes and sorted(chosen) != sorted(vocabulary.symbols):
        raise RunError(f"The vocabulary of {run.folder} is not that of its train split.")
    is_limited = tokens.max_size is not None or tokens.min_count > 1
    return {
        "words": is_words,
        "bytes": is_bytes,
        "counted": not is_bytes and (is_words or is_limited),
        "placeholder": tokens.unknown == "symbol" and UNKNOWN in times,
        "has_unknown": vocabulary.unknown_id is not None,
        "rare": tokens.min_count > 1,
        "min_count": tokens.min_count,
        "limited": tokens.max_size is not None,
        "max_size": tokens.max_size,
    }


def _model_facts(run: LanguageRun) -> Facts:
    """Return facts on the network, all its settings included."""
    options, model, size = run.recipe.options, run.recipe.model, len(run.tokenizer.vocabulary)
    facts: Facts = vars(options) | {"mlp": model == "mlp", "lstm": model == "lstm"}
    facts |= {"network": {"bigram": "Bigram", "mlp": "MLP"}.get(model, "Network")}
    facts |= {"frequencies": size > LARGE_VOCABULARY and model != "bigram"}
    facts |= {"bias": "bias" if facts.get("tied") else "output.bias", "cell": CELLS.get(model)}
    layers, drop = facts.get("layers", 1), facts.get("dropout", 0)
    drops = [drop, facts.get("input_dropout", 0), facts.get("embedding_dropout", 0)]
    facts |= {"drops": drop > 0, "drops_input": drops[1] > 0, "drops_anything": any(drops)}
    facts |= {"locked": bool(facts.get("locked") and (drop or drops[1])), "deep": layers > 1}
    facts |= {
        "rotary": facts.get("positions") == "rotary",
        "swiglu": facts.get("feed_forward") == "swiglu",
        "after": "after" if layers > 1 else "state",
    }
    if model in CELLS:
        facts["projected"] = options.tied and options.hidden_size != options.embedding_size
    if model in WINDOWED:
        store = run.tokenizer.encode(run.documents("train"))
        context, training = facts.get("context", 1), run.recipe.training
        distinct = distinct_windows(
            store, context, size, training.carry_context, whole=training.whole_contexts
        )
        facts["collapsed"] = distinct is not None
        facts |= {name: options.initialization == name for name in ("normal", "kaiming")}
    if model == "mlp":
        read = ["HIDDEN"] if layers else []
        read += ["CONTEXT * EMBEDDING"] if options.direct or not layers else []
        facts |= {"linear": layers == 0, "shallow": layers == 1, "drops": drops[0] or drops[2]}
        facts |= {"features": " + ".join(read)}
        activated = ACTIVATIONS[options.activation]
        facts["activated"] = activated.format("self.hidden(x)")
        facts["activated_layer"] = activated.format("layer(h)")
        facts["gain"] = {"tanh": "5 / 3", "relu": "math.sqrt(2)", "gelu": "math.sqrt(2)"}.get(
            options.activation, GAINS[options.activation]
        )
    return facts


def _training_facts(run: LanguageRun) -> Facts:
    """Return facts on the training: batches, optimizer, schedule, evaluations."""
    training, is_sequence = run.recipe.training, run.recipe.model not in WINDOWED
    varies, carry = training.schedule != "constant", training.carry_context
    documents = run.tokenizer.encode(run.documents("train"))
    longest = int(documents.target_counts.max())
    groups = "[decaying, others]" if training.weight_decay else "model.parameters()"
    # The fused AdamW gives the same updates as that of the run, bit for bit.
    optimizer = f"torch.optim.AdamW({groups}, LR, (0.9, 0.99), weight_decay=0.0, fused=True)"
    if training.optimizer == "sgd":
        momentum = f", momentum={training.momentum}" if training.momentum else ""
        optimizer = f"torch.optim.SGD({groups}, LR{momentum})"
    is_look = "(step + 1) * 10 // STEPS > step * 10 // STEPS"
    if training.evaluate_every is not None:
        is_look = f"(step + 1) % {training.evaluate_every} == 0 or step + 1 == STEPS"
    return {
        "sequences": is_sequence,
        "carry": carry,
        "state": is_sequence and (carry or longest > training.window),
        "steps": _steps(run),
        "untrained": training.steps == 0,
        "whole_contexts": training.whole_contexts and not is_sequence,
        "threads": training.threads,
        "one_thread": training.threads == 1,
        "weight_decay": training.weight_decay,
        "decays": training.weight_decay > 0,
        "optimizer": f"optimizer = {optimizer}",
        "clips": training.clip is not None and not isinf(training.clip),
        "clip": training.clip,
        "varies": varies,
        "plateau": training.schedule == "plateau",
        "step_points": training.step_points,
        "decay": training.decay,
        "patient": training.patience is not None,
        "patience": training.patience,
        "is_look": is_look,
    }


def _steps(run: LanguageRun) -> str:
    """Return the statement that sets the number of steps."""
    training = run.recipe.training
    if training.time is not None:
        return f"STEPS = {run.metrics()[-1]['step']}  # As many as the run made in its time."
    if training.steps is not None:
        return f"STEPS = {training.steps}"
    if training.epochs is not None:
        return f"STEPS = max(1, math.ceil({training.epochs:g} * per_epoch))"
    return f"STEPS = max({MIN_STEPS}, math.ceil({DEFAULT_EPOCHS:g} * per_epoch))"


def _parts(run: LanguageRun, facts: Facts) -> list[str]:
    """Return the names of the templates to join, in order."""
    model, schedule = run.recipe.model, run.recipe.training.schedule
    if model in WINDOWED:
        names = ["windows", "collapsed" if facts["collapsed"] else "shuffled", model]
    else:
        names = ["sequences", "streams" if facts["carry"] else "padded"]
        names = names if facts["state"] else ["documents"]
        names += [name for name in ("locked", "rotary") if facts[name]]
        names += ["transformer" if model == "transformer" else "recurrent"]
    names += [schedule] if schedule not in ("constant", "plateau") else []
    return ["head", "text", *names, "training"]


def _template(name: str) -> str:
    return (TEMPLATES / f"{name}.txt").read_text("utf-8")


def fill_template(template: str, facts: Facts) -> str:
    r"""Return a template with values filled in, without the lines whose conditions do not hold.

    >>> fill_template("a = $size  #? big\na = 1  #? !big\n", {"size": 9, "big": True})
    'a = 9\n'
    """

    def holds(name: str) -> bool:
        return not facts.get(name[1:]) if name.startswith("!") else bool(facts.get(name))

    lines = []
    for line in template.splitlines():
        text, _, conditions = line.partition("  #? ")
        if all(map(holds, conditions.split())):
            lines.append(Template(text).substitute(facts).rstrip() + "\n")
    return "".join(lines)
