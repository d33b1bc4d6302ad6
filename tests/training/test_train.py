import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from thence.errors import SettingError, TextError
from thence.evaluation.evaluate import evaluate
from thence.recipes import make_recipe
from thence.runs import Run, open_run
from thence.training import find_learning_rate, train
from thence.training.new_run import default_run_folder

SmallTrain = Callable[..., Run]


def weights(run: Run) -> bytes:
    return (run.folder / "model.safetensors").read_bytes()


@pytest.mark.parametrize("settings", [{}, {"lr": "auto", "dropout": 0.2}])
def test_the_callers_own_state_is_untouched(small: SmallTrain, settings: dict[str, object]) -> None:
    torch.set_num_threads(2)
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    torch.manual_seed(5)
    np.random.seed(5)
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].tobytes()
    small(threads=1, **settings)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert np.random.get_state()[1].tobytes() == numpy_state
    assert torch.get_num_threads() == 2
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers


@pytest.mark.parametrize(
    "settings",
    [{"dropout": 0.2}, pytest.param({"lr": "auto", "dropout": 0.2}, marks=pytest.mark.slow)],
)
def test_the_same_seed_gives_the_same_weights(
    small: SmallTrain, settings: dict[str, object]
) -> None:
    torch.manual_seed(1)
    one = small("one", seed=7, **settings)
    torch.manual_seed(2)
    assert weights(small("two", seed=7, **settings)) == weights(one)
    assert weights(small("three", seed=8, **settings)) != weights(one)


def test_the_seed_decides_the_order_of_batches(small: SmallTrain) -> None:
    # The bigram's weights are all zero at the start: only the order of batches can differ.
    runs = [
        small(f"run-{seed}", model="bigram", batch_size=8, steps=9, seed=seed) for seed in (1, 2)
    ]
    assert weights(runs[0]) != weights(runs[1])


def test_a_run_without_dev_and_test(small: SmallTrain) -> None:
    for model in ("mlp", "bigram-counts"):
        run = small(model, model=model, split="100/0/0")
        assert run.metrics()[-1].get("dev_nats_per_token") is None
        assert evaluate(run, "train").documents == 105
        for split in ("dev", "test"):
            with pytest.raises(TextError, match=f"The {split} split of {model} is empty"):
                evaluate(run, split)
        assert run.test_looks() == []


def test_an_automatic_rate_is_resolved(small: SmallTrain) -> None:
    rate = small(lr="auto").recipe.training.lr
    assert isinstance(rate, float)
    assert 1e-3 < rate < 1


def test_settings_given_go_before_those_of_the_recipe(text: Path, tmp_path: Path) -> None:
    config = tmp_path / "recipe.toml"
    config.write_text(f'text = "{text}"\nmodel = "bigram-counts"\nadd_k = 3.0\nseed = 5\n')
    run = train(config=config, output=tmp_path / "run", add_k=0.5)
    assert (run.recipe.options.add_k, run.recipe.training.seed) == (0.5, 5)


def test_free_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert default_run_folder("data/names.txt.gz", "mlp") == Path("runs/names-mlp")
    Path("runs/names-mlp").mkdir(parents=True)
    assert default_run_folder("data/names.txt.gz", "mlp") == Path("runs/names-mlp-2")
    assert default_run_folder("..", "mlp") == Path("runs/text-mlp")


def test_a_run_may_have_the_name_of_its_bundled_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = train("first-sentences", model="bigram-counts", output="first-sentences")
    assert run.evaluate().perplexity > 1  # The name still means the text.
    other = train("first-sentences", model="ngram", output="other")
    assert other.recipe.text == "first-sentences"
    with pytest.raises(TextError, match="other is the folder of a run, not a text"):
        train("other", model="ngram", output="third")


def test_unusable_texts_and_settings_are_sentences(text: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    with pytest.raises(SettingError, match="There is no text to train on"):
        train(output=output)
    with pytest.raises(SettingError, match=r"`context` is 9, .* longest document has 4 tokens"):
        train(text, context=9, output=output)
    (tmp_path / "same.txt").write_text("ab\n" * 20)
    with pytest.raises(TextError, match=r"All 16 train documents .* are the same"):
        train(tmp_path / "same.txt", output=output)
    with pytest.raises(SettingError, match="is not trained: it has no learning rate"):
        find_learning_rate(make_recipe(text, "bigram-counts", {}))
    assert not output.exists()


def test_relative_paths_are_kept_in_full(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dev.txt").write_text("axa\n")
    run = train("text.txt", model="bigram-counts", dev="dev.txt", output="run")
    folder = run.folder.resolve()
    monkeypatch.chdir("/")
    assert evaluate(folder).documents == 1


def test_a_path_that_is_no_unicode_is_a_sentence(text: Path, tmp_path: Path) -> None:
    odd = tmp_path / "odd\udcff.txt"
    try:
        text.rename(odd)
    except OSError:
        pytest.skip("this file system allows no such name")
    with pytest.raises(Exception, match="is not UTF-8") as caught:
        train(odd, model="bigram-counts", output=tmp_path / "run")
    assert type(caught.value).__name__ == "RunError"
    assert not (tmp_path / "run").exists()


def test_what_was_read_and_counted_is_not_read_again(text: Path, tmp_path: Path) -> None:
    run = train(text, model="ngram", output=tmp_path / "run")
    bounded = train(text, model="ngram", memory="64MB", output=tmp_path / "bounded")
    assert run.num_parameters == bounded.num_parameters == open_run(run.folder).num_parameters
    text.unlink()
    for one in (run, bounded):
        assert len(one.documents("train")) > len(one.documents("dev")) > 0
