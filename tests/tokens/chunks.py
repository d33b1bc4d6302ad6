"""Documents that come a few bytes at a time, or count as a large text, however small they are."""

from collections.abc import Iterator

from thence.corpus import Documents
from thence.tokens.tokenizer import LARGE_TEXT


class InChunks(Documents):
    """Documents in chunks of another size than is asked for."""

    size = 6

    def chunks(self, size: int = 0) -> Iterator[Documents]:
        return super().chunks(self.size)


class Large(InChunks):
    """A large text in many chunks."""

    @property
    def num_bytes(self) -> int:
        return LARGE_TEXT


def in_chunks(documents: Documents, size: int) -> Documents:
    made = InChunks(documents.text, documents.starts, documents.ends)
    object.__setattr__(made, "size", size)
    return made


def large(documents: Documents) -> Documents:
    return Large(documents.text, documents.starts, documents.ends)
