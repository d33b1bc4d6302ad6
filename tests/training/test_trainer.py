import json
import math
import os
import signal
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import thence
from thence.batches.windows import ShuffledWindows, StratifiedContexts
from thence.errors import TrainingError
from thence.recipes import make_recipe
from thence.recipes.options import TrainingOptions
from thence.runs import Run
from thence.runs.files import load_tensors
from thence.signals import Interrupted, stop_on_signals
from thence.training.callbacks import SilentProgress, StopTraining
from thence.training.data import load_data
from thence.training.optimizers import Optimizer
from thence.training.schedules import total_steps
from thence.training.setup import build_setup
from thence.training.trainer import Trainer

MakeTrainer = Callable[..., Trainer]
SmallTrain = Callable[..., Run]


@pytest.fixture
def trainer(text: Path, tmp_path: Path) -> MakeTrainer:
    """Make a trainer of a tiny mlp on the tiny text."""

    def make(context: int = 2, **settings: Any) -> Trainer:
        options = {"hidden_size": 8, "embedding_size": 3, "batch_size": 16, **settings}
        recipe = make_recipe(text, "mlp", {"context": context, **options})
        data = load_data(recipe)
        setup = build_setup(recipe, data)
        made = Trainer(setup, recipe.training, tmp_path, SilentProgress())
        made.train_store = data.train  # type: ignore[attr-defined]
        made.dev = data.dev  # type: ignore[attr-defined]
        return made

    return make


