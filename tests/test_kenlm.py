"""The drop-in for KenLM's module: its objects, how they are copied and kept, what is refused."""

import contextlib
import copy
import importlib
import pickle
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thence import kenlm
from thence.errors import SettingError
from thence.exchange import export
from thence.models.ngram.hashed import HashTable
from thence.training import train

FOLDER = Path(__file__).parent / "exchange" / "kenlm"
TEXT = "the cat sat\nthe cat ran off\na dog sat\nthe dog sat on the cat\na cat ran\n" * 3


@pytest.fixture(scope="module")
def model() -> kenlm.Model:
    return kenlm.Model(str(FOLDER / "probing.bin"))


def follow(model: kenlm.Model, text: str) -> tuple[kenlm.State, float]:
    """Return the state after a text that begins a sentence, and its score."""
    state, after, total = kenlm.State(), kenlm.State(), 0.0
    model.BeginSentenceWrite(state)
    for word in text.split():
        total += model.BaseScore(state, word, after)
        state, after = after, state
    return state, total


def test_a_sentence_and_its_words(model: kenlm.Model) -> None:
    words = list(model.full_scores("the zebra sat"))
    assert [word[2] for word in words] == [False, True, False, False]
    assert sum(word[0] for word in words) == pytest.approx(model.score("the zebra sat"))
    _, total = follow(model, "the zebra sat")
    assert total == pytest.approx(model.score("the zebra sat", eos=False))
    assert model.score(b"the zebra\tsat\n") == model.score("the zebra sat")
    assert model.score("the cat\0 sat") == model.score("the cat")
    # Four targets: three words and the end.
    assert model.perplexity("the zebra sat") == pytest.approx(
        10 ** (-model.score("the zebra sat") / 4)
    )


def test_what_a_model_is(model: kenlm.Model) -> None:
    assert model.order == 4
    assert model.path == str(FOLDER / "probing.bin").encode()
    assert repr(model) == "<Model from b'probing.bin'>"
    assert "cat" in model
    assert b"cat" in model
    assert "zebra" not in model
    again = pickle.loads(pickle.dumps(model))
    assert again.score("the cat") == model.score("the cat")
    assert isinstance(kenlm.LanguageModel(str(FOLDER / "trie.bin")), kenlm.Model)
    config = kenlm.Config()
    config.load_method = kenlm.LoadMethod.LAZY
    config.arpa_complain = kenlm.ARPALoadComplain.NONE
    config.show_progress = False
    assert kenlm.Model(FOLDER / "model.arpa", config).order == 4


