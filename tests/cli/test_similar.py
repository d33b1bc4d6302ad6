"""thence similar, and thence export to word2vec."""

from pathlib import Path

import pytest

import thence as library

pytestmark = pytest.mark.usefixtures("folder")


def test_similar(thence, topics):
    outcome = thence("similar", topics.folder, "war", "-n", 3)
    expected = library.similar(topics, "war", 3)
    assert (outcome.code, outcome.out, outcome.err) == (0, f"{expected}\n", "")
    found = thence("similar", topics.folder, "war", "--count=3", "--json").json()
    assert found == expected.to_json() and len(found["similar"]) == 3


def test_what_is_not_there_is_a_sentence(thence, topics, trained):
    outcome = thence("similar", topics.folder, "wor")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.endswith(" Did you mean 'war'?\n")
    outcome = thence("similar", trained.counts, "a")
    assert "model 'bigram-counts', which has no embeddings" in outcome.err


def test_vectors_are_exported_where_a_run_is_no_n_gram_model(thence, topics, trained):
    assert thence("export", topics.folder, "words.vec").out == "words.vec\n"
    size = len(topics.tokenizer.vocabulary.symbols)
    assert Path("words.vec").read_text().splitlines()[0] == f"{size} 4"
    assert thence("export", trained.mlp, "letters.vec", "--to", "word2vec").code == 0
    outcome = thence("export", topics.folder, "words.vec")
    assert outcome.err == (
        "thence: words.vec exists already and is left as it is; choose another name.\n"
    )
    outcome = thence("export", topics.folder, "x.pt")
    assert (outcome.code, Path("x.pt").exists()) == (2, False)
    assert "x.pt does not say which format it is to have; name one with --to: arpa, " in outcome.err
    outcome = thence("export", trained.counts, "x.vec")
    assert outcome.code == 2 and "has no embeddings" in outcome.err
    assert not Path("x.vec").exists()
