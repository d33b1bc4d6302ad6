"""N-grams in hash tables and lines of ARPA files: the compiled core, Python, and damaged files."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thence._core import library
from thence._core.hashed import Context, Found
from thence.errors import ThenceError
from thence.exchange import arpa_reader
from thence.exchange.kenlm_file import MAGIC
from thence.exchange.kenlm_model import read_hashed
from thence.models.ngram.hashed import HashedNGrams, murmur, murmurs

pytestmark = pytest.mark.skipif(library() is None, reason="the compiled core is not built")
FOLDER = Path(__file__).parents[1] / "exchange" / "kenlm"
FILES = ["array.bin", "no-words.bin", "probing.bin", "quantised-array.bin", "quantised.bin"]
FILES += ["rest.bin", "trie.bin", "all-in-arrays.bin"]
WORDS = ["the", "cat", "dog", "sat", "on", "mat", "Katze", "<s>", "</s>", "<unk>", "zebra"]
TEXTS = st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join)


@given(
    TEXTS, st.sampled_from([0, 1]), st.sampled_from(["model.arpa", "probing.bin", "quantised.bin"])
)
def test_python_walks_as_the_core_does(text: str, flags: int, name: str) -> None:
    model = read_hashed(FOLDER / name)
    slow = HashedNGrams(model.words, model.unigrams, model.unigram_stride, model.longer)
    slow.__dict__["_core"] = None
    data = text.encode()

    def step(asked: HashedNGrams, context: Context, word: bytes) -> tuple[object, Context]:
        found, after = Found(), Context()
        after.become(context)
        assert asked.step(after, word, after, found) == found.log_prob  # The same place.
        length = after.length
        return (bytes(found), after.words[:length], list(map(str, after.backoffs[:length]))), after

    for context in (Context(), model.begin):
        assert slow.score(context, data, flags) == model.score(context, data, flags)
        assert slow.words_of(context, data, flags) == model.words_of(context, data, flags)
        for word in (data, *data.split()):
            assert step(slow, context, word)[0] == step(model, context, word)[0]
            context = step(model, context, word)[1]


@given(st.lists(st.binary(max_size=20)))
def test_hashes_of_words(words: list[bytes]) -> None:
    assert murmurs(words).tolist() == [murmur(word) for word in words]


NUMBERS = st.one_of(
    st.floats(-90, 0).map(repr),
    st.floats(-5, 0).map("{:.7g}".format),
    st.sampled_from(["0", "-0", "-1.", "-.5", "-1e-3", "-2E+1", "-99", "-inf", "x", "", "-1e-30",
                     "-0.30102999566398120", "-00000000000000000000.5", "1", "-1.5.2", "nan"]),
)  # fmt: skip
LINES = st.tuples(
    NUMBERS, st.sampled_from(["\t", " ", "  ", "\t "]),
    st.one_of(
        st.lists(st.sampled_from(["a", "b", "</s>"]), min_size=2, max_size=2),
        st.lists(st.sampled_from(["a", "b", "c\v", "unheard"]), min_size=1, max_size=3),
    ),
    st.one_of(st.just(""), st.tuples(st.sampled_from("\t "), NUMBERS).map("".join)),
    st.sampled_from(["\n", "\r\n", " \n", "\n\n", "\n \n"]),
).map(lambda line: line[0] + line[1] + " ".join(line[2]) + line[3] + line[4])  # fmt: skip
HEADER = "\\data\\\nngram 1=4\nngram 2={}\n\n\\1-grams:\n-1 <s> -1\n-1 </s>\n-1 a -1\n-1 b\n"


@given(st.lists(LINES, max_size=6), st.integers(-1, 1))
def test_lines_of_arpa_files(folder: Path, lines: list[str], more: int) -> None:
    path = folder / "a.arpa"
    path.write_bytes((HEADER.format(len(lines) + more) + "\n\\2-grams:\n").encode())
    with path.open("ab") as file:
        file.write("".join(lines).encode() + b"\n\\end\\\n")

    def read() -> object:
        try:
            with arpa_reader.arpa_sections(path) as sections:
                return [
                    [column.tolist() for column in
                     (some.places, some.log_probs, some.backoffs, some.numbers)]
                    for some in sections.orders
                ]  # fmt: skip
        except ThenceError as error:
            return str(error)

    found = read()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arpa_reader, "library", lambda: None)
        assert read() == found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that examples share."""
    return tmp_path_factory.mktemp("damaged")


@given(
    name=st.sampled_from(FILES),
    changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=5),
    share=st.floats(0.5, 1),
)
def test_damaged_files_do_no_harm(
    folder: Path,
    name: str,
    changes: list[tuple[float, int]],
    share: float,
) -> None:
    data = bytearray((FOLDER / name).read_bytes())
    for place, value in changes:  # More often in the header, which sizes everything.
        data[min(int(place**2 * len(data)), len(data) - 1)] = value
    path = folder / "damaged.bin"
    path.unlink(missing_ok=True)  # One of them may still be mapped.
    path.write_bytes(data[: max(int(share * len(data)), len(MAGIC))])
    with np.errstate(all="ignore"):  # Its numbers may be any.
        try:
            model = read_hashed(path)
        except ThenceError:
            return
        try:
            model.score(model.begin, " ".join(WORDS).encode(), 1)
            model.words_of(model.begin, " ".join(WORDS).encode(), 1)
            model.step(model.begin, b"cat", Context(), None)
        except ValueError as error:
            assert "does not fit" in str(error)
