from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thence.corpus import Documents, documents
from thence.mapped import Spool

texts = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=12))


@given(
    lines=st.lists(st.text("aé", max_size=3), max_size=9),
    gap=st.sampled_from(["", "\n", "far apart, farther than they are long"]),
    chosen=st.none() | st.lists(st.integers(0, 8), max_size=5),
)
def test_compact_leaves_out_what_lies_between(
    lines: list[str], gap: str, chosen: list[int] | None
) -> None:
    ends = np.cumsum([len((line + gap).encode()) for line in lines], dtype=np.int64)
    sizes = np.array([len(line.encode()) for line in lines], np.int64)
    starts = ends - sizes
    text = np.frombuffer("".join(gap + line for line in lines).encode(), np.uint8)
    documents = Documents(text, starts, ends)
    if chosen is not None:  # In any order, and any number of times.
        indices = [index for index in chosen if index < len(lines)]
        documents = documents.take(np.array(indices, np.int64))
    compact = documents.compact()
    assert list(compact) == list(documents)
    assert compact.text.tobytes() == "".join(documents).encode()


@given(texts)
def test_strings_come_back(strings: list[str]) -> None:
    documents = Documents.from_strings(strings)
    assert list(documents) == strings
    assert documents.num_bytes == sum(len(string.encode()) for string in strings)


@given(texts, st.integers(1, 20))
def test_chunks_are_the_documents_in_order(strings: list[str], size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(documents, "FEW", 2)
        chunks = list(Documents.from_strings(strings).chunks(size))
    assert [string for chunk in chunks for string in chunk] == strings
    assert all(len(chunk) == 1 or chunk.num_bytes <= size for chunk in chunks)


@given(st.lists(texts, min_size=1, max_size=4))
def test_join_puts_parts_one_after_another(parts: list[list[str]]) -> None:
    joined = Documents.join([Documents.from_strings(part) for part in parts])
    assert list(joined) == [string for part in parts for string in part]


def test_hash_sees_text_order_and_boundaries_but_not_what_lies_between() -> None:
    def hashed(*strings: str) -> str:
        return Documents.from_strings(strings).content_hash()

    different = [hashed("ab", "c"), hashed("a", "bc"), hashed("c", "ab"), hashed("abc")]
    assert len(set(different)) == 4
    documents = Documents.from_strings(["x", "ab", "x", "c"])
    assert documents.take(np.array([1, 3])).content_hash() == hashed("ab", "c")


@given(st.lists(st.text(max_size=5), max_size=9), st.randoms())
def test_shuffled_documents_on_disk_are_put_in_order(texts: list[str], random: Random) -> None:
    made = Documents.from_strings(texts)
    order = random.sample(range(len(texts)), len(texts))
    on_disk = Spool(np.uint8)
    on_disk.append(made.text)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"PART": 4, "AT_ONCE": 3, "FEW": 2}.items():
            patch.setattr(documents, name, value)
        whole = Documents(on_disk.array(), made.starts, made.ends)
        found = whole.in_order(np.array(order, np.int32))
    assert list(found) == [texts[at] for at in order]
    assert (found.starts[1:] >= found.ends[:-1]).all()
