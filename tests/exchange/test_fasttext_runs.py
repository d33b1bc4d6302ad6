"""Classifiers of fastText as runs: with all commands, and back to a file."""

import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import thence
from thence.corpus import Documents
from thence.errors import RunError, SettingError, TextError, ThenceWarning
from thence.exchange import export, import_model
from thence.models.fasttext.contents import Dictionary, Entries, FastTextModel
from thence.models.fasttext.files import read_fasttext, write_fasttext
from thence.models.fasttext.predictions import word_vectors
from thence.models.labels.fasttext import FastText
from thence.runs import ClassifierRun
from thence.tokens import encode_texts, read_vectors

FILES = Path(__file__).parent / "fasttext_files"
EXPECTED = json.loads((FILES / "expected.json").read_text("utf-8"))
MODELS: dict[str, Any] = EXPECTED["models"]
LINES: list[str] = EXPECTED["lines"]
CLASSIFIERS = [name for name, found in MODELS.items() if "predictions" in found]


def imported(name: str, tmp_path: Path) -> ClassifierRun:
    return ClassifierRun(import_model(FILES / name, tmp_path / "run"))


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_run_classifies_as_fasttext_does(name: str, tmp_path: Path) -> None:
    run = imported(name, tmp_path)
    assert run.classes.multilabel == (name in ("ova.bin", "ns.bin"))
    found = list(thence.classify(run, LINES, top=4))
    for one, (labels, chances) in zip(found, MODELS[name]["predictions"], strict=True):
        for label, chance in zip(labels, chances, strict=True):
            ours = one.probabilities[label.removeprefix("__label__")]
            assert ours == pytest.approx(min(chance, 1), abs=1e-5)
    known = [not one.nothing_known for one in found]
    assert known[0] and not known[LINES.index("")]


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_the_file_comes_back_byte_by_byte(name: str, tmp_path: Path) -> None:
    path = export(imported(name, tmp_path), tmp_path / name)
    assert path.read_bytes() == (FILES / name).read_bytes()


def test_what_an_imported_classifier_is(tmp_path: Path) -> None:
    run = imported("hs.bin", tmp_path)
    assert (run.imported, run.recipe.model) == (True, "fasttext")
    assert run.recipe.text == str(FILES / "hs.bin")
    assert set(run.label_names) == {"de", "en", "ru", "rare"}
    options = run.recipe.options
    assert (options.embedding_size, options.head) == (5, "hs")
    assert (options.shortest_subword, options.longest_subword) == (1, 2)
    assert isinstance(run.classifier, FastText)
    assert {item.name for item in run.folder.iterdir()} == {
        "config.toml",
        "tokenizer.json",
        "model.safetensors",
    }


def test_commands_on_an_imported_classifier(tmp_path: Path) -> None:
    run, other = imported("softmax.bin", tmp_path), tmp_path / "other"
    import_model(FILES / "quantised.ftz", other)
    text = tmp_path / "text.txt"
    text.write_text("__label__en the boat\n__label__de das boot\n__label__ru хлеб и молоко\n" * 4)
    assert thence.evaluate(run, text=text).to_json()["accuracy"] == 1
    assert thence.compare([run, other], text=text)
    explained = thence.explain(run, "zzz das kleine boot")
    assert explained.label == "de" and explained.tokens[0].weight < explained.tokens[1].weight
    similar = thence.similar(run, "boat", count=3)
    assert len(similar.words) == 3 and similar.words[0][1] > 0.9
    assert thence.export(run, tmp_path / "words.vec").exists()


def test_vectors_of_words_become_a_file(tmp_path: Path) -> None:
    path = import_model(FILES / "cbow.bin", tmp_path / "words.vec")
    assert path == tmp_path / "words.vec"
    found = read_vectors(path, ["boat", "möwen", "</s>"])
    assert found.found.tolist() == [True, True, False]
    theirs = [MODELS["cbow.bin"]["words"][word] for word in ("boat", "möwen")]
    assert found.matrix[:2] == pytest.approx(np.array(theirs), abs=1e-6)
    with pytest.raises(RunError, match="exists already"):
        import_model(FILES / "cbow.bin", tmp_path / "words.vec")


def test_similar_words_of_a_file() -> None:
    path = FILES / "cbow.bin"
    found = thence.similar(path, "boat", count=3)
    model = read_fasttext(path)
    words = model.dictionary.words.names()
    vectors = word_vectors(model, words)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = vectors @ vectors[words.index("boat")]
    best = [words[place] for place in np.argsort(-cosines) if words[place] != "boat"][:3]
    assert [word for word, _ in found.words] == best
    assert found.words[0][1] == pytest.approx(np.sort(cosines)[-2], abs=1e-6)
    assert len(thence.similar(path, "boats").words) == 10  # It is no word of the file.
    with pytest.raises(SettingError, match=r"no vector for 'boats'.* Did you mean 'boat'"):
        thence.similar(FILES / "skipgram.bin", "boats")