def metrics(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_weight_decay_spares_vectors(trainer: MakeTrainer, name: str) -> None:
    made = trainer()
    options = TrainingOptions(optimizer=name, weight_decay=0.5)
    parameters = dict(made.learner.model.named_parameters())
    for parameter in parameters.values():
        torch.nn.init.ones_(parameter)
        parameter.grad = torch.zeros_like(parameter)
    optimizer = Optimizer(made.learner.model, options)
    optimizer.step(0.1)
    # Without a gradient only the decay moves a weight: 1 - 0.1 * 0.5 = 0.95.
    decayed = {key for key, value in parameters.items() if not torch.all(value == 1)}
    assert decayed == {key for key, value in parameters.items() if value.dim() == 2}
    assert all(torch.allclose(parameters[key], torch.tensor(0.95)) for key in decayed)


def test_clipping_is_counted_and_shortens_steps(trainer: MakeTrainer, tmp_path: Path) -> None:
    never = trainer(steps=4, clip=1e6, evaluate_every=2)
    never.run()
    assert [line["clipped_steps"] for line in metrics(tmp_path)] == [0, 0]
    always = trainer(steps=1, clip=1e-3, optimizer="sgd", lr=0.5, schedule="constant")
    before = torch.cat(
        [value.detach().flatten().clone() for value in always.learner.model.parameters()]
    )
    always.run()
    after = torch.cat([value.detach().flatten() for value in always.learner.model.parameters()])
    assert [line["clipped_steps"] for line in metrics(tmp_path)] == [1]
    # A gradient of norm 0.001 at the rate 0.5 moves the weights by 0.0005.
    assert float((after - before).norm()) == pytest.approx(5e-4, rel=1e-2)


@pytest.mark.parametrize("kind", [StratifiedContexts, ShuffledWindows])
def test_train_loss_is_the_mean_over_the_targets_read(
    trainer: MakeTrainer, tmp_path: Path, kind: type, request: pytest.FixtureRequest
) -> None:
    # With a vanishing rate the weights stand still, so that the mean over an epoch must be the
    # mean over the train split, though its last batch is smaller (336 = 3 * 100 + 36).
    if kind is ShuffledWindows:
        request.getfixturevalue("shuffled_windows")
    settings = {"batch_size": 100 if kind is ShuffledWindows else 16, "epochs": 2, "lr": 1e-12}
    made = trainer(**settings)
    assert isinstance(made.batches, kind)
    made = trainer(evaluate_every=made.batches.steps_per_epoch, **settings)
    made.run()
    expected = -made.learner.model.score(made.train_store).mean(dtype=np.float64)  # type: ignore[attr-defined]
    found = [line["train_nats_per_token"] for line in metrics(tmp_path)]
    assert found == pytest.approx([expected, expected], rel=1e-5)


def test_dev_loss_is_the_mean_over_targets(trainer: MakeTrainer, tmp_path: Path) -> None:
    made = trainer(steps=3, evaluate_every=3)
    made.run()
    (line,) = metrics(tmp_path)
    assert line["dev_nats_per_token"] == pytest.approx(-made.learner.model.score(made.dev).mean())
    assert line["step"] == 3


@pytest.mark.usefixtures("shuffled_windows")
def test_total_steps(trainer: MakeTrainer) -> None:
    made = trainer(batch_size=100)  # 336 examples: 4 steps an epoch
    assert made.batches.steps_per_epoch == 4
    assert total_steps(TrainingOptions(epochs=2.5), made.batches) == 10
    assert total_steps(TrainingOptions(epochs=0.01), made.batches) == 1
    assert total_steps(TrainingOptions(epochs=9, steps=7), made.batches) == 7


def prescribe_dev(made: Trainer, losses: list[float]) -> None:
    """Let the looks at dev give these losses, in order, after that at the untrained model."""
    given = iter([5.0, *losses])
    made.learner.model.score = lambda store, carry: np.full(4, -next(given))  # type: ignore[method-assign]


def test_plateau_halves_and_patience_stops(trainer: MakeTrainer, tmp_path: Path) -> None:
    made = trainer(steps=20, evaluate_every=1, lr=0.8, schedule="plateau", patience=3)
    prescribe_dev(made, [2.0, 2.5, 2.0, 1.5, 1.6, 1.5, 1.7, 1.0])
    made.run()
    # Better, worse, equal, better, worse, equal, worse: the third look in a row without
    # improvement is the last; each look without improvement halves the rate of the next step.
    assert [line["learning_rate"] for line in metrics(tmp_path)] == pytest.approx(
        [0.8, 0.4, 0.2, 0.2, 0.1, 0.05, 0.025]
    )
    assert load_tensors(tmp_path / "model.safetensors")[1]["step"] == 4
    assert made.counters.finished


def test_the_best_model_is_kept_not_the_last(trainer: MakeTrainer, tmp_path: Path) -> None:
    made = trainer(steps=3, evaluate_every=1, lr=0.1)
    prescribe_dev(made, [2.0, 1.0, 3.0])
    made.run()
    tensors, about = load_tensors(tmp_path / "model.safetensors")
    assert (about["step"], about["dev_nats_per_token"]) == (2, 1.0)
    name = next(iter(tensors))
    assert not np.array_equal(tensors[name], made.learner.model.tensors()[name])


def test_step_schedule_in_a_training(trainer: MakeTrainer, tmp_path: Path) -> None:
    made = trainer(steps=8, evaluate_every=1, lr=1.0, schedule="step", step_points=(0.5, 0.75))
    made.run()
    # The rate shown is that of the next step: 0.1 from step 4 of 8 done, 0.01 from step 6.
    assert [line["learning_rate"] for line in metrics(tmp_path)] == pytest.approx(
        [1, 1, 1, 0.1, 0.1, 0.01, 0.01, 0.01]
    )


def test_looks_come_at_their_steps_and_at_the_end(trainer: MakeTrainer, tmp_path: Path) -> None:
    trainer(steps=7, evaluate_every=3).run()
    assert [line["step"] for line in metrics(tmp_path)] == [3, 6, 7]


@pytest.mark.parametrize("evaluate_every", [1, 5, 100])
def test_a_rate_far_too_high_is_a_sentence(
    trainer: MakeTrainer, tmp_path: Path, evaluate_every: int
) -> None:
    made = trainer(
        steps=200, optimizer="sgd", lr=1e6, schedule="constant", evaluate_every=evaluate_every
    )
    with pytest.raises(TrainingError, match=r"the steps are too large. Train again with a lower"):
        made.run()
    assert not (tmp_path / "model.safetensors").exists()
    assert not (tmp_path / "last").exists()


@pytest.mark.parametrize("damage", [math.nan, math.inf])
def test_weights_that_are_not_numbers_are_never_written(
    trainer: MakeTrainer, tmp_path: Path, damage: float
) -> None:
    made = trainer(steps=10, evaluate_every=2, checkpoint_seconds=0.0)

    class Saboteur(SilentProgress):
        def on_step(self, step: int, tokens: float, share: float) -> None:
            if step == 5:
                parameter = next(iter(made.learner.model.parameters()))
                parameter.data.view(-1)[0] = damage

    made.callback = Saboteur()
    with pytest.raises(TrainingError, match="The last good checkpoint is kept"):
        made.run()
    tensors, about = load_tensors(tmp_path / "model.safetensors")
    assert about["step"] == 4
    assert all(np.all(np.isfinite(value)) for value in tensors.values())
    tensors, counters = load_tensors(tmp_path / "last" / "checkpoint.safetensors")
    assert counters["step"] == 4
    assert all(np.all(np.isfinite(value)) for value in tensors.values())
    assert [line["step"] for line in metrics(tmp_path)] == [2, 4]


def test_a_dev_loss_that_is_no_number_is_a_sentence(trainer: MakeTrainer, tmp_path: Path) -> None:
    made = trainer(steps=10, evaluate_every=2)
    prescribe_dev(made, [2.0, math.nan])
    with pytest.raises(TrainingError, match="The dev loss is nan at step 4"):
        made.run()
    assert [line["step"] for line in metrics(tmp_path)] == [2]


def test_without_dev_the_last_model_is_the_best(small: SmallTrain) -> None:
    run = small(split="100/0/0", schedule="plateau", patience=1)
    assert [line["dev_nats_per_token"] for line in run.metrics()] == [None] * 10
    assert load_tensors(run.folder / "model.safetensors")[1]["step"] == 20


def interrupt_at(*steps: int) -> Callable[[int], None]:
    def hear(step: int) -> None:
        if step in steps:
            os.kill(os.getpid(), signal.SIGINT)

    return hear


def test_an_interrupt_says_how_to_resume_and_gives_signals_back(
    small: SmallTrain, telling: Callable[..., Any], tmp_path: Path
) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    folder = tmp_path / "run"
    with pytest.raises(
        Interrupted,
        match=rf"Stopped at step 7 of 20, all saved. Continue with: thence resume {folder}",
    ):
        small(progress=telling(interrupt_at(7)))
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    assert load_tensors(folder / "last" / "checkpoint.safetensors")[1]["step"] == 7


def test_sigterm_stops_like_ctrl_c(small: SmallTrain, telling: Callable[..., Any]) -> None:
    with pytest.raises(Interrupted, match="Stopped at step 3"):
        small(progress=telling(lambda step: step == 3 and os.kill(os.getpid(), signal.SIGTERM)))


def test_a_second_interrupt_stops_at_once() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), stop_on_signals() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.wait(5)
        os.kill(os.getpid(), signal.SIGINT)
        stop.wait(5)
        pytest.fail("the second signal was swallowed")
    assert signal.getsignal(signal.SIGINT) is before


