"""Export of a network that models language as a folder for Hugging Face's ``transformers``.

The folder has weights, tokenizer, config, and the code of the model in one file, a copy of
``modeling_thence`` of this package, which does not need thence.
"""

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save

from thence.atomic import new_folder
from thence.errors import RunError, SettingError, import_extra
from thence.exchange.parity import Ids, LogProbs, greatest_difference, network_of
from thence.exchange.tokenizer_file import BOUNDARY_TOKEN, tokenizer_file
from thence.models.base import Array
from thence.models.language.neural import NeuralLanguageModel
from thence.runs.run import Run

MODELING = "modeling_thence"
FAMILIES = ("rnn", "lstm", "gru", "transformer")
TOLERANCE = 1e-5
"""Largest allowed difference of log-probabilities from the run's."""
SIZES = ("embedding_size", "hidden_size", "layers", "heads", "context", "positions", "feed_forward")
SYMBOLS = 10_000
"""Symbols of the vocabulary that are joined into a text on which both tokenizers must agree."""
SAMPLE = (
    "",
    "The  cat's\thats, “two” (of 3).\n<unk> <boundary> don''t ÀÉ e\u0301 ΟΔΟΣ İ 😀 \u200d \x85 \0",
)
"""Texts with difficult cases for tokenizers: white space, quotes, accents, Greek, emoji, NUL."""
READ_ME = """# {name}

A language model ({family}, {parameters:,} parameters, {tokens} as tokens) trained with thence
{version}. To load it, with `transformers` and `torch` installed:

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("{name}", trust_remote_code=True)
model = AutoModelForCausalLM.from_pretrained("{name}", trust_remote_code=True)
start = tokenizer("", return_tensors="pt")  # The boundary, at which every text begins.
print(tokenizer.decode(model.generate(**start, max_new_tokens=50)[0], skip_special_tokens=True))
```

The code of the model is `{modeling}.py` in this folder; nothing is downloaded.
"""


def export_hugging_face(run: Run, path: Path) -> float:
    """Write a network as a folder; return its largest difference from the run, in nats.

    Raises:
        RunError: If the run has no such network, or the result differs.
        SettingError: If the format cannot hold the model or its tokenizer.
        MissingExtraError: If transformers is not installed.
        OSError: If the folder cannot be written.
    """
    model = network_of(run, "a Hugging Face folder")
    _check_settings(run)
    import_extra("transformers", "hf", "checking a Hugging Face folder")
    files = folder_files(run, model, path.name)
    with new_folder(path) as new:
        for name, content in files.items():
            (new.path / name).write_bytes(content)
        check_tokens(run, new.path / "tokenizer.json")
        return greatest_difference(run, model, load_folder(new.path), TOLERANCE)


def _check_settings(run: Run) -> None:
    """Raise an error for a family or a setting that the format cannot hold."""
    if run.recipe.model not in FAMILIES:
        raise RunError(
            f"{run.folder} is a run of the model '{run.recipe.model}'; a Hugging Face folder can "
            f"only hold {', '.join(FAMILIES[:-1])} and {FAMILIES[-1]}. Use `to='onnx'`."
        )
    if run.recipe.options.softmax == "adaptive":
        raise SettingError(
            f"{run.folder} was made with `softmax='adaptive'`, which a Hugging Face folder cannot "
            "hold; use `to='onnx'`, or train with `softmax='sampled'`."
        )