def with_labels(labels: Sequence[str | bytes], name: str = "plain.bin") -> FastTextModel:
    model = read_fasttext(FILES / name)
    entries = Entries.of(labels, model.dictionary.labels.counts)
    dictionary = Dictionary(model.dictionary.words, entries, model.dictionary.num_tokens)
    return FastTextModel(model.arguments, dictionary, model.input, model.output)


def test_labels_with_another_mark_stay_as_they_are(tmp_path: Path) -> None:
    names = ["#a", "#b", "__label__c", "d"]
    write_fasttext(with_labels(names), tmp_path / "a.bin")
    run = ClassifierRun(import_model(tmp_path / "a.bin", tmp_path / "run"))
    assert run.label_names == tuple(names)
    again = export(run, tmp_path / "b.bin")
    assert again.read_bytes() == (tmp_path / "a.bin").read_bytes()


def test_labels_that_cannot_be_told_apart_are_refused(tmp_path: Path) -> None:
    write_fasttext(with_labels([b"__label__\xff", b"__label__\xfe", "a", "b"]), tmp_path / "a.bin")
    with pytest.raises(TextError, match="two labels of one name"):
        import_model(tmp_path / "a.bin", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    data = bytearray((FILES / "plain.bin").read_bytes())
    data[-4:] = struct.pack("<f", np.nan)
    (tmp_path / "a.bin").write_bytes(data)
    with pytest.raises(TextError, match="no finite number"):
        import_model(tmp_path / "a.bin", tmp_path / "run")


def test_other_runs_are_no_files_of_fasttext(tmp_path: Path) -> None:
    run = thence.train(["a", "b"], "ngram", output=tmp_path / "run", split="100/0/0")
    with pytest.raises(RunError, match="as fastText hashes them"):
        export(run, tmp_path / "a.bin", "fasttext")


TENSORS = {
    "columns": np.array([0, 0, 1, 2]),
    "words.offsets": np.arange(82)[::-1].copy(),
    "words.counts": np.zeros(3, np.int64),
    "labels": np.zeros(3, np.uint8),
    "settings": np.zeros(5),
    "input": np.zeros((82, 5), np.float32),
    "output": np.full((4, 5), np.inf, np.float32),
    "num_tokens": np.zeros(2, np.int64),
    "pruned": np.zeros((2, 3), np.int32),
    "more": np.zeros(3),
}


@pytest.mark.parametrize("name", TENSORS)
def test_arrays_that_do_not_fit_are_refused(name: str, tmp_path: Path) -> None:
    classifier = imported("softmax.bin", tmp_path).classifier
    tensors = classifier.tensors()
    classifier.load_tensors(tensors)
    with pytest.raises(ValueError, match=r"\w"):
        classifier.load_tensors({**tensors, name: TENSORS[name]})
    if name in tensors:
        with pytest.raises((ValueError, KeyError)):
            classifier.load_tensors({key: tensors[key] for key in tensors if key != name})


def test_lower_case_is_told_in_an_export(tmp_path: Path) -> None:
    run = imported("plain.bin", tmp_path)
    object.__setattr__(run.recipe.tokens, "lowercase", True)
    with pytest.warns(ThenceWarning, match="`lowercase`, which fastText does not do"):
        export(run, tmp_path / "a.bin")


@pytest.mark.parametrize("name", ["pruned.ftz", "quantised.ftz", "softmax.bin"])
def test_any_numbers_in_the_arrays_do_no_harm(name: str, tmp_path: Path) -> None:
    """They are refused, or there is an answer: a run may come from anyone."""
    run = imported(name, tmp_path)
    classifier, texts = run.classifier, encode_texts(run.tokenizer, Documents.from_strings(LINES))
    tensors, drawn = classifier.tensors(), np.random.default_rng(1)
    for _ in range(100):
        changed = dict(tensors)
        for key in drawn.choice(sorted(tensors), drawn.integers(1, 3), replace=False):
            value = changed[key].copy()
            flat, place = value.reshape(-1), drawn.integers(0, value.size)
            with np.errstate(all="ignore"):
                number = drawn.choice(np.array([0, -1, 1, 255, 2**31 - 1, 2**62]))
                flat[place : place + 2] = number.astype(value.dtype)
            changed[key] = value if drawn.random() < 0.8 else value[: len(value) // 2]
        try:
            classifier.load_tensors(changed)
        except ValueError:
            continue
        assert np.isfinite(classifier.classify(texts)).all()
