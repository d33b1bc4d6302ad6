"""Networks of other packages: what is known of any, and that little is imported for ours."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from thence.inspection.gradients import embedding_table
from thence.inspection.networks import NetworkPart, trace
from thence.models.base import read
from thence.models.language.neural import NeuralLanguageModel
from thence.models.output_layer import FullSoftmax
from thence.models.registry import Family
from thence.runs import Run

IDS = np.array([4, 0, 1, 2])


class Sums(nn.Module):
    """Sums of vectors so far."""

    context_length = None

    def __init__(self) -> None:
        super().__init__()
        self.vectors = nn.Embedding(5, 3)

    def start(self, batch_size: int, device: torch.device) -> Any:
        return (torch.zeros(batch_size, 1, 3),)

    def forward(self, ids: Tensor, state: Any) -> tuple[Tensor, Any]:
        sums = state[0] + self.vectors(ids).cumsum(1)
        return sums, (sums[:, -1:],)


def test_its_last_hidden_states_are_its_only_layer() -> None:
    torch.manual_seed(0)
    model = NeuralLanguageModel(Sums(), FullSoftmax(nn.Linear(3, 5)), 5)
    family = Family("sums", "language", "train", dict, Sums, "sums of vectors")
    found = trace(NetworkPart("", family, object(), model, False), IDS, 1)
    assert found.readable == ("layer 1",)
    table = model.network.vectors.weight.detach().numpy()  # type: ignore[attr-defined]
    np.testing.assert_allclose(found.stages["layer 1"], table[IDS].cumsum(0)[1:], rtol=1e-5)
    expected, _ = read(model, IDS[None], model.start(1))
    np.testing.assert_allclose(found.predictions("layer 1"), expected[0, 1:], rtol=1e-5)
    assert embedding_table(model) is None  # Then earlier tokens are occluded.


@pytest.mark.slow
def test_gates_are_shown_without_torch(runs: Callable[..., Run]) -> None:
    program = (
        "import sys; from thence.inspection import look; "
        f"look({str(runs('lstm').folder)!r}, 'abc', lenses=['gates', 'layers', 'shapes']); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
