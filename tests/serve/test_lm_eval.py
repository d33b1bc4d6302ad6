"""EleutherAI's lm-evaluation-harness gives the same bits per byte as ``thence evaluate``.

It has many dependencies, so it lives in an environment of its own: THENCE_LM_EVAL names the Python
of one where ``pip install 'lm-eval[api]==0.4.13'`` was done. With ``-s`` the numbers are shown.
"""

import json
import math
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import thence
from thence.serve import Limits, open_runs

Made = Callable[..., thence.Run]
PYTHON = os.environ.get("THENCE_LM_EVAL")
LINES = ["the war and trade", "a song", "über 5 €", "the old, (long) song", "a new trade"]
TASK = """\
task: {name}
dataset_path: json
dataset_kwargs:
  data_files:
    test: {file}
test_split: test
output_type: {kind}
doc_to_text: "{{{{context}}}}"
doc_to_target: "{{{{text}}}}"
metric_list:
{metrics}
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON, reason="THENCE_LM_EVAL names no Python with lm-eval"),
]


def harness(
    client: Any, folder: Path, kind: str, metrics: list[str], rows: list[Any], **settings: Any
) -> dict[str, Any]:
    """Run the harness on a task of its own; return what it found, without any network."""
    assert PYTHON is not None
    folder.mkdir(exist_ok=True)
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    told = "\n".join(f"  - metric: {metric}" for metric in metrics)
    task = TASK.format(name="own", file=folder / "rows.jsonl", kind=kind, metrics=told)
    if kind == "generate_until":
        task += 'generation_kwargs: {until: ["\\n"], max_gen_toks: 6}\n'
    (folder / "own.yaml").write_text(task)
    (model,) = client.models
    arguments = {
        "model": model,
        "base_url": f"{client.address}/v1/completions",
        "tokenizer_backend": "remote",
        **settings,
    }
    told = ",".join(f"{name}={value}" for name, value in arguments.items())
    offline = ("HF_DATASETS_OFFLINE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    done = subprocess.run(
        [
            *(PYTHON, "-m", "lm_eval", "--model", "local-completions", "--model_args", told),
            *("--tasks", "own", "--include_path", folder, "--output_path", folder / "out"),
            "--log_samples",
        ],
        env={**os.environ, **dict.fromkeys(offline, "1"), "HF_HOME": str(folder / "home")},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (results,) = (folder / "out").rglob("results_*.json")
    (samples,) = (folder / "out").rglob("samples_*.jsonl")
    found = dict(json.loads(results.read_text())["results"]["own"])
    return {**found, "samples": [json.loads(line) for line in samples.read_text().splitlines()]}


def bits_per_byte(client: Any, folder: Path, text: str, **settings: Any) -> float:
    metrics = ["bits_per_byte"]
    rows = [{"context": "", "text": text}]
    found = harness(client, folder, "loglikelihood_rolling", metrics, rows, **settings)
    return float(found["bits_per_byte,none"])


def compare(run: thence.Run, folder: Path, text: str, theirs: float) -> float:
    """Show both numbers, and return ours."""
    path = folder / "judged.txt"
    path.write_text(text, encoding="utf-8")
    ours = thence.evaluate(run, text=path).to_json()
    print(f"\n{run.name}: thence evaluate {ours['bits_per_byte']:.6f}, lm-eval {theirs:.6f}")
    return float(ours["bits_per_byte"])


SETTINGS: dict[str, dict[str, Any]] = {
    "lstm": {},
    "words": {"tokens": "words"},
    "subwords": {"tokens": "subwords", "max_size": 280},
    "running words": {"tokens": "words", "carry_context": True},
    "running characters": {"carry_context": True},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_bits_per_byte_are_ours(made: Made, serving: Any, tmp_path: Path, name: str) -> None:
    run = made(f"lm-eval {name}".replace(" ", "-"), "lstm", **SETTINGS[name])
    text = "\n".join(LINES * 5) + "\n"
    with serving(open_runs([run])) as client:
        theirs = bits_per_byte(client, tmp_path, text, max_length=4096)
    assert compare(run, tmp_path, text, theirs) == pytest.approx(theirs, abs=1e-6)


def test_without_a_line_end_the_last_boundary_is_not_judged(
    made: Made, serving: Any, tmp_path: Path
) -> None:
    run = made("lm-eval-lstm", "lstm")
    text = "\n".join(LINES)
    with serving(open_runs([run])) as client:
        theirs = bits_per_byte(client, tmp_path, text, max_length=4096)
    ours = thence.score(run, LINES, tokens=True)
    tokens = [token["log_probability"] for line in ours for token in line["tokens"]]
    mine = -sum(tokens[:-1]) / math.log(2) / len(text.encode())
    assert mine == pytest.approx(theirs, abs=1e-6)
    assert compare(run, tmp_path, text, theirs) != pytest.approx(theirs, abs=1e-4)


def test_a_window_that_is_too_short_forgets(made: Made, serving: Any, tmp_path: Path) -> None:
    run = made("lm-eval-lstm", "lstm")
    text = "\n".join(LINES) + "\n"
    with serving(open_runs([run])) as client:
        theirs = bits_per_byte(client, tmp_path, text, max_length=20)
        enough = len(client.models[run.name].encode(text)) + 2
        whole = bits_per_byte(client, tmp_path / "whole", text, max_length=enough)
    ours = compare(run, tmp_path, text, theirs)
    assert ours != pytest.approx(theirs, abs=1e-4)
    assert ours == pytest.approx(whole, abs=1e-6)


def test_a_long_prompt_is_refused_and_not_cut(made: Made, serving: Any, tmp_path: Path) -> None:
    run = made("lm-eval-lstm", "lstm")
    with (
        serving(open_runs([run]), Limits(max_prompt=20)) as client,
        pytest.raises(AssertionError, match="--max-prompt"),
    ):
        bits_per_byte(client, tmp_path, "\n".join(LINES) + "\n", max_length=4096)


def test_greedy_continuations_are_told(made: Made, serving: Any, tmp_path: Path) -> None:
    run = made("lm-eval-lstm", "lstm")
    likeliest = thence.sample(run, 1, prefix="the", greedy=True, max_length=6).texts[0][3:]
    assert likeliest
    rows = [{"context": "the", "text": text} for text in (likeliest, "qqq")]
    with serving(open_runs([run])) as client:
        found = harness(client, tmp_path, "loglikelihood", ["acc", "perplexity"], rows)
    assert found["acc,none"] == 0.5
    sums = [float(sample["resps"][0][0][0]) for sample in found["samples"]]
    for row, value in zip(rows, sums, strict=True):
        (line,) = thence.score(run, row["context"] + row["text"], tokens=True)
        tokens = [token["log_probability"] for token in line["tokens"]]
        assert value == pytest.approx(sum(tokens[3:-1]), abs=1e-5)


def test_texts_are_generated(made: Made, serving: Any, tmp_path: Path) -> None:
    run = made("lm-eval-lstm", "lstm")
    likeliest = thence.sample(run, 1, prefix="the", greedy=True, max_length=6).texts[0][3:]
    rows = [{"context": "the", "text": text} for text in (likeliest, "qqq")]
    with serving(open_runs([run])) as client:
        found = harness(client, tmp_path, "generate_until", ["exact_match"], rows)
    assert [sample["resps"][0][0] for sample in found["samples"]] == [likeliest] * 2