def test_states(model: kenlm.Model) -> None:
    one, _ = follow(model, "the cat sat")
    assert follow(model, "a zebra the cat sat")[0] == one  # No n-gram goes on after "the cat sat".
    assert follow(model, "the dog")[0] != one
    state, _ = follow(model, "zebra zebra zebra")
    assert hash(state) == hash(follow(model, "zebra")[0])
    assert state == follow(model, "zebra")[0]
    assert state < one
    assert one >= state
    assert sorted([one, state])[0] is state
    assert one != 3
    with pytest.raises(TypeError):
        _ = one < 3  # type: ignore[operator]
    for same in (copy.copy(one), copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
        assert same == one
        assert model.BaseScore(same, "on", kenlm.State()) == model.BaseScore(
            one, "on", kenlm.State()
        )
    model.NullContextWrite(one)
    assert one == kenlm.State()
    full = model.BaseFullScore(kenlm.State(), "zebra", state)
    assert (full.ngram_length, full.oov) == (1, True)
    assert repr(full) == f"FullScoreReturn({full.log_prob!r}, 1, True)"


def test_a_state_of_another_model_is_checked(model: kenlm.Model, tmp_path: Path) -> None:
    path = tmp_path / "small.arpa"
    path.write_text(
        "\\data\\\nngram 1=3\nngram 2=1\n\n\\1-grams:\n-9\t<s>\t-1\n-1\t</s>\n-1\tone\t-.5\n\n"
        "\\2-grams:\n-.1\t<s> one\n\n\\end\\\n"
    )
    small, state = kenlm.Model(path), follow(model, "the cat sat")[0]
    with pytest.raises(ValueError, match="context"):
        small.BaseScore(state, "one", kenlm.State())
    state.length = -3  # As a pickle of a stranger may say.
    for ask in (small.BaseScore, small.BaseFullScore):
        with pytest.raises(ValueError, match="context"):
            ask(state, "one", kenlm.State())
    # log10 p(one | <s>) = -0.1; after it p(</s>) = -1 with the weight -0.5 of "one".
    assert small.score("one") == pytest.approx(-0.1 - 0.5 - 1)
    # An unknown word has -100, and <s> the weight -1; nothing is known after it.
    assert small.score("two") == pytest.approx(-1 - 100 - 1)


def test_several_threads_ask_at_once(model: kenlm.Model) -> None:
    texts = ["the cat sat on the mat", "a dog ran off", "zebra the dog"]
    wrong: list[list[float]] = []
    expected = [follow(model, text)[1] for text in texts]
    shared = kenlm.Model(str(FOLDER / "trie.bin"))

    def ask() -> None:
        found = [[follow(shared, text)[1] for text in texts] for _ in range(50)]
        wrong.extend(some for some in found if some != expected)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_run_is_asked_as_the_file_it_exports(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(TEXT)
    run = train(
        tmp_path / "text.txt", output=tmp_path / "run", model="ngram", order=3, tokens="words",
        split="70/30/0",
    )  # fmt: skip
    file = kenlm.Model(export(run, tmp_path / "a.arpa"))
    model = kenlm.Model(str(run.folder))
    for text in ("the cat sat", "a zebra ran", "", "</s> cat <s> dog"):
        assert model.score(text) == pytest.approx(file.score(text), abs=1e-5)
        assert [word[1:] for word in model.full_scores(text)] == [
            word[1:] for word in file.full_scores(text)
        ]
    binary = export(run, tmp_path / "a.bin", to="kenlm")
    models = [kenlm.Model(binary)]
    with contextlib.suppress(ImportError):  # KenLM reads it too, where it is installed.
        models.append(importlib.import_module("kenlm").Model(str(binary)))
    for text in ("the cat sat", "a zebra ran", "", "</s> cat <s> dog"):
        for one in models:
            assert list(one.full_scores(text)) == list(model.full_scores(text))
    other = train(
        tmp_path / "text.txt", output=tmp_path / "other", model="ngram", order=2,
        smoothing="stupid-backoff", split="70/30/0",
    )  # fmt: skip
    with pytest.raises(OSError, match="stupid-backoff"):
        kenlm.Model(other.folder)
    single = train(tmp_path / "text.txt", output=tmp_path / "single", model="ngram", order=1)
    with pytest.raises(SettingError, match="order 1"):
        export(single, tmp_path / "b.bin", to="kenlm")
    # A unigram model has no contexts; its symbols here are the characters.
    assert kenlm.Model(single.folder).score("t h e") < 0


@given(st.sets(st.integers(1, (1 << 64) - 1), max_size=40))
def test_a_hash_table_of_as_many_slots_as_buckets(keys: set[int]) -> None:
    array = np.array(sorted(keys), np.uint64)
    table = HashTable.of(array, value=np.arange(len(array), dtype=np.uint32))
    closed = HashTable(table.closed(), table.buckets, table.stride)
    assert len(closed.slots) == closed.buckets * closed.stride
    for one in (table, closed):
        assert one.count == len(keys)
        values = [one.number("<I", one.find(key) or 0) for key in array.tolist()]
        assert values == list(range(len(array)))
        assert (one.numbers(array) >= 0).all()
        assert one.find(next(key for key in range(1, 99) if key not in keys)) is None


def test_what_is_refused(model: kenlm.Model, tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"Cannot read model 'none\.arpa'"):
        kenlm.Model("none.arpa")
    with pytest.raises(TypeError, match="Cannot convert"):
        kenlm.Model(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="Cannot convert"):
        model.score(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="'str'"):
        model.BaseScore(kenlm.State(), b"the", kenlm.State())  # type: ignore[arg-type]
    lines = (FOLDER / "model.arpa").read_text()
    (tmp_path / "a.arpa").write_text(lines.replace("\t<s>\t", "\t<t>\t", 1).replace("<s>", "<t>"))
    with pytest.raises(OSError, match="<s> is not among the 1-grams"):
        kenlm.Model(tmp_path / "a.arpa")
