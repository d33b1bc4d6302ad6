"""Where the train text says the same as a text."""

from collections.abc import Callable

from thence.inspection import Look, look
from thence.runs import Run


def test_an_end_that_the_train_text_does_not_have(counted: Callable[..., Run]) -> None:
    """Train: ab ab b. Nothing ends after an a, but three documents end."""
    found = look(counted(), "a\nb", lenses=["examples"])
    assert isinstance(found, Look)
    one = found.lenses["examples"][1]
    assert (one.order, one.count) == (1, 3)
    assert [line.text for line in one.lines] == ["ab", "ab", "b"]