def test_an_interrupt_at_the_last_step_is_a_finished_training(
    small: SmallTrain, telling: Callable[..., Any]
) -> None:
    run = small(progress=telling(interrupt_at(20)))
    assert run.metrics()[-1]["step"] == 20


def test_the_sentence_for_a_rate_too_high_reaches_the_caller(small: SmallTrain) -> None:
    with pytest.raises(TrainingError, match="thence find-lr suggests one"):
        small(optimizer="sgd", lr=1e6)


def test_a_training_outside_the_main_thread_leaves_signals_alone(small: SmallTrain) -> None:
    finished = []
    thread = threading.Thread(target=lambda: finished.append(small()))
    thread.start()
    thread.join()
    assert finished[0].metrics()[-1]["step"] == 20


def test_a_training_without_a_folder_tells_of_its_looks_and_can_be_ended(text: Path) -> None:
    recipe = make_recipe(text, "mlp", {"hidden_size": 8, "steps": 20, "evaluate_every": 5})
    setup = build_setup(recipe, load_data(recipe))
    made = Trainer(setup, recipe.training, None, SilentProgress())
    heard: list[int] = []

    def end_at_10(record: Mapping[str, Any]) -> None:
        heard.append(record["step"])
        if record["step"] == 10:
            raise StopTraining

    made.run(end_at_10)
    assert heard == [5, 10]
    assert made.best_tensors()


@pytest.mark.parametrize("model", ["bigram", "mlp", "lstm", "transformer"])
def test_no_steps_keep_the_weights_as_they_were_drawn(
    text: Path, tmp_path: Path, model: str
) -> None:
    sizes = {} if model == "bigram" else {"embedding_size": 8}
    run = thence.train(text, model, output=tmp_path / "run", steps=0, threads=1, **sizes)
    data = load_data(run.recipe)
    untrained = build_setup(run.recipe, data).network.tensors()
    kept = run.model.tensors()
    assert all(np.array_equal(kept[name], value) for name, value in untrained.items())
    (line,) = run.metrics()
    dev = -float(np.mean(run.model.score(data.dev), dtype=np.float64))
    assert (line["step"], line["tokens"]) == (0, 0)
    assert line["dev_nats_per_token"] == pytest.approx(dev, rel=1e-6)
    assert line["train_nats_per_token"] == pytest.approx(
        math.log(len(run.tokenizer.vocabulary)), rel=0.5
    )
    assert run.finished
    assert len(thence.sample(run, 2, max_length=5).texts) == 2


@pytest.mark.parametrize("model", ["averaging", "recurrent", "convolution"])
def test_no_steps_keep_an_untrained_classifier(opinions: Run, tmp_path: Path, model: str) -> None:
    recipe = opinions.recipe
    settings = {"label": "label", "steps": 0, "threads": 1, "split": "80/20/0"}
    run = thence.train(recipe.text, model, output=tmp_path / "run", **settings)
    assert run.finished
    assert run.metrics()[-1]["dev_nats_per_document"] == pytest.approx(math.log(2), rel=0.3)
