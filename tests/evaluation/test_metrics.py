import math

import pytest

from thence.evaluation.metrics import bits, finite, perplexity


@pytest.mark.parametrize("nats", [0.0, 1e-9, 0.5, 3.3, 700.0])
def test_two_to_the_bits_is_e_to_the_nats(nats: float) -> None:
    assert 2 ** bits(nats) == pytest.approx(math.exp(nats), rel=1e-12)


def test_perplexity_of_a_uniform_guess_is_the_number_of_choices() -> None:
    assert perplexity(math.log(27)) == pytest.approx(27)
    assert perplexity(0.0) == 1
    assert perplexity(1000.0) == perplexity(math.inf) == math.inf


def test_json_has_no_infinity() -> None:
    assert [finite(value) for value in (1.5, math.inf, -math.inf, math.nan)] == [
        1.5,
        None,
        None,
        None,
    ]
