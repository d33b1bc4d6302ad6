"""Binary files of KenLM: its numbers to the bit, what is imported, what is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thence import kenlm
from thence.errors import TextError, ThenceWarning
from thence.exchange import import_arpa
from thence.exchange.arpa_reader import arpa_sections, read_arpa
from thence.exchange.kenlm_file import Trie, read_kenlm, read_ngrams
from thence.models.ngram.hashed import murmur

FOLDER = Path(__file__).parent / "kenlm"
EXACT = ["model.arpa", "probing.bin", "rest.bin", "trie.bin", "array.bin", "no-words.bin"]
OTHERS = ["quantised.bin", "quantised-array.bin", "all-in-arrays.bin"]
SENTENCES = [
    "the cat sat on the mat", "the dog ran off a cat", "", "zebra </s> the <s> cat",
    "die Katze saß der Matte", "dog sat on the",
]  # fmt: skip
EXPECTED = {
    "exact": [-1.655215382576, -5.393556118011, -1.297472476959, -6.934905052185, -5.415921688080,
              -4.911752223969],
    "quantised.bin": [-1.694796085358, -5.517870903015, -1.297472476959, -6.948651790619,
                      -5.174354553223, -4.898610115051],
    "quantised-array.bin": [-1.626963496208, -5.440390110016, -1.297472476959, -6.934905052185,
                            -5.415921688080, -4.907693862915],
    "all-in-arrays.bin": [-3.468008518219, -6.198102950950, -1.156706690788, -6.435452461243,
                          -4.180500030518, -4.700669288635],
}  # fmt: skip
"""What KenLM's module says of the sentences."""
WORDS = [
    "the",
    "cat",
    "dog",
    "sat",
    "ran",
    "off",
    "on",
    "mat",
    "a",
    "and",
    "Katze",
    "saß",
    "<s>",
    "</s>",
    "<unk>",
    "<UNK>",
    "zebra",
]
Pairs = list[tuple[Any, kenlm.Model]]
TEXTS = st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join)


@pytest.mark.parametrize("name", EXACT + OTHERS)
def test_scores_are_those_of_kenlm(name: str) -> None:
    model = kenlm.Model(str(FOLDER / name))
    expected = EXPECTED["exact" if name in EXACT else name]
    assert [model.score(text) for text in SENTENCES] == pytest.approx(expected, abs=1e-9)
    assert model.order == 4


@pytest.fixture(scope="module")
def pairs() -> Pairs:
    """The models of KenLM's module, where it is installed, and ours."""
    theirs = pytest.importorskip("kenlm")
    paths = [str(FOLDER / name) for name in EXACT + OTHERS]
    return [(theirs.Model(path), kenlm.Model(path)) for path in paths]


@given(TEXTS, st.booleans(), st.booleans())
def test_the_module_says_the_same(pairs: Pairs, text: str, bos: bool, eos: bool) -> None:
    for theirs, ours in pairs:
        assert ours.score(text, bos, eos) == theirs.score(text, bos, eos)
        assert list(ours.full_scores(text, bos, eos)) == list(theirs.full_scores(text, bos, eos))
        assert ours.perplexity(text) == theirs.perplexity(text)


@given(st.lists(st.sampled_from(WORDS), max_size=8), st.lists(st.sampled_from(WORDS), max_size=8))
def test_states_compare_alike(pairs: Pairs, one: list[str], other: list[str]) -> None:
    module = pytest.importorskip("kenlm")
    for theirs, ours in pairs:
        ends = []
        for library, model in ((module, theirs), (kenlm, ours)):
            found = []
            for words in (one, other):
                state, after = library.State(), library.State()
                model.BeginSentenceWrite(state)
                for word in words:
                    full = model.BaseFullScore(state, word, after)
                    found.append((full.log_prob, full.ngram_length, full.oov))
                    assert model.BaseScore(state, word, after) == full.log_prob
                    state, after = after, state
                ends.append(state)
            ends.append(found)
        (a, b, numbers, c, d, same_numbers) = ends
        assert numbers == same_numbers
        assert (a == b, a < b, a > b, a <= b) == (c == d, c < d, c > d, c <= d)


