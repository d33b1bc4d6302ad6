import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thence.corpus import (
    Documents,
    LabelledDocuments,
    Labels,
    SplitOptions,
    count_shared,
    load_splits,
    seen_in,
)
from thence.corpus.splits import character_offset, hashes, num_characters, split_documents
from thence.errors import SettingError, TextError

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)


def split(strings: list[str], **options: object) -> list[list[str]]:
    parts = split_documents(
        Documents.from_strings(strings),
        SplitOptions(**options),  # type: ignore[arg-type]
        lambda path: Documents.from_strings([f"from {path}"]),
    )
    return [list(parts.train), list(parts.dev), list(parts.test)]


@given(st.integers(10, 300), st.integers(0, 5))
def test_shuffle_is_that_of_python(total: int, seed: int) -> None:
    strings = [str(number) for number in range(total)]
    expected = list(strings)
    random.seed(seed)
    random.shuffle(expected)
    first, second = int(0.8 * total), int(0.9 * total)
    assert split(strings, split_seed=seed) == [
        expected[:first],
        expected[first:second],
        expected[second:],
    ]


def test_by_position_keeps_the_order() -> None:
    parts = split(list("abcdefghij"), split="50/30/20", by="position")
    assert parts == [list("abcde"), list("fgh"), list("ij")]


def test_one_document_is_cut_between_characters_by_position() -> None:
    parts = split(["zoëżółw名人"], split="50/25/25", by="position")
    assert parts == [["zoëż"], ["ół"], ["w名人"]]
    assert split(["zoëż"], split="50/0/50", by="position") == [["zo"], [], ["ëż"]]


def test_one_short_document_cannot_be_cut() -> None:
    with pytest.raises(TextError, match=r"too short to split: 10 % for dev of 3 characters"):
        split(["abc"], by="position")


def test_one_document_cannot_be_shuffled() -> None:
    with pytest.raises(TextError, match=r"single document.*`by='position'`"):
        split(["a whole book in one line"])
    assert split(["a whole book in one line"], split="100/0/0")[0] == ["a whole book in one line"]


def test_a_share_of_zero_gets_nothing() -> None:
    assert split(list("abc"), split="100/0/0", by="position") == [list("abc"), [], []]
    assert split(list("abcd"), split="50/0/50", by="position") == [list("ab"), [], list("cd")]


@given(st.floats(1, 99), st.integers(200, 400))
def test_nothing_is_lost_whatever_the_shares(train: float, total: int) -> None:
    strings = [str(number) for number in range(total)]
    parts = split(strings, split=f"{train!r}/{100 - train!r}/0", by="position")
    assert [*parts[0], *parts[1]] == strings
    assert parts[2] == []


def test_given_files_are_not_cut() -> None:
    assert split(["a", "b"], dev="d", test="t") == [["a", "b"], ["from d"], ["from t"]]
    assert split(["a", "b"], dev="d") == [["a", "b"], ["from d"], []]


def test_a_given_test_leaves_its_share_to_train_and_dev() -> None:
    parts = split(list("abcdefghi"), test="t", by="position")
    assert parts == [list("abcdefgh"), ["i"], ["from t"]]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("80/20", "`split` is '80/20', not three percentages. Write train/dev/test like 80/10/10"),
        ("80/10/x", "not three percentages"),
        ("", "`split` is '', not three percentages"),
        ("80/10/5", "`split` is '80/10/5', which does not divide the text.*add up to 100"),
        ("0/50/50", "does not divide"),
        ("110/-10/0", "does not divide"),
        ("nan/10/10", "does not divide"),
        ("inf/0/0", "does not divide"),
    ],
)
def test_shares_that_make_no_sense(value: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        split(list("abcdefghij"), split=value)


@pytest.mark.parametrize(
    ("strings", "message"),
    [
        (["a", "b", "c"], r"too short to split: 10 % for dev of 3 documents is less than one"),
        (["abc"], r"single document"),
    ],
)
def test_too_little_text(strings: list[str], message: str) -> None:
    with pytest.raises(TextError, match=message):
        split(strings)


def labelled(lists: list[list[str]], multilabel: bool = False) -> LabelledDocuments:
    documents = Documents.from_strings(str(number) for number in range(len(lists)))
    return LabelledDocuments.of(documents, Labels.from_lists(lists, multilabel))


def label_parts(documents: LabelledDocuments, **options: object) -> list[LabelledDocuments]:
    parts = split_documents(documents, SplitOptions(**options))  # type: ignore[arg-type]
    found = [parts.train, parts.dev, parts.test]
    assert all(isinstance(part, LabelledDocuments) for part in found)
    return found  # type: ignore[return-value]


@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 60), min_size=1),
    st.sampled_from(["80/10/10", "60/30/10", "33/33/34", "90/0/10", "70/30/0", "98/1/1"]),
    st.integers(0, 3),
)
def test_each_label_is_divided_by_the_shares(sizes: dict[str, int], share: str, seed: int) -> None:
    common = ["common"] * 200  # so that every part has something
    names = [*common, *(name for name, size in sizes.items() for _ in range(size))]
    documents = labelled([[name] for name in names])
    parts = label_parts(documents, split=share, split_seed=seed)
    numbers = [int(text) for part in parts for text in part]
    assert sorted(numbers) == list(range(len(names)))
    assert [name for part in parts for name in map(part.labels.of, range(len(part)))] == [
        (names[number],) for number in numbers
    ]
    wanted = np.array([float(percent) / 100 for percent in share.split("/")])
    counts = np.array([part.labels.counts() for part in parts])
    exact = wanted[:, None] * documents.labels.counts()
    assert (counts[0] >= 1).all()
    assert (abs(counts[1:] - exact[1:]) < 1).all()
    assert (abs(counts[0] - exact[0]) < 2).all()


