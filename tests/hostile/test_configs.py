"""Configs that are damaged, or made to do harm, checksum and all."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from thence.errors import RunError
from thence.runs import ClassifierRun, Run
from thence.runs.provenance import FORMAT

from .conftest import change_config, change_tokenizer, claim, limited, texts_for, uses

pytestmark = pytest.mark.slow

Copy, Refused = Callable[..., Path], Callable[..., str]
Harmless = Callable[..., None]

BYTES = {
    "empty": b"",
    "not TOML": b"text = \n",
    "not UTF-8": b'text = "\xff"\n',
    "binary": bytes(range(256)) * 100,
    "deep list": b"a = " + b"[" * 100_000 + b"]" * 100_000,
    "deep tables": b"a = " + b"{b = " * 100_000,
    "long key": b"[" + b".".join([b"a"] * 3_000) + b"]\n",
    "many digits": b"steps = " + b"9" * 100_000,
    "no time": b"made = 2026-99-99T99:99:99",
    "no text": b'model = "mlp"\n',
    "text of a number": b'text = 3\nmodel = "mlp"\n',
    "model of a list": b'text = "a"\nmodel = ["mlp"]\n',
    "unknown model": b'text = "a"\nmodel = "os.system"\n',
    "unknown table": b'text = "a"\nmodel = "mlp"\n[evil]\n',
    "unknown setting": b'text = "a"\nmodel = "mlp"\n[options]\nevil = 1\n',
    "twice": b'text = "a"\ntext = "a"\n',
    "provenance of a number": b'text = "a"\nmodel = "mlp"\nprovenance = 3\n',
    "no provenance": b'text = "a"\nmodel = "mlp"\n',
}


@pytest.mark.parametrize("content", BYTES.values(), ids=BYTES)
def test_what_is_no_config_is_refused(copy_of: Copy, refused: Refused, content: bytes) -> None:
    run = copy_of("mlp")
    (run / "config.toml").write_bytes(content)
    said = refused("evaluate", run)
    assert "config" in said


HUGE = (10**12, 10**9, 10**6, (1 << 63) - 1, 10**40)
ODD: tuple[Any, ...] = (
    -1, 0, -(10**30), 1.5, float("nan"), float("inf"), -float("inf"), "", "x" * 10_000, "\0",
    [], [1], [[[1]]], {}, {"a": 1}, True, date(2026, 1, 1),
)  # fmt: skip
SIZES = {
    "ngram": ("order",),
    "mlp": ("context", "embedding_size", "hidden_size", "layers"),
    "lstm": ("embedding_size", "hidden_size", "layers"),
    "transformer": ("context", "embedding_size", "heads", "layers"),
    "linear": ("ngrams", "buckets"),
    "convolution": ("embedding_size", "filters", "max_length"),
    "averaging": ("embedding_size", "ngrams", "buckets"),
    "finetuned": ("head_size", "max_length"),
}


@pytest.mark.parametrize("size", HUGE, ids=[f"{len(hex(size))}-digits" for size in HUGE])
@pytest.mark.parametrize("kind", SIZES)
def test_huge_sizes_are_refused_with_a_valid_checksum(
    copy_of: Copy, refused: Refused, harmless: Harmless, kind: str, size: int
) -> None:
    for name in SIZES[kind]:
        run = copy_of(kind, name)
        change_config(run, lambda config, name=name: config["options"].update({name: size}))
        try:
            claim(run)
        except RunError:
            refused("evaluate", run)
            continue
        classifies = isinstance(Run(run), ClassifierRun)
        use = ("classify", run, texts_for(run)) if classifies else ("next", run, "ax")
        if name in ("max_length", "buckets") or (
            (kind, name) == ("transformer", "context") and size < 10**9
        ):  # What is longer than any text does no harm.
            harmless(*use)
        else:
            refused(*use)


def test_a_number_of_thousands_of_digits_is_refused(copy_of: Copy, refused: Refused) -> None:
    run = copy_of("mlp")
    config = run / "config.toml"
    written = config.read_text()
    for number in ("0x" + "f" * 10_000, "9" * 10_000):
        for setting in ("hidden_size = 8", "lr = 0.02", "steps = 4", f"format = {FORMAT}"):
            assert setting in written
            config.write_text(written.replace(setting, setting.split("=")[0] + "= " + number))
            refused("next", run)


@pytest.mark.parametrize("place", ["members", "encoder"])
@pytest.mark.parametrize("size", HUGE, ids=[f"{len(hex(size))}-digits" for size in HUGE])
def test_huge_sizes_of_parts_are_refused(
    copy_of: Copy, refused: Refused, place: str, size: int
) -> None:
    wanted = [("encoder", "hidden_size"), ("encoder", "layers"), ("encoder", "embedding_size")]
    if place == "members":
        wanted = [(0, "order"), (1, "hidden_size"), (1, "layers"), (2, "length"), (4, "length")]
    for part, name in wanted:
        run = copy_of("mixture" if place == "members" else "finetuned", f"{part}-{name}")

        def put(config: dict[str, Any], part: Any = part, name: str = name) -> None:
            options = config["options"]
            if part == "encoder":
                options["encoder"][name] = size
            else:
                options["members"][part]["options"][name] = size

        change_config(run, put)
        try:
            claim(run)
        except RunError:
            refused("evaluate", run)
            continue
        if size > 10**9 or name != "length":
            refused(
                *(("classify", run, texts_for(run)) if part == "encoder" else ("next", run, "ax"))
            )


@pytest.mark.sampled
@pytest.mark.parametrize("value", ODD, ids=[repr(value)[:20] for value in ODD])
@pytest.mark.parametrize("kind", ["mlp", "ngram", "averaging", "mixture", "ensemble"])
def test_odd_values_of_any_setting_do_no_harm(
    copy_of: Copy, refused: Refused, harmless: Harmless, kind: str, value: Any
) -> None:
    sound = copy_of(kind)
    content: dict[str, Any] = {}
    change_config(sound, content.update)
    places = [(t, name) for t in content if isinstance(content[t], dict) for name in content[t]]
    refused_tables: set[str] = set()
    for number, (table, name) in enumerate([*places, ("options", "evil"), ("text", "")]):
        run = copy_of(kind, str(number))

        def put(config: dict[str, Any], table: str = table, name: str = name) -> None:
            if name:
                config[table][name] = value
            else:
                config[table] = value

        change_config(run, put)
        try:
            with limited():
                claim(run)
        except RunError as error:
            # A command says what the library does: that is tried once for each table.
            assert "Traceback" not in str(error)
            if table not in refused_tables:
                refused("evaluate", run)
            refused_tables.add(table)
            continue
        classifies = isinstance(Run(run), ClassifierRun)
        harmless(*(("classify", run, texts_for(run)) if classifies else ("next", run, "ax")))
        harmless("evaluate", run)
        harmless("resume", run, "--no-report")


PARTS: dict[str, Callable[[dict[str, Any]], object]] = {
    "member in member": lambda c: c["options"]["members"].append(
        {"model": "mixture", "options": {"members": [{"model": "ngram"}]}}
    ),
    "unknown member": lambda c: c["options"]["members"][0].update(model="evil"),
    "classifier as member": lambda c: c["options"]["members"][0].update(model="linear"),
    "member without options": lambda c: c["options"]["members"][0].pop("options"),
    "member without model": lambda c: c["options"]["members"][0].pop("model"),
    "member of a text": lambda c: c["options"]["members"].append("evil"),
    "unknown setting": lambda c: c["options"]["members"][0]["options"].update(evil=1),
    "odd order": lambda c: c["options"]["members"][0]["options"].update(order="3"),
    "cache of itself": lambda c: c["options"]["members"][2]["options"].update(of=2),
    "cache of counts": lambda c: c["options"]["members"][2]["options"].update(of=0),
    "cache of nothing": lambda c: c["options"]["members"][2]["options"].update(of=-7),
    "cache of many": lambda c: c["options"]["members"][2]["options"].update(of=10**9),
    "no theta": lambda c: c["options"]["members"][2]["options"].pop("theta"),
    "odd theta": lambda c: c["options"]["members"][2]["options"].update(theta=float("nan")),
    "odd rate": lambda c: c["options"]["members"][1].update(dynamic=float("nan")),
    "odd decay": lambda c: c["options"]["members"][1].update(dynamic_decay=-1),
    "odd rule": lambda c: c["options"]["members"][1].update(dynamic_rule="evil"),
    "rate of counts": lambda c: c["options"]["members"][0].update(dynamic=0.1),
    "no members": lambda c: c["options"].update(members=[]),
    "many members": lambda c: c["options"].update(members=c["options"]["members"] * 60),
    "odd weights": lambda c: c["options"].update(weights="evil"),
}


@pytest.mark.parametrize("change", PARTS.values(), ids=PARTS)
def test_odd_members_are_refused(
    copy_of: Copy, refused: Refused, change: Callable[[dict[str, Any]], object]
) -> None:
    run = copy_of("mixture")
    change_config(run, change)  # type: ignore[arg-type]
    try:
        claim(run)
    except RunError:
        refused("next", run, "ax")
    refused("evaluate", run)


CLASSIFIERS_IN_ONE: dict[str, Callable[[dict[str, Any]], object]] = {
    "ensemble in ensemble": lambda c: c["options"]["members"].append(
        {"model": "ensemble", "options": {"members": c["options"]["members"][:1]}}
    ),
    "unknown member": lambda c: c["options"]["members"][0].update(model="evil"),
    "language model as member": lambda c: c["options"]["members"][0].update(model="ngram"),
    "member without options": lambda c: c["options"]["members"][0].pop("options"),
    "member of a text": lambda c: c["options"]["members"].append("evil"),
    "unknown setting": lambda c: c["options"]["members"][0]["options"].update(evil=1),
    "odd setting": lambda c: c["options"]["members"][0]["options"].update(ngrams="3"),
    "odd encoder": lambda c: c["options"]["members"].append(
        {"model": "finetuned", "options": {"encoder": {"model": "ensemble"}}}
    ),
    "no encoder": lambda c: c["options"]["members"].append({"model": "finetuned", "options": {}}),
    "huge member": lambda c: c["options"]["members"][1]["options"].update(filters=10**12),
    "no members": lambda c: c["options"].update(members=[]),
    "many members": lambda c: c["options"].update(members=c["options"]["members"] * 60),
}


@pytest.mark.parametrize("change", CLASSIFIERS_IN_ONE.values(), ids=CLASSIFIERS_IN_ONE)
def test_odd_members_of_an_ensemble_are_refused(
    copy_of: Copy, refused: Refused, change: Callable[[dict[str, Any]], object]
) -> None:
    run = copy_of("ensemble")
    change_config(run, change)  # type: ignore[arg-type]
    try:
        claim(run)
    except RunError:
        refused("classify", run, texts_for(run))
    refused("evaluate", run)


@pytest.mark.sampled
@pytest.mark.parametrize("name", ["format", "checksum", "tokenizer", "sha256", "made", "thence"])
@pytest.mark.parametrize("value", [None, 3, [], {}, "x", {"arpa": 3}, {"train": []}])
def test_odd_provenance_is_refused_or_harmless(
    copy_of: Copy, harmless: Harmless, name: str, value: Any
) -> None:
    run = copy_of("mlp")
    commands = uses(run)

    def put(config: dict[str, Any]) -> None:
        if value is None:
            config["provenance"].pop(name)
        else:
            config["provenance"][name] = value

    change_config(run, put)
    for command in commands:
        harmless(*command)


LABELS = (None, 3, [], ["a"], [1, 2, 3], ["a", "a", "a"], ["a", "b"], ["a"] * 100, {"a": 1}, "abc")


@pytest.mark.parametrize("labels", LABELS, ids=[repr(value)[:20] for value in LABELS])
@pytest.mark.parametrize("kind", ["linear", "convolution"])
def test_odd_labels_are_refused(copy_of: Copy, refused: Refused, kind: str, labels: Any) -> None:
    run = copy_of(kind)

    def put(config: dict[str, Any]) -> None:
        config["provenance"].pop("labels")
        if labels is not None:
            config["provenance"]["labels"] = labels

    change_config(run, put)
    refused("classify", run, texts_for(run))
    refused("evaluate", run)


TOKENIZERS = {
    "empty": "",
    "a number": "3",
    "a list": "[]",
    "deep": "[" * 100_000,
    "deep symbols": '{"format": 1, "options": {}, "symbols": ' + "[" * 100_000,
    "many digits": '{"format": ' + "1" * 10_000 + "}",
    "no options": '{"format": 1, "symbols": []}',
    "odd options": '{"format": 1, "options": {"evil": 1}, "symbols": []}',
    "options of a list": '{"format": 1, "options": [], "symbols": []}',
    "odd level": '{"format": 1, "options": {"tokens": ["words"]}, "symbols": []}',
    "no symbols": '{"format": 1, "options": {}, "symbols": []}',
    "symbols of a number": '{"format": 1, "options": {}, "symbols": 3}',
    "symbols of numbers": '{"format": 1, "options": {}, "symbols": [1]}',
    "half a character": '{"format": 1, "options": {}, "symbols": ["\\ud800"]}',
    "words without end": '{"format": 1, "options": {"tokens": "words", "max_size": "x"}, '
    '"symbols": ["a b", "c"]}',
    "subwords": '{"format": 1, "options": {"tokens": "subwords"}, "subwords": {}}',
    "odd subwords": '{"format": 1, "options": {"tokens": "subwords"}, "subwords": [[]]}',
    "bytes": '{"format": 1, "options": {"tokens": "bytes"}}',
    "odd size": '{"format": 1, "options": {"max_size": "3"}, "symbols": ["a"]}',
    "odd case": '{"format": 1, "options": {"lowercase": []}, "symbols": ["a"]}',
}


@pytest.mark.parametrize("content", TOKENIZERS.values(), ids=TOKENIZERS)
@pytest.mark.parametrize("kind", ["mlp", "ngram"])
def test_odd_tokenizers_are_refused(
    copy_of: Copy, refused: Refused, kind: str, content: str
) -> None:
    run = copy_of(kind)
    (run / "tokenizer.json").write_text(content)
    refused("next", run, "ax")
    change_tokenizer(run, content)
    claim(run)
    refused("next", run, "ax")
    refused("evaluate", run)


def test_another_runs_tokenizer_is_refused(copy_of: Copy, refused: Refused) -> None:
    run, other = copy_of("mlp"), copy_of("linear")
    (run / "tokenizer.json").write_bytes((other / "tokenizer.json").read_bytes())
    assert "is not the tokenizer that the run was made with" in refused("next", run, "ax")
    (run / "tokenizer.json").write_bytes(b"\xff\xfe" + bytes(100))
    assert "tokenizer.json cannot be read" in refused("next", run, "ax")