def test_a_hash_worked_out_by_hand() -> None:
    assert murmur(b"") == 0  # The seed 0 times anything is 0.
    trie = read_kenlm(FOLDER / "trie.bin")
    assert isinstance(trie, Trie)
    assert murmur("saß".encode()) in trie.hashes


def test_a_trie_is_imported_like_its_arpa_file(tmp_path: Path) -> None:
    path = FOLDER / "trie.bin"
    found, listed = read_ngrams(path), read_arpa(FOLDER / "model.arpa")
    assert set(found.symbols) == set(listed.symbols)
    with pytest.warns(ThenceWarning, match="below it"):  # What was left out is not made up for.
        run = import_arpa(path, tmp_path / "run")
    with pytest.warns(ThenceWarning, match="below it"):
        same = import_arpa(FOLDER / "model.arpa", tmp_path / "same")
    scores = [one.model.score(one.tokenizer.encode(SENTENCES[:3])) for one in (run, same)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-6)
    assert kenlm.Model(run.folder).score(SENTENCES[0]) == pytest.approx(EXPECTED["exact"][0])


def test_missing_endings_get_what_backing_off_gives() -> None:
    with arpa_sections(FOLDER / "model.arpa") as sections:
        words, orders = sections.words, list(sections.orders)
    listed = {
        tuple(words[place] for place in row): (log_prob, backoff)
        for order in orders
        for row, log_prob, backoff in zip(
            order.places.tolist(), order.log_probs, order.backoffs, strict=True
        )
    }
    assert (b"cat", b"</s>") not in listed
    assert (b"the", b"cat", b"</s>") not in listed
    found = list(kenlm.Model(str(FOLDER / "model.arpa")).full_scores("a cat", bos=False))[-1]
    # No n-gram of three words ends so: p(</s> | cat) = backoff(cat) p(</s>).
    by_hand = listed[b"cat",][1] + listed[b"</s>",][0] + listed[b"a", b"cat"][1]
    assert found[0] == pytest.approx(by_hand, abs=1e-6)
    assert found[1] == 2  # Added, so it counts as found, as with KenLM.


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: data.replace(b"version 5", b"version 4"), "format version 4"),
        (lambda data: b"mmap lm http://kheafield.com/code incomplete\n" + data[45:], "finished"),
        (lambda data: data[:40], "format version"),
        (lambda data: data[:90], "format version"),
        (lambda data: data[:300], "cut short|more n-grams"),
        (lambda data: data[:60] + data[64:68] + data[64:], "another kind of machine"),
        (lambda data: data[:88] + b"\x65" + data[89:], "order 101"),
        (lambda data: data[:96] + b"\x06" + data[97:], "kind 6"),
        (lambda data: data[:104] + b"\x07" + data[105:], "version 7"),
        (lambda data: data[:92] + b"\0\0\xc0\x7f" + data[96:], "damaged"),
        (lambda data: data[:115] + b"\x7f" + data[116:], "more n-grams than fit"),
    ],
)
@pytest.mark.parametrize("name", ["probing.bin", "trie.bin"])
def test_what_cannot_be_read_says_why(
    name: str, change: Callable[[bytes], bytes], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "broken.bin"
    path.write_bytes(change((FOLDER / name).read_bytes()))
    with pytest.raises(TextError, match=said):
        read_kenlm(path)
    with pytest.raises(OSError, match="Cannot read model"):
        kenlm.Model(str(path))


def test_what_holds_no_words_is_not_imported(tmp_path: Path) -> None:
    with pytest.raises(TextError, match="hash table of KenLM"):
        import_arpa(FOLDER / "probing.bin", tmp_path / "run")
    with pytest.raises(TextError, match="without its words"):
        import_arpa(FOLDER / "no-words.bin", tmp_path / "run")
    data = (FOLDER / "trie.bin").read_bytes()
    (tmp_path / "swapped.bin").write_bytes(data.replace(b"\0mat\0", b"\0cat\0"))
    with pytest.raises(TextError, match="not those of the vocabulary"):
        read_ngrams(tmp_path / "swapped.bin")
    assert not (tmp_path / "run").exists()
