"""The table of all runs and their curves, also of those that are damaged or in training."""

import functools
import json
import shutil
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

import thence
from thence.cli.main import main
from thence.locks import locked
from thence.runs.metrics import append_json_line
from thence.serve import open_runs, serve
from thence.serve.routes.runs import MAX_POINTS, curves_of
from thence.serve.run_listing import RunListing


def entries_of(listing):
    """Return what is listed once all parameters are counted: one listing may lack the time."""
    while any(entry.counting for entry in listing.entries().runs):
        pass
    return {entry.name: entry for entry in listing.entries().runs}


@pytest.mark.slow
def test_all_runs_are_listed_with_what_is_known_of_them(server, runs_folder):
    runs = {run["name"]: run for run in server.ask("/playground/runs")["runs"]}
    assert "no run" not in runs and ".hidden" not in runs
    names, metrics = runs["names"], thence.Run(runs_folder / "names").metrics()
    best = min(look["dev_nats_per_token"] for look in metrics)
    assert (names["kind"], names["family"], names["tokens"]) == (
        "language model",
        "mlp",
        "characters",
    )
    assert names["nats_per_token"] == best
    assert names["parameters"] == thence.Run(runs_folder / "names").num_parameters
    assert names["state"] == "finished" and names["served"]
    opinions = runs["opinions"]
    assert opinions["accuracy"] is not None and opinions["perplexity"] is None
    assert runs["damaged"]["state"] == "unreadable"
    assert "unusable config" in runs["damaged"]["problem"]


def test_the_curves_of_a_run_are_its_metrics(server, runs_folder):
    curves = server.ask("/playground/curves?run=names")
    points = thence.Run(runs_folder / "names").curve()
    assert [look["train"] for look in curves["looks"]] == [
        point["train_nats_per_token"] for point in points
    ]
    assert curves["looks"][-1]["dev"] == points[-1]["dev_nats_per_token"]
    assert curves["looks"][-1]["gradient_norm"] > 0 and curves["total_steps"] == 120
    assert (curves["unit"], curves["state"], curves["left_out"]) == ("token", "finished", 0)
    assert server.ask("/playground/curves?run=opinions")["unit"] == "document"


@pytest.mark.parametrize("name", ["../names", "/etc", "no run", ".hidden", "", "names/../names"])
def test_a_run_is_found_by_name_only(server, name):
    assert "no run" in server.refusal(
        f"/playground/curves?run={name}".replace(" ", "%20"), None, 404
    )


def test_a_damaged_run_says_so(server):
    said = server.refusal("/playground/curves?run=damaged")
    assert "The run damaged has an unusable config" in said
    assert str(server.folder) not in said


def test_a_training_under_way_is_read_while_it_writes(runs_folder, tmp_path):
    shutil.copytree(runs_folder / "names", tmp_path / "live")
    (tmp_path / "live" / "last" / "checkpoint.safetensors").unlink()
    listing = RunListing({}, (tmp_path,))
    with locked(tmp_path / "live"):  # As whoever trains it does.
        assert entries_of(listing)["live"].state == "training"
    assert entries_of(listing)["live"].state == "stopped"  # It was killed: its lock is free.
    before = len(curves_of(listing, "live").looks)
    (tmp_path / "live" / "metrics.jsonl").rename(tmp_path / "metrics.jsonl")
    assert entries_of(listing)["live"].steps == 120  # Before any evaluation, by the curve.
    (tmp_path / "metrics.jsonl").rename(tmp_path / "live" / "metrics.jsonl")
    line = thence.Run(tmp_path / "live").metrics()[-1] | {"step": 900, "dev_nats_per_token": None}
    append_json_line(tmp_path / "live" / "metrics.jsonl", line)
    with (tmp_path / "live" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 901, "dev_')  # The line after it is only half written.
    assert len(curves_of(listing, "live").looks) == before + 1
    assert curves_of(listing, "live").looks[-1].dev is None
    assert entries_of(listing)["live"].steps == 900


def test_very_long_curves_are_thinned(runs_folder, tmp_path):
    shutil.copytree(runs_folder / "counts", tmp_path / "long")
    lines = "".join(f'{{"step": {step}, "seconds": 1.5}}\n' for step in range(3 * MAX_POINTS))
    (tmp_path / "long" / "metrics.jsonl").write_text(lines)
    curves = curves_of(RunListing({}, (tmp_path,)), "long")
    steps = [look.step for look in curves.looks]
    assert len(steps) == MAX_POINTS and steps[0] == 0 and steps[-1] == 3 * MAX_POINTS - 1
    assert curves.left_out == 2 * MAX_POINTS


@pytest.mark.parametrize(
    "content",
    ['{"step": 1', "[]\n", '{"step": "x", "dev_nats_per_token": []}\n', "\x00\xff\n", "{}\n"],
)
def test_strange_metrics_break_nothing(runs_folder, tmp_path, content):
    shutil.copytree(runs_folder / "counts", tmp_path / "strange")
    (tmp_path / "strange" / "metrics.jsonl").write_text(content)
    (tmp_path / "strange" / "model.safetensors").write_bytes(b"broken")
    assert entries_of(RunListing({}, (tmp_path,))).keys() == {"strange"}


def test_the_command_says_whose_runs_are_listed(runs_folder, tmp_path, monkeypatch):
    asked = []

    @functools.wraps(serve)  # The flags are those of its signature.
    def noted(runs, *, folders=(), **given):
        asked.append([Path(folder) for folder in folders])

    monkeypatch.setattr("thence.serve.serve", noted)
    main(["serve", str(runs_folder / "counts"), "--runs", str(tmp_path), "--port", "0"])
    main(["serve", str(runs_folder / "counts"), "--port", "0"])
    assert asked == [[tmp_path], []]


def test_by_default_the_folders_of_the_served_runs_are_listed(start_server):
    with start_server("counts", folders=None) as started:
        names = [run["name"] for run in started.ask("/playground/runs")["runs"]]
    assert names[0] == "counts"
    assert {"names", "sentences"} <= set(names)


def test_runs_of_the_same_name_are_told_apart(runs_folder, tmp_path):
    shutil.copytree(runs_folder / "counts", tmp_path / "more" / "counts")
    shutil.copytree(runs_folder / "counts", tmp_path / "most" / "more" / "counts")
    models = open_runs([runs_folder / "counts"])
    folders = (runs_folder, tmp_path / "more", tmp_path / "most" / "more", tmp_path / "gone")
    paths = RunListing(models, folders).paths()
    assert paths["counts"] == runs_folder / "counts"
    assert paths["more/counts"] == tmp_path / "more" / "counts"
    assert paths["more/counts (2)"] == tmp_path / "most" / "more" / "counts"


def test_a_run_with_damaged_weights_is_unreadable(runs_folder, tmp_path):
    for kind in ("names", "counts"):
        shutil.copytree(runs_folder / kind, tmp_path / kind)
        weights = tmp_path / kind / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-20])
    entries = entries_of(RunListing({}, (tmp_path,)))
    for kind in ("names", "counts"):
        assert entries[kind].state == "unreadable"
        assert "is damaged" in entries[kind].problem
        assert str(tmp_path) not in entries[kind].problem


