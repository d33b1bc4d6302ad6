"""The nearest words of a run, checked against cosines worked out here."""

import numpy as np
import pytest

import thence
from thence.errors import RunError, SettingError
from thence.evaluation import embeddings
from thence.evaluation.embeddings import WordEmbeddings, word_embeddings
from thence.tokens import read_vectors


def test_the_nearest_words_of_a_classifier(topics):
    found = thence.similar(topics.folder, "WAR", 3)
    embeddings = word_embeddings(topics)
    rows = dict(zip(embeddings.words, embeddings.matrix, strict=True))
    assert found.word == "war" and len(found.words) == 3

    def cosine(word):
        a, b = rows["war"].astype(float), rows[word].astype(float)
        return a @ b / np.sqrt((a @ a) * (b @ b))

    best = sorted((word for word in rows if word != "war"), key=cosine, reverse=True)[:3]
    assert [word for word, _ in found.words] == best
    assert [value for _, value in found.words] == pytest.approx([cosine(word) for word in best])
    assert len(thence.similar(topics, "war", 10_000).words) == len(rows) - 1


def test_the_nearest_characters_of_a_language_model(sentences):
    found = thence.similar(sentences, "a", 2)
    table = sentences.model.tensors()["network.embedding.weight"]
    words = sentences.tokenizer.vocabulary.symbols
    assert np.array_equal(word_embeddings(sentences).matrix, table[: len(words)])
    assert {word for word, _ in found.words} <= set(words) - {"a"}
    assert str(found).splitlines()[0].endswith(f"  {found.words[0][1]:.4f}")


@pytest.mark.parametrize("word", ["", "waar", "war trade", "<unk>", "<boundary>"])
def test_a_word_without_an_embedding_is_a_sentence(topics, word):
    with pytest.raises(SettingError, match=f"has no embedding for {word!r}"):
        thence.similar(topics, word)


def test_the_nearest_spelling_is_named(topics):
    with pytest.raises(SettingError, match="Did you mean 'trade'"):
        thence.similar(topics, "Tradee")
    with pytest.raises(SettingError, match="`count` is 0"):
        thence.similar(topics, "war", 0)


def test_subwords_and_bytes(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("the cat sat on the mat\nthe mat\na cat\n" * 20)
    small = {"embedding_size": 4, "hidden_size": 4, "steps": 2}
    run = thence.train(text, "gru", output=tmp_path / "s", tokens="subwords", **small)
    assert thence.similar(run, "the", 2).word in ("the", "Ġthe")
    run = thence.train(text, "gru", output=tmp_path / "b", tokens="bytes", **small)
    with pytest.raises(RunError, match="are bytes, not words"):
        thence.similar(run, "a")


def test_a_model_without_embeddings_is_a_sentence(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("ab\nba\n" * 20)
    run = thence.train(text, "ngram", output=tmp_path / "n")
    with pytest.raises(RunError, match="model 'ngram', which has no embeddings"):
        thence.similar(run, "a")


@pytest.mark.parametrize("name", ["vectors.vec", "vectors.vec.gz"])
def test_word_vectors_are_read_back(topics, tmp_path, name):
    path = thence.export(topics, tmp_path / name)
    embeddings = word_embeddings(topics)
    read = read_vectors(path, embeddings.words)
    assert np.array_equal(read.matrix, embeddings.matrix)
    assert read.rows == len(embeddings.words) == len(topics.tokenizer.vocabulary.symbols)


def test_white_space_is_left_out_of_a_file_of_vectors(sentences, tmp_path):
    path = thence.export(sentences, tmp_path / "a.vec", "word2vec")
    words = sentences.tokenizer.vocabulary.symbols
    assert " " in words
    assert read_vectors(path, ["a"]).rows == len(words) - 1


def test_a_space_that_tells_nothing_is_said(small, monkeypatch):
    assert "was read 0 times on average" in small("untrained", steps=0).similar("a").remark
    run = small("trained", steps=300, lr=0.05)
    assert run.similar("a").remark is None
    # One direction, and a little noise: all cosines are close to 1.
    words = word_embeddings(run).words
    matrix = 1 + 0.01 * np.random.default_rng(0).random((len(words), 8))
    monkeypatch.setattr(embeddings, "word_embeddings", lambda run: WordEmbeddings(words, matrix))
    assert "No word is nearer than the others" in run.similar("a").remark