@given(st.lists(st.integers(10, 80), min_size=1, max_size=12))
def test_parts_have_the_sizes_of_an_unlabelled_split(sizes: list[int]) -> None:
    names = [str(label) for label, size in enumerate(sizes) for _ in range(size)]
    parts = label_parts(labelled([[name] for name in names]))
    unlabelled = split([str(number) for number in range(len(names))])
    assert [len(part) for part in parts] == [len(part) for part in unlabelled]


def test_rare_labels_go_to_train() -> None:
    names = [*"abcdefghij", *"kk", *["z"] * 88]
    train, dev, test = label_parts(labelled([[name] for name in names]))
    assert [len(train), len(dev), len(test)] == [81, 9, 10]  # z: 17.6 becomes 18; k: 0.4 becomes 1
    assert train.labels.counts()[:11].tolist() == [1] * 11
    two = [[name] for name in "abcdefghijklmnopqrst" for _ in range(2)]
    train, dev, test = label_parts(labelled(two), split="50/25/25")
    assert train.labels.counts().tolist() == [1] * 20
    assert [len(dev), len(test)] == [10, 10]


def test_labelled_parts_are_mixed_and_the_same_each_time() -> None:
    documents = labelled([[name] for name in "a" * 100 + "b" * 100])
    train, *_ = label_parts(documents)
    changes = np.count_nonzero(np.diff(train.labels.single))
    assert changes > 40
    assert list(train) == list(label_parts(documents)[0])
    assert list(train) != list(label_parts(documents, split_seed=1)[0])


def test_documents_with_several_labels_are_divided_by_their_rarest() -> None:
    lists = [["common", "rare"]] * 10 + [["common"]] * 50 + [["common", "medium"]] * 20 + [[]] * 20
    parts = label_parts(labelled(lists, multilabel=True))
    counts = [dict(zip(part.labels.names, part.labels.counts(), strict=True)) for part in parts]
    assert [count["rare"] for count in counts] == [8, 1, 1]
    assert [count["medium"] for count in counts] == [16, 2, 2]
    assert [count["common"] for count in counts] == [64, 8, 8]
    assert [int((np.diff(part.labels.offsets) == 0).sum()) for part in parts] == [16, 2, 2]


def test_labelled_documents_by_position_keep_their_order() -> None:
    documents = labelled([[name] for name in "aabbaabbab"])
    train, dev, test = label_parts(documents, split="50/30/20", by="position")
    assert [list(part) for part in (train, dev, test)] == [list("01234"), list("567"), list("89")]
    assert [dev.labels.of(index) for index in range(3)] == [("a",), ("b",), ("b",)]


def test_too_few_labelled_documents() -> None:
    with pytest.raises(TextError, match="No document is left for dev: most labels are so rare"):
        label_parts(labelled([[name] for name in "abcdefghijklmnopqrst"]))
    with pytest.raises(TextError, match="80 % for train of 1 document is less than one"):
        label_parts(labelled([["a"]]), by="position")
    assert len(label_parts(labelled([["a"]]), split="100/0/0")[0]) == 1


@pytest.mark.parametrize("chunk", [1, 3, 1 << 20])
def test_characters_are_found_across_chunks(chunk: int) -> None:
    string = "zoëżółw名人🎈!"
    text = np.frombuffer(string.encode(), np.uint8)
    expected = [len(string[:number].encode()) for number in range(len(string) + 1)]
    found = [character_offset(text, number, chunk) for number in range(len(string) + 1)]
    assert found == expected
    assert num_characters(Documents.from_strings([string, "ë"]), chunk) == len(string) + 1


@given(st.lists(texts, max_size=20), st.lists(texts, max_size=20))
def test_seen_in_is_membership(train: list[str], other: list[str]) -> None:
    both = Documents.from_strings(train), Documents.from_strings(other)
    assert seen_in(*both).tolist() == [string in set(train) for string in other]
    assert count_shared(*both) == sum(string in set(train) for string in other)


def test_long_documents_are_compared_too() -> None:
    train = Documents.from_strings(["abcd", "abc", "ab", ""])
    other = Documents.from_strings(["abcd", "abce", "abc", "abd", "", "a"])
    found = np.isin(*(hashes(documents, longest_multilinear=3) for documents in (other, train)))
    assert found.tolist() == [True, False, True, False, True, False]


def test_hashes_of_many_documents_differ() -> None:
    documents = Documents.from_strings(f"{number:x}" for number in range(50_000))
    assert len(np.unique(hashes(documents))) == len(documents)


@pytest.mark.data
def test_names_are_split_as_in_the_tutorial(real_data: Path) -> None:
    parts = load_splits(real_data / "names" / "names.txt")
    sizes = [len(part) for part in (parts.train, parts.dev, parts.test)]
    targets = [part.num_bytes + len(part) for part in (parts.train, parts.dev, parts.test)]
    assert sizes == [25_626, 3_203, 3_204]
    assert targets == [182_625, 22_655, 22_866]
    assert count_shared(parts.train, parts.dev) == 424
