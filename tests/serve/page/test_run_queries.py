"""What the page asks of whole runs: the numbers are those of the library."""

import shutil

import numpy as np
import pytest

import thence
from thence.evaluation.baselines import baselines
from thence.evaluation.disagreements import disagreements
from thence.results import json_value
from thence.serve.routes.replay import MAX_TEXT


def test_a_score_has_the_interval_of_evaluate(server, runs_folder):
    found = server.ask("/playground/dev-score?run=names")
    report = thence.evaluate(runs_folder / "names")
    assert (found["score"], found["documents"]) == (report.nats_per_token, report.documents)
    assert [found["low"], found["high"]] == json_value(report.interval)  # Too little text: none.
    labels = server.ask("/playground/dev-score?run=opinions")
    report = thence.evaluate(runs_folder / "opinions")
    assert labels["score"] == report.accuracy
    assert (labels["low"], labels["high"]) == pytest.approx(report.accuracy_interval)


def test_baselines_and_samples_are_those_of_the_library(server, runs_folder):
    run = thence.Run(runs_folder / "names")
    assert server.ask("/playground/baselines?run=names") == baselines(run).to_json()
    found = server.ask("/playground/samples?run=names&seed=3&count=4")
    assert found["texts"] == list(thence.sample(run, 4, seed=3, max_length=120))
    assert "classifier" in server.refusal("/playground/samples?run=opinions")


def test_runs_are_compared_as_compare_does(server, runs_folder):
    names = ["counts", "names"]
    found = server.ask("/playground/compare", {"runs": names})
    runs = [thence.Run(runs_folder / name) for name in names]
    expected = thence.compare(runs)
    assert [names[row["place"]] for row in found["runs"]] == [row.run for row in expected.runs]
    assert found["runs"][0]["difference"] is None
    assert found["runs"][1]["difference"] == json_value(expected.runs[1].difference)
    apart = [document["text"] for document in found["disagreements"]]
    assert apart == [document.text for document in disagreements(runs)]
    assert str(runs_folder.parent) not in str(found)


def test_what_cannot_be_compared_is_refused_without_paths(server, runs_folder):
    said = server.refusal("/playground/compare", {"runs": ["names", "sentences"]})
    assert "different dev splits" in said
    assert "has an unusable config" in server.refusal("/playground/dev-score?run=damaged")
    text = runs_folder.parent / "texts" / "names.txt"
    kept = text.read_bytes()
    try:
        text.write_text("Ann\nOtto\n" * 20 + "")
        said = server.refusal("/playground/compare", {"runs": ["counts", "closed"]})
        assert "has changed since" in said and str(runs_folder.parent) not in said
    finally:
        text.write_bytes(kept)


def test_a_replay_is_what_each_snapshot_says(server, runs_folder):
    run = thence.Run(runs_folder / "names")
    found = server.ask("/playground/replay?run=names&seed=3&count=4")
    assert found["steps"] == [step for step, _ in run.snapshots] and len(found["steps"]) > 3
    for (_, snapshot), texts in zip(run.snapshots, found["samples"], strict=True):
        assert texts == list(thence.sample(snapshot, 4, seed=3, max_length=80))
    points = found["embeddings"]["points"]
    assert len(points) == len(found["steps"]) and points[0] != points[-1]
    view = found["views"][0]
    read = server.ask("/playground/replay", {"run": "names", "text": "Maria", "view": view})
    for (_, snapshot), bits in zip(run.snapshots, read["bits"], strict=True):
        assert bits == pytest.approx(
            [t.bits for t in thence.look(snapshot, "Maria").tokens], abs=1e-3
        )
    assert (read["names"], read["matrix"]) == (["embedding", "layer 1"], "layer 1")
    assert np.array(read["values"]).shape == (len(found["steps"]), 5, 16)


def test_what_cannot_be_replayed_says_why(server):
    assert "--snapshots" in server.refusal("/playground/replay?run=sentences")
    assert "classifier" in server.refusal("/playground/replay?run=opinions")
    wrong = {"run": "names", "text": "M", "view": "gates"}
    assert "cannot show 'gates'" in server.refusal("/playground/replay", wrong)
    long = {"run": "names", "text": "M" * (MAX_TEXT + 1)}
    server.refusal("/playground/replay", long)


def test_answers_follow_the_files(start_server, runs_folder, tmp_path):
    shutil.copytree(runs_folder / "counts", tmp_path / "again")
    with start_server("names", folders=[tmp_path]) as started:
        first = started.ask("/playground/dev-score?run=again")
        (tmp_path / "again" / "model.safetensors").unlink()
        assert "no weights yet" in started.refusal("/playground/dev-score?run=again")
    assert first["score"] > 0
