"""The line that says what a run is, without loading its model; and a run's methods."""

import inspect
from collections.abc import Callable
from pathlib import Path

import pytest

import thence
from thence.runs import Run

NAMES = [
    "evaluate",
    "next_tokens",
    "sample",
    "complete",
    "fill",
    "score",
    "rank",
    "similar",
    "classify",
    "explain",
    "plot",
]
NAMES += ["report", "export", "resume"]
SmallTrain = Callable[..., Run]


def test_the_line_says_what_a_run_is(small: SmallTrain) -> None:
    run = Run(small().folder)
    dev = min(look["dev_nats_per_token"] for look in run.metrics())
    beginning = f"Run('{run.folder}': mlp, {thence.Run(run.folder).num_parameters:,} parameters"
    assert repr(run) == f"{beginning}, text.txt, dev {dev:.4f} nats per token, finished)"
    assert not {"model", "tokenizer", "splits"} & {*run.__dict__}


def test_of_counts_the_parameters_are_said_when_they_are_known(small: SmallTrain) -> None:
    run = Run(small(model="bigram-counts").folder)
    assert " parameters," not in repr(run)
    assert run.num_parameters
    assert f"{run.num_parameters:,} parameters" in repr(run)


def test_a_classifier_has_its_accuracy(opinions: Run) -> None:
    assert "averaging, " in repr(opinions) and "dev accuracy 100.00%" in repr(opinions)


def test_a_damaged_run_has_a_line_too(small: SmallTrain) -> None:
    run = small()
    for name in ("model.safetensors", "metrics.jsonl"):
        (run.folder / name).write_bytes(b"\0")
    (run.folder / "last" / "checkpoint.safetensors").unlink()
    assert repr(Run(run.folder)) == f"Run('{run.folder}': mlp, text.txt, not finished)"


@pytest.mark.parametrize(
    ("method", "function"),
    [("next", "next_tokens"), *((name, name) for name in NAMES)],
)
def test_a_method_is_the_function_of_the_package(
    small: SmallTrain, method: str, function: str
) -> None:
    run = small(model="bigram-counts")
    bound = getattr(run, method)
    assert bound.__func__ is getattr(thence, function) is getattr(Run, method)
    assert bound.__self__ is run
    assert len(inspect.signature(bound).parameters) > 0


def test_methods_do_what_the_functions_do(small: SmallTrain, tmp_path: Path) -> None:
    run = small()
    assert run.evaluate().nats == thence.evaluate(run).nats
    assert run.sample(3, seed=2) == thence.sample(run, 3, seed=2)
    assert run.next("ax", 2) == thence.next_tokens(run, "ax", 2)
    assert run.score("axa")[0] == thence.score(run, "axa")[0]
    assert run.report(tmp_path / "report.html").exists()


def test_lists_of_results_are_lists(small: SmallTrain) -> None:
    run = small()
    following = run.next("ax", 3)
    assert [token for token, _ in following] == [token for token, _ in following.tokens]
    assert len(following) == 3 and following[0] == following.tokens[0]
    assert list(run.sample(2))[1] == run.sample(2)[1]
    assert run.complete("a")[0].text.startswith("a")
    assert run.fill("a___a")[0] == run.fill("a___a").fillings[0]
