import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from thence.corpus import Documents
from thence.tokens import TokenOptions, TokenStore, make_tokenizer
from thence.tokens.store import insert_boundaries

TEXTS = st.lists(st.text("abé", max_size=5), max_size=6)


def make(texts: list[str]) -> TokenStore:
    """Ids a = 0, b = 1, é = 2, <unk> = 3, boundary = 4."""
    train = Documents.from_strings(["abé"])
    return make_tokenizer(train, TokenOptions()).encode(texts)


def slow_ids(texts: list[str]) -> list[int]:
    ids = [4]
    for text in texts:
        ids += ["abé".index(character) for character in text] + [4]
    return ids


def test_the_drawing_in_the_docstring() -> None:
    store = make(["ab", "a"])
    assert store.ids.tolist() == [4, 0, 1, 4, 0, 4]
    assert store.offsets.tolist() == [1, 4, 6]
    assert store.targets.tolist() == [0, 1, 4, 0, 4]
    assert (store.num_documents, store.num_targets) == (2, 5)


@given(TEXTS)
@example([])
@example(["", ""])
@settings(deadline=None)
def test_a_store_is_what_a_loop_would_make(texts: list[str]) -> None:
    store = make(texts)
    assert store.ids.tolist() == slow_ids(texts)
    assert store.num_targets == sum(len(text) + 1 for text in texts)
    assert store.target_counts.tolist() == [len(text) + 1 for text in texts]
    for index, text in enumerate(texts):
        assert [*store.document(index).tolist(), 4] == slow_ids([text])[1:]
        assert store.ids[store.offsets[index] - 1] == 4


@given(TEXTS, st.data())
@settings(deadline=None)
def test_taking_documents(texts: list[str], data: st.DataObject) -> None:
    places = st.integers(0, len(texts) - 1) if texts else st.nothing()
    chosen = data.draw(st.lists(places, max_size=4 if texts else 0))
    taken = make(texts).take(np.array(chosen, np.int64))
    expected = make([texts[index] for index in chosen])
    for name in ("ids", "offsets", "byte_counts", "character_counts", "boundary_id"):
        np.testing.assert_array_equal(getattr(taken, name), getattr(expected, name))
    assert taken.ids.dtype == expected.ids.dtype


@given(TEXTS)
@settings(deadline=None)
def test_sums_by_document(texts: list[str]) -> None:
    store = make(texts)
    values = np.linspace(-3, 5, store.num_targets).astype(np.float32)
    rest = values.tolist()
    expected = []
    for text in texts:
        expected.append(sum(rest[: len(text) + 1]))
        rest = rest[len(text) + 1 :]
    sums = store.sum_by_document(values)
    assert sums.dtype == np.float64
    np.testing.assert_allclose(sums, expected, atol=1e-12)


def test_sums_are_double() -> None:
    # In single precision 2^24 + 1 is 2^24: each of the ones would be lost.
    store = make(["aa"])
    assert store.sum_by_document(np.array([2**24, 1, 1], np.float32)).tolist() == [2**24 + 2]


def test_boundaries_go_after_each_document() -> None:
    ids, lengths = np.array([5, 6, 7]), np.array([0, 2, 0, 1])
    targets = insert_boundaries(ids, lengths, 9, np.dtype(np.uint8))
    assert targets.tolist() == [9, 5, 6, 9, 9, 7, 9]
    assert targets.dtype == np.uint8


def test_a_store_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        make(["a"]).boundary_id = 0  # type: ignore[misc]


def test_the_beginning_has_enough_targets_and_no_more_documents() -> None:
    store = make(["ab", "", "aaa"])  # 3, 1 and 4 targets, boundaries included.
    counts = [store.beginning(targets).num_documents for targets in (0, 1, 3, 4, 5, 8, 100)]
    assert counts == [1, 1, 1, 2, 3, 3, 3]
    assert make([]).beginning(5).num_documents == 0


def test_a_long_document_is_cut() -> None:
    # Nine targets with the boundary, and three.
    store = make(["abcdefgh", "ij"])
    boundary = store.boundary_id
    first = store.beginning(3)
    assert first.ids.tolist() == [boundary, *store.ids[1:4]]
    assert first.offsets.tolist() == [1, 4]
    # Three of the nine targets: a third of 8 bytes.
    assert first.byte_counts.tolist() == first.character_counts.tolist() == [3]
    assert store.beginning(5).num_targets == 9  # Less than twice as many.
    whole = make(["ij", "abcdefgh"])
    last = whole.ending(4)
    assert last.ids.tolist() == [boundary, *whole.ids[-4:]]
    assert last.offsets.tolist() == [1, 5]


@given(st.lists(st.text("abc", max_size=30), min_size=1), st.integers(1, 40))
def test_beginnings_and_endings_have_about_as_many_targets(texts: list[str], targets: int) -> None:
    store = make([*texts, "abc"])
    for part in (store.beginning(targets), store.ending(targets)):
        assert min(targets, store.num_targets) <= part.num_targets
        assert part.num_targets <= max(2 * targets, targets + 1)
        assert part.offsets[-1] == len(part.ids)
        assert len(part.byte_counts) == part.num_documents
    np.testing.assert_array_equal(
        store.beginning(targets).targets, store.targets[: store.beginning(targets).num_targets]
    )
    np.testing.assert_array_equal(
        store.ending(targets).targets, store.targets[-store.ending(targets).num_targets :]
    )