def folder_files(run: Run, model: NeuralLanguageModel, name: str) -> dict[str, bytes]:
    """Return the contents of the files in the folder, by file name."""
    boundary = run.tokenizer.vocabulary.boundary_id
    ends = {"bos_token_id": boundary, "eos_token_id": boundary, "pad_token_id": boundary}
    options = run.recipe.options
    config = {
        "architectures": ["ThenceForCausalLM"],
        "auto_map": {
            "AutoConfig": f"{MODELING}.ThenceConfig",
            "AutoModelForCausalLM": f"{MODELING}.ThenceForCausalLM",
        },
        "model_type": "thence",
        "thence_version": version("thence"),
        "family": run.recipe.model,
        "vocabulary_size": model.vocabulary_size,
        **{key: getattr(options, key) for key in SIZES if hasattr(options, key)},
        "tied": options.tied,
        "dropout": options.dropout,
        "dtype": "float32",
        **ends,
    }
    about = {
        "name": name,
        "family": run.recipe.model,
        "parameters": model.num_parameters(),
        "tokens": run.recipe.tokens.tokens,
        "version": version("thence"),
        "modeling": MODELING,
    }
    return {
        "config.json": _json(config),
        "generation_config.json": _json({**ends, "use_cache": False}),
        "tokenizer.json": tokenizer_file(run.tokenizer).to_str(pretty=True).encode(),
        "tokenizer_config.json": _json(_tokenizer_config(run)),
        "model.safetensors": save(renamed(model.tensors()), {"format": "pt"}),
        f"{MODELING}.py": Path(__file__).with_name(f"{MODELING}.py").read_bytes(),
        "README.md": READ_ME.format(**about).encode(),
    }


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def _tokenizer_config(run: Run) -> dict[str, Any]:
    unknown = {} if run.tokenizer.vocabulary.unknown_id is None else {"unk_token": "<unk>"}
    ends = ("bos_token", "eos_token", "pad_token")
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **dict.fromkeys(ends, BOUNDARY_TOKEN),
        **unknown,
        # The name of a special token within a text is ordinary text.
        "split_special_tokens": True,
        "clean_up_tokenization_spaces": False,
        "padding_side": "left",
        "model_input_names": ["input_ids", "attention_mask"],
    }


def renamed(tensors: Mapping[str, Array]) -> dict[str, Array]:
    """Return the weights by their names in ``modeling_thence``."""
    found = {}
    for name, value in tensors.items():
        parts = name.split(".")
        if parts[0] == "readout":
            name = f"readout.{parts[-1]}"
        elif parts[-1] in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            name = f"network.layers.{parts[-1]}_l{parts[-2]}"
        found[name] = np.ascontiguousarray(value)
    return found


def check_tokens(run: Run, path: Path) -> None:
    """Check that a tokenizer file gives the same ids as the run's tokenizer.

    Raises:
        RunError: If a text gets other ids.
    """
    from tokenizers import Tokenizer

    theirs = Tokenizer.from_file(str(path))
    symbols, spelled = run.tokenizer.vocabulary.symbols, run.recipe.tokens.tokens
    texts = [(" " if spelled == "words" else "").join(symbols[:SYMBOLS])]
    if spelled not in ("characters", "words") or run.tokenizer.vocabulary.unknown != "refuse":
        texts += SAMPLE
    for text in texts:
        expected = run.tokenizer.encode([text]).document(0).tolist()
        if theirs.encode(text, add_special_tokens=False).ids != expected:
            raise RunError(
                f"The exported tokenizer would not give the ids of {run.folder} for {text!r:.80}. "
                "Nothing was written; please report this."
            )


def load_model(folder: Path) -> Any:
    """Load the model in a folder with transformers, in evaluation mode."""
    modeling = import_module(f"{__package__}.{MODELING}")
    with _quiet():
        return modeling.ThenceForCausalLM.from_pretrained(folder, local_files_only=True).eval()


def load_folder(folder: Path) -> Callable[[Ids], LogProbs]:
    """Load the model in a folder; return a function from ids to its log-probabilities."""
    model = load_model(folder)

    @torch.inference_mode()
    def ask(ids: Ids) -> LogProbs:
        log_probs: LogProbs = model(torch.from_numpy(ids)).logits.log_softmax(-1).numpy()
        return log_probs

    return ask


@contextmanager
def _quiet() -> Iterator[None]:
    """Context manager: hides warnings and progress bars of transformers."""
    chatter: Any = import_module("transformers.utils.logging")
    level, bars = chatter.get_verbosity(), chatter.is_progress_bar_enabled()
    chatter.set_verbosity(logging.ERROR)
    chatter.disable_progress_bar()
    try:
        yield
    finally:
        chatter.set_verbosity(level)
        if bars:
            chatter.enable_progress_bar()
