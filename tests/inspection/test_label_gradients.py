"""What speaks for a label by one gradient, against finite differences."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import thence
from thence.errors import SettingError
from thence.inspection import LabelLook, look
from thence.inspection.label_gradients import gradient_times_input
from thence.models.base import Classes
from thence.models.labels.neural import NeuralClassifier
from thence.models.registry import get_family

V = 9
IDS = np.array([0, 3, 3, 1, 5])
ENCODER = {"model": "gru", "embedding_size": 3, "hidden_size": 4, "layers": 1}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "convolution": ("convolution", {"embedding_size": 3, "filters": 4}),
    "two channels": (
        "convolution",
        {"embedding_size": 3, "filters": 4, "embeddings": "multichannel", "vectors": "x"},
    ),
    "recurrent": ("recurrent", {"embedding_size": 3, "hidden_size": 4}),
    "finetuned": ("finetuned", {"encoder": ENCODER, "head_size": 5}),
}  # fmt: skip


def log_odds(model: NeuralClassifier, label: int) -> float:
    with torch.no_grad():
        logits = model.network(torch.from_numpy(IDS)[None], torch.tensor([len(IDS)]))[0].double()
    if model.classes.multilabel:
        return float(logits[label])
    return float(
        logits[label] - torch.logsumexp(torch.cat([logits[:label], logits[label + 1 :]]), 0)
    )


@pytest.mark.parametrize("multilabel", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_it_is_how_the_log_odds_change(case: str, multilabel: bool) -> None:
    """The row of a symbol is scaled for all its tokens at once."""
    name, settings = CASES[case]
    torch.manual_seed(0)
    family = get_family(name)
    model = family.classifier(family.options_class()(**settings), V, Classes(3, multilabel))
    assert isinstance(model, NeuralClassifier)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.5)
    found = gradient_times_input(model, IDS, 1)
    kinds = ("embedding.weight", "fixed.weight")
    tables = [table for name, table in model.named_parameters() if name.endswith(kinds)]
    assert len(tables) == 1 + (case == "two channels")
    for symbol in {0, 3, 1, 5}:
        values = []
        for step in (1e-2, -1e-2):
            with torch.no_grad():
                for table in tables:
                    table[symbol] *= 1 + step
                values.append(log_odds(model, 1))
                for table in tables:
                    table[symbol] /= 1 + step
        expected = (values[0] - values[1]) / 2e-2
        assert found[symbol == IDS].sum() == pytest.approx(expected, rel=3e-2, abs=2e-3)


def test_the_lens(tmp_path: Path) -> None:
    (tmp_path / "text.csv").write_text("text,label\n" + "a good day,yes\na bad day,no\n" * 9)
    settings: dict[str, Any] = {"label": "label", "split": "100/0/0", "max_length": 4}
    settings |= {"model": "convolution", "steps": 1, "output": tmp_path / "run"}
    run = thence.train(tmp_path / "text.csv", **settings)
    found = look(run, "a good, bad day of days", lenses=["gradient"], label="yes")
    assert isinstance(found, LabelLook)
    assert found.available == ("gradient",)
    tokens = found.lenses["gradient"]
    assert [(token.text, token.start, token.end) for token in tokens] == [
        ("a", 0, 1), ("good", 2, 6), (",", 6, 7), ("bad", 8, 11),
    ]  # fmt: skip
    assert all(math.isfinite(token.weight) for token in tokens)
    assert "gradient" in str(found)
    empty = look(run, "", lenses=["gradient"])
    assert empty.lenses["gradient"] == ()
    assert look(run, "a good day").lenses == {}
    with pytest.raises(SettingError, match="has no lens 'gates', as its model is 'convolution'"):
        look(run, "a", lenses=["gates"])
