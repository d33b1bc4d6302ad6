"""What comes out: written, read again whatever stands in the file, and drawn."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from thence.autopilot import Best, Tried, read_best
from thence.autopilot.result import RESULT, about_rows, tried_rows
from thence.errors import RunError
from thence.reports.best import best_html, charts
from thence.reports.content import Chart
from thence.reports.markup import to_html


def tried(name: str, ended: float, so_far: float, curve: bool = False, **more: Any) -> Tried:
    looks = ((ended - 0.5, so_far + 1),) if curve else ()
    return Tried(name, "ngram", {"order": 3}, ended - 1, 1.0, so_far, so_far, curve=looks, **more)


COUNTS = [tried("ngram 2", 1.5, 3.0), tried("ngram 3", 2.0, 2.5)]
NETWORKS = [tried("mlp 64", 4.0, 2.25, curve=True), tried("gru 64", 8.0, 2.0, curve=True)]


def made(folder: Path, **changes: Any) -> Best:
    best = Best(folder, "token", "12 documents", 10.0, None, 9.0, False, 2.0)
    changes["tried"] = tuple(changes.get("tried", [*COUNTS, *NETWORKS]))
    return replace(best, **changes)


def test_a_result_is_read_as_it_was_written(tmp_path: Path) -> None:
    whole = made(tmp_path, tried=[*COUNTS, replace(NETWORKS[0], weight=0.5, settings={"a": "b"})])
    whole.save()
    assert read_best(tmp_path) == whole
    labels = made(tmp_path, unit="document", limit=None, steps=30, accuracy=0.5, interrupted=True)
    labels = replace(labels, interval=(0.25, 0.75))
    labels.save()
    assert read_best(tmp_path) == labels


def test_the_page_has_the_interval_and_samples(tmp_path: Path) -> None:
    page = best_html(replace(made(tmp_path), interval=(1.9, 2.1)), ["anna<", ""])
    said = "2.0000 nats (2.8854 bits) per token on dev (95 % interval 1.9000 to 2.1000 nats)"
    assert said in page
    assert "anna&lt;" in page
    assert ">Samples<" not in best_html(made(tmp_path))


def test_that_models_were_chosen_on_dev_is_said(tmp_path: Path) -> None:
    whole = made(tmp_path)
    words = (
        "chosen on dev among 4 models, with weights from dev: expect the test number to be worse"
    )
    assert ("", words) in about_rows(whole)
    assert whole.to_json()["chosen_on_dev"] == words
    assert words in best_html(whole)
    more = f"{words}; fitted again to train and dev since: judge it by test"
    assert ("", more) in about_rows(replace(whole, refit=True))


def test_how_many_targets_are_unknown_is_said(tmp_path: Path) -> None:
    known, unknown = made(tmp_path, unknown_share=0.004), made(tmp_path, unknown_share=0.5)
    assert "unknown on dev" not in dict(about_rows(known))
    assert dict(about_rows(unknown))["unknown on dev"].startswith("50.0% of the targets")
    assert "50.0% of the targets" in best_html(unknown)


def test_an_infinite_loss_is_null_in_strict_json(tmp_path: Path) -> None:
    cache = replace(COUNTS[0], nats=math.inf)
    whole = made(tmp_path, tried=[cache, *COUNTS])
    whole.save()
    content = json.loads((tmp_path / RESULT).read_text(), parse_constant=pytest.fail)
    assert content["tried"][0]["nats"] is None
    json.dumps(whole.to_json(), allow_nan=False)
    assert read_best(tmp_path) == whole
    assert tried_rows(whole)[0][2] == "inf"


def test_the_outlook_by_hand(tmp_path: Path) -> None:
    # Beyond the counts the networks brought 2.5 - 2.0; each doubling of 10 s a quarter of that.
    (twice, then), (five_times, later) = made(tmp_path).outlook()
    assert (twice, five_times) == (20.0, 50.0)
    assert then == pytest.approx(2.0 - 0.125)
    assert later == pytest.approx(2.0 - 0.125 * math.log2(5))


@pytest.mark.parametrize(
    "changes",
    [
        {"tried": COUNTS},
        {"tried": NETWORKS},
        {"limit": None, "steps": 5},
        {"unit": "document", "accuracy": 0.5},
    ],
)
def test_nothing_is_said_of_more_time_without_grounds(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    best = made(tmp_path, **changes)
    assert best.outlook() == []
    assert "likely" not in str(about_rows(best))


def test_rows_say_what_was_dropped_and_how_it_ended(tmp_path: Path) -> None:
    best = made(tmp_path, interrupted=True, tried=[replace(COUNTS[0], weight=0.25), COUNTS[1]])
    assert [row[-1] for row in tried_rows(best)] == ["0.25", "dropped"]
    assert dict(about_rows(best))["took"] == "9.0 s of 10.0 s, broken off"


def change(**changes: Any) -> Any:
    def put(content: dict[str, Any]) -> None:
        content.update(changes)

    return put


def change_first(**changes: Any) -> Any:
    def put(content: dict[str, Any]) -> None:
        content["tried"][0].update(changes)

    return put


ODD = {
    "nats": change(nats="x"),
    "nats null": change(nats=None),
    "no time": change(seconds=0),
    "nats list": change(nats=[1]),
    "nats beyond": change(nats=1e300),
    "not a number": change(nats=math.nan),
    "unit": change(unit="<b>"),
    "none tried": change(tried=[]),
    "tried no list": change(tried=3),
    "a model no table": change(tried=["x"]),
    "format": change(format=2),
    "steps": change(steps="many"),
    "seconds": change(seconds=None),
    "began": change_first(began="x"),
    "accuracy": change_first(accuracy=[]),
    "settings": change_first(settings="x"),
    "curve": change_first(curve=[[1]]),
    "curve words": change_first(curve=[["a", "b"]]),
    "more digits": change_first(seconds=10**400),
}


@pytest.mark.parametrize("put", ODD.values(), ids=ODD)
def test_an_odd_result_is_refused(tmp_path: Path, put: Any) -> None:
    made(tmp_path).save()
    path = tmp_path / RESULT
    content = json.loads(path.read_text())
    put(content)
    path.write_text(json.dumps(content))
    with pytest.raises(RunError, match=r"best\.json"):
        read_best(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b"{}", b"\xff\xfe", b"[" * 100_000])
def test_a_damaged_result_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / RESULT).write_bytes(content)
    with pytest.raises(RunError, match="damaged"):
        read_best(tmp_path)


def test_a_folder_without_a_result_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not made by thence best"):
        read_best(tmp_path)


def test_names_from_outside_are_no_markup_on_the_page(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>$x_1$&"
    folder = tmp_path / "a<b>&"
    one = replace(NETWORKS[0], name=evil, settings={evil: evil})
    page = best_html(made(folder, text=evil, tried=[one]))
    assert "<script" not in page and page.count("<b>") == page.count("<figcaption")
    assert "&lt;script&gt;" in page


def test_a_page_of_labels_shows_accuracies(tmp_path: Path) -> None:
    several = [replace(one, accuracy=0.8, accuracy_so_far=0.85) for one in (*COUNTS, *NETWORKS)]
    page = best_html(made(tmp_path, unit="document", accuracy=0.85, tried=several))
    assert "80.00%" in page and "an accuracy of 85.00%" in page
    assert "thousandth" not in page


def test_the_page_shows_settings_as_they_are_given(tmp_path: Path) -> None:
    network = replace(NETWORKS[0], settings={"widths": (3, 4), "hidden_sizes": []})
    assert "widths 3 4, hidden_sizes none" in best_html(made(tmp_path, tried=[network]))


def test_no_accuracy_above_one_is_drawn(tmp_path: Path) -> None:
    whole = [replace(one, accuracy=1.0, accuracy_so_far=1.0) for one in COUNTS]
    done = made(tmp_path, unit="document", accuracy=1.0, tried=whole)
    accuracies = charts(done)[0]
    assert isinstance(accuracies, Chart) and accuracies.in_percent
    page = to_html([accuracies])
    assert ">100%<" in page and ">102%<" not in page and ">104%<" not in page
