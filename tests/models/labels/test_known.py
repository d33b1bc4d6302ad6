from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import thence
from thence.corpus import Documents
from thence.evaluation.classify import NOTHING_KNOWN
from thence.models.labels.known import known_of
from thence.tokens import encode_texts

TEXTS = ["a good zzz", "zzz qqq", "good", ""]


def known(run: "thence.Run", texts: list[str]) -> tuple[list[int], list[int], list[bool]]:
    found = known_of(run.classifier, encode_texts(run.tokenizer, Documents.from_strings(texts)))
    return found.tokens.tolist(), found.known_tokens.tolist(), found.nothing.tolist()


def test_tokens_that_train_lacks_are_counted(opinions: "thence.Run") -> None:
    assert known(opinions, TEXTS) == ([3, 2, 1, 0], [2, 0, 1, 0], [False, True, False, True])
    documents = encode_texts(opinions.tokenizer, Documents.from_strings(TEXTS))
    assert known_of(opinions.classifier, documents).unknown_share == pytest.approx(3 / 6)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., "thence.Run"]:
    folder = tmp_path_factory.mktemp("known")
    table = folder / "table.csv"
    table.write_text("text,label\n" + "einmal,de\nzweimal,de\nonce,en\ntwice,en\n" * 10)

    def make(model: str, **settings: object) -> "thence.Run":
        name = f"{model}-{len(list(folder.iterdir()))}"
        return thence.train(table, model, label="label", output=folder / name, **settings)

    return make


def test_runs_of_characters_are_known_though_words_are_not(
    made: Callable[..., "thence.Run"],
) -> None:
    for model in ("linear", "averaging"):
        more = {} if model == "linear" else {"steps": 2, "embedding_size": 2, "threads": 1}
        run = made(model, tokens="words", character_ngrams=(3,), buckets=1 << 16, **more)
        assert known(run, ["dreimal", "жук"]) == ([1, 1], [0, 0], [False, True])


def test_bytes_of_unknown_words_are_unknown(made: Callable[..., "thence.Run"]) -> None:
    run = made("linear", tokens="words", unknown="bytes")
    assert known(run, ["xx", "once"]) == ([3, 1], [0, 1], [True, False])


def test_a_linear_classifier_that_knows_nothing_gives_what_the_labels_say(
    made: Callable[..., "thence.Run"],
) -> None:
    run = made("linear", tokens="words")
    one = next(iter(thence.classify(run, "nie gesehen")))
    assert one.nothing_known and list(one.probabilities.values()) == pytest.approx(
        [0.5, 0.5], abs=0.02
    )
    assert str(one).endswith(f"\n{NOTHING_KNOWN}")
    assert NOTHING_KNOWN in one._repr_html_()
    told = one.to_json()
    assert (told["nothing_known"], told["unknown"]) == (True, 1.0)
    half = next(iter(thence.classify(run, "once gesehen")))
    assert not half.nothing_known and half.unknown_share == 0.5
    assert NOTHING_KNOWN not in str(half) + half._repr_html_()


def test_the_report_counts_documents_of_which_nothing_is_known(
    opinions: "thence.Run", tmp_path: Path
) -> None:
    table = tmp_path / "table.csv"
    table.write_text("text,label\nzzz,pos\na good film,pos\nqqq zzz bad,neg\n")
    report = thence.evaluate(opinions, text=table)
    assert report.nothing_known == 1 and report.unknown_share == pytest.approx(3 / 7)
    assert dict(report.rows())["nothing known in"] == (
        "1 documents, whose labels are guesses; 42.86 % of all tokens are unknown"
    )
    assert report.to_json()["nothing_known"] == 1
    assert "nothing known in" not in dict(thence.evaluate(opinions).rows())


def test_ensembles_know_what_one_member_knows(
    made: Callable[..., "thence.Run"], tmp_path: Path
) -> None:
    members = [
        made("linear", tokens="words").folder,
        made("linear", tokens="words", character_ngrams=(3,), buckets=1 << 16).folder,
    ]
    both = thence.mix(members, tmp_path / "both")
    assert known(both, ["dreimal", "жук"])[2] == [False, True]
    assert np.all(
        known_of(both.classifier, both.texts(both.documents("dev"), "evaluate")).known_tokens == 1
    )
