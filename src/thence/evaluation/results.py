"""Results that come one by one, of which a notebook can show the first without losing them."""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Generic, TypeVar

from thence.notebook import repr_html

Item = TypeVar("Item")


class Results(Iterator[Item], Generic[Item]):
    """Results in order, each worked out when it is asked for.

    Args:
        items: Where they come from.
    """

    _repr_html_ = repr_html

    def __init__(self, items: Iterable[Item]) -> None:
        self._items = iter(items)
        self._looked_at: deque[Item] = deque()

    def __next__(self) -> Item:
        return self._looked_at.popleft() if self._looked_at else next(self._items)

    def first(self, count: int) -> list[Item]:
        """Return the next results, at most so many, which still come when they are asked for."""
        missing = max(count - len(self._looked_at), 0)
        self._looked_at.extend(islice(self._items, missing))
        return list(islice(self._looked_at, count))


class Score(dict[str, Any]):
    """The score of a text: a dictionary, as ``score`` says, that a notebook can show.

    Args:
        content: The names and numbers.
        vocabulary_size: Of the run, which says what surprisal is large.
        separator: What stands between two tokens where they are written together.
    """

    _repr_html_ = repr_html

    def __init__(self, content: dict[str, Any], vocabulary_size: int, separator: str) -> None:
        super().__init__(content)
        self.vocabulary_size = vocabulary_size
        self.separator = separator
