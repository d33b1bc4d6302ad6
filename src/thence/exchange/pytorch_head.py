"""The head of a PyTorch script: its docstring with equations and sources, and its constants."""

from pathlib import Path
from textwrap import wrap
from typing import Any

from thence.models.language.scoring import Scoring
from thence.runs import LanguageRun

Facts = dict[str, Any]
WIDTH = 96
"""Characters of a line of the head at most."""
CELLS = {"rnn": "nn.RNN", "lstm": "nn.LSTM", "gru": "nn.GRU"}
KINDS = {
    "bigram": "A neural bigram",
    "mlp": "A multilayer perceptron",
    "rnn": "A recurrent network",
    "lstm": "An LSTM",
    "gru": "A GRU",
    "transformer": "A transformer",
}
"""The families that can be exported, and their names in the docstring."""
EQUATIONS = {
    "bigram": [
        "P(w | v) = softmax(x_v W)_w              x_v the one-hot vector of the symbol before"
    ],
    "mlp": [
        "x = (C(w_1), ..., C(w_n))                embeddings of the last n symbols, side by side",
        "y = b + U f(d + H x)                     logits of the next symbol, f the activation",
    ],
    "rnn": ["h_t = tanh(W x_t + U h_(t-1) + b)        x_t the embedding of symbol t"],
    "lstm": [
        "i, f, o = sigmoid(W x_t + U h_(t-1) + b)                three gates with own weights",
        "c_t = f * c_(t-1) + i * tanh(W' x_t + U' h_(t-1) + b')",
        "h_t = o * tanh(c_t)",
    ],
    "gru": [
        "r, z = sigmoid(W x_t + U h_(t-1) + b)                   two gates with own weights",
        "h_t = (1 - z) * tanh(W' x_t + r * (U' h_(t-1) + u')) + z * h_(t-1)",
    ],
    "transformer": ["a_i = sum over j <= i of softmax_j(q_i . k_j / sqrt(d)) v_j     in each head"],
}
SOURCES = {
    "bigram": "The one-layer case of Bengio et al. 2003.",
    "mlp": 'Bengio et al. 2003, "A neural probabilistic language model".',
    "rnn": 'Elman 1990, "Finding structure in time"; Mikolov et al. 2010.',
    "lstm": 'Hochreiter and Schmidhuber 1997, "Long short-term memory"; Gers et al. 2000.',
    "gru": 'Cho et al. 2014, "Learning phrase representations using RNN encoder-decoder".',
    "transformer": 'Vaswani et al. 2017, "Attention is all you need"; norms first: Xiong 2020.',
}


def head(run: LanguageRun, facts: Facts, file: str) -> Facts:
    """Return the values for the template of the head: title, equations, outcome, constants."""
    recipe, training, options = run.recipe, run.recipe.training, run.recipe.options
    model = recipe.model
    found = (line.get("dev_nats_per_token") for line in run.metrics())
    losses = [loss for loss in found if loss is not None]
    differences = {
        "dropout draws other masks": facts["drops_anything"] and not facts["locked"],
        "no row of the embedding and no recurrent weight is dropped": model in CELLS
        and (options.weight_drop > 0 or options.embedding_dropout > 0),
        "the softmax is never sampled": facts.get("softmax") == "sampled",
        "the weights are not averaged": training.average != "none",
        "windows are cut at the same places in each epoch": training.vary_windows
        and training.carry_context,
        "the learning rate follows the steps, not the time": training.time is not None,
        "matrices are multiplied in float32": training.precision == "bfloat16",
        "dev is read as one sequence": facts["carry"]
        and facts["state"]
        and run.store("dev").num_targets > Scoring().stream_length,
    }
    differs = [what for what, is_so in differences.items() if is_so]
    outcome = "The run has no dev split."
    if losses:
        outcome = f"The run of thence came to {min(losses):.4f} nats per token; "
        outcome += f"this is close to it: here {', '.join(differs)}." if differs else (
            "so does this, up to rounding."
        )  # fmt: skip
    text = Path(run.text_name).name
    files = file if facts.get("split") else file.replace(".train.", ".train.txt and .dev.")
    words = " with words set apart by spaces" if facts["words"] else ""
    beside = f"{files} beside it{words}"
    return {
        "title": f"{KINDS[model]} on {text} in plain PyTorch, as thence trained it.",
        "equations": "\n".join(f"    {line}" for line in EQUATIONS[model]),
        "source": SOURCES[model],
        "about_text": f"TEXT, or else {beside}" if facts.get("split") else beside,
        "outcome": "\n".join(wrap(outcome, WIDTH)),
        "constants": "\n".join(_constants(run, facts)),
    }


def _constants(run: LanguageRun, facts: Facts) -> list[str]:
    """Return the lines that set sizes, learning rate and seed."""
    options, training = run.recipe.options, run.recipe.training
    sizes = {
        "CONTEXT": (
            1 if run.recipe.model == "bigram" else facts.get("context"),
            "ids that are read before a target",
        ),
        "EMBEDDING": (facts.get("embedding_size"), "numbers for a symbol"),
        "HIDDEN": (facts.get("hidden_size"), "units of a hidden layer"),
        "LAYERS": (getattr(options, "layers", 1) if facts["deep"] else None, "layers"),
        "HEADS": (facts.get("heads"), "heads of attention"),
    }
    if run.recipe.model == "transformer":
        sizes["LAYERS"] = (options.layers, "layers")
    rates = {
        "BATCH": (training.batch_size, "rows of a step"),
        "WINDOW": (training.window if facts["state"] else None, "ids that gradients reach back"),
        "LR": (training.lr, "highest learning rate"),
        "SEED": (training.seed, "seed"),
    }
    return [_assignment(sizes), _assignment(rates)]


def _assignment(named: dict[str, tuple[Any, str]]) -> str:
    """Return an assignment of several constants, after a comment that explains them."""
    kept = {name: pair for name, pair in named.items() if pair[0] is not None}
    values, about = (", ".join(str(pair[at]) for pair in kept.values()) for at in (0, 1))
    return f"# {about[0].upper()}{about[1:]}.\n{', '.join(kept)} = {values}"
