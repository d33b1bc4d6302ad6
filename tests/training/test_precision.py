import torch
from torch import nn

from thence.training.precision import computing_in


def test_changed_weights_count_at_once_in_bfloat16() -> None:
    linear = nn.Linear(4, 1, bias=False)
    ones = torch.ones(1, 4)
    with computing_in("bfloat16", torch.device("cpu")):
        for value in (1, 2):
            with torch.no_grad():
                linear.weight.fill_(value)
            output = linear(ones)
            assert output.dtype == torch.bfloat16
            assert output.item() == 4 * value