def test_parameters_are_the_same_number_everywhere(runs_folder):
    listed = entries_of(RunListing({}, (runs_folder,)))
    served = entries_of(RunListing(open_runs([runs_folder / "opinions"]), (runs_folder,)))
    for name in ("names", "counts", "sentences", "opinions"):
        assert listed[name].parameters == thence.Run(runs_folder / name).num_parameters
    assert served["opinions"].parameters == listed["opinions"].parameters


def test_runs_that_may_be_compared_share_a_group(runs_folder):
    groups = {
        name: entry.group for name, entry in entries_of(RunListing({}, (runs_folder,))).items()
    }
    assert groups["names"] == groups["counts"]  # The same text and tokens.
    apart = ("names", "sentences", "running", "bytes", "opinions")
    assert len({groups[name] for name in apart}) == len(apart)


def test_what_happened_to_a_served_run_is_told(runs_folder, tmp_path):
    for name in ("names", "counts"):
        shutil.copytree(runs_folder / name, tmp_path / name)
    listing = RunListing(open_runs([tmp_path / "names", tmp_path / "counts"]), (tmp_path,))
    shutil.rmtree(tmp_path / "names")
    shutil.copy(runs_folder / "sentences" / "tokenizer.json", tmp_path / "counts")
    found = entries_of(listing)
    assert (found["names"].state, found["names"].on_disk) == ("deleted", "deleted")
    assert found["counts"].on_disk == "changed"


def test_a_report_is_served_to_whoever_has_its_address_and_asks_nobody(runs_folder, start_server):
    page = "<!doctype html><script>fetch('/v1/models')</script>"
    (runs_folder / "counts" / "report.html").write_text(page)
    with start_server("counts", token="secret", folders=[runs_folder]) as server:
        [link] = [
            entry.report
            for entry in RunListing(server.models, ()).entries().runs
            if entry.name == "counts"
        ]
        assert link is not None
        with pytest.raises(urllib.error.HTTPError, match="404"):  # The key of another server.
            urllib.request.urlopen(server.address + link)
        request = urllib.request.Request(
            server.address + "/playground/runs", headers={"Authorization": "Bearer secret"}
        )
        with urllib.request.urlopen(request) as answer:
            runs = {run["name"]: run for run in json.load(answer)["runs"]}
        assert runs["names"]["report"] is None
        with urllib.request.urlopen(server.address + runs["counts"]["report"]) as answer:
            assert answer.read().decode() == page
            policies = answer.headers.get_all("Content-Security-Policy")
    assert len(policies) == 1 and policies[0].startswith(
        "sandbox allow-scripts; default-src 'none'"
    )


def test_the_page_of_thence_best_stands_in_for_a_report(runs_folder, tmp_path):
    shutil.copytree(runs_folder / "counts", tmp_path / "counts")
    listing = RunListing({}, (tmp_path,))
    (tmp_path / "counts" / "report.html").unlink(missing_ok=True)
    (tmp_path / "counts" / "best.html").write_text("found")
    link = entries_of(listing)["counts"].report
    assert link is not None
    key = parse_qs(urlsplit(link).query)["key"][0]
    assert listing.report("counts", key) == b"found"
    (tmp_path / "counts" / "report.html").write_text("report")
    assert listing.report("counts", key) == b"report"
