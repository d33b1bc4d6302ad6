"""How unusual a text is: valid shares, whatever the texts and their lengths."""

import errno
import random
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import thence
from thence.atomic import WriteError
from thence.errors import RunError, SettingError, TextError
from thence.evaluation import unusual
from thence.evaluation.unusual import FILE, Scale, calibrate, calibration_of, fit_calibration
from thence.runs import LanguageRun
from thence.runs.files import load_tensors, save_tensors
from thence.training import train


def test_the_scale_of_a_few_texts_by_hand() -> None:
    # One bin. Nats per token 1 to 11: the median is 6, the 90 % quantile 10, the spread 4.
    per_token, targets = np.arange(1.0, 12), np.full(11, 5)
    scale = Scale.fit(per_token, targets)
    assert scale.lengths == pytest.approx([log(5)])
    assert (scale.median.tolist(), scale.spread.tolist()) == ([6.0], [4.0])
    # So they are -5/4 to 5/4 spreads above it, the quantiles of 50, 80, 90 % 0, 3/4 and 1, the
    # others 5/4. 14 is 2 above it, 3/4 beyond the last quantile, of which 1/4 is a tenth as many:
    # it is as rare as one of 100 x 10^3.
    assert scale.bands == pytest.approx(
        np.array([[log(5), 0, 0.75, 1, 1.25, 1.25, 1.25]]), abs=1e-5
    )
    scores = scale.scores(np.array([14.0, 9, 5]), np.array([2, 5, 9]))
    assert scores == pytest.approx([log(10**5), log(5), log(2) - 0.25], rel=1e-4)


def test_shares_of_a_few_texts_by_hand() -> None:
    # Ten times each of 1 to 11 nats per token, so that each fold has all of them, and the scale
    # above. 12 is more than all 110 have, so 110 of 110 + 1, and 11 more than 100 of them have.
    known = fit_calibration("dev", np.repeat(np.arange(1.0, 12), 10), np.full(110, 5))
    shares = known.more_unusual_than(np.array([60.0, 55.0, 4.9]), np.array([5, 5, 5]))
    assert shares == pytest.approx([110 / 111, 100 / 111, 0])
    assert known.most_unusual == 110 / 111


def drawn(draw: Any, count: int, kind: str) -> tuple[Any, Any]:
    """Draw texts whose nats per token depend on their length in one way or another."""
    lengths = draw.integers(1, 200, count) if kind != "same" else np.full(count, 7)
    level = {"falls": 3 + 5 / lengths, "rises": np.log1p(lengths), "same": 2.0}[kind]
    heavy = draw.standard_t(3, count) if kind == "rises" else draw.normal(size=count)
    return level + np.abs(heavy) / np.sqrt(lengths), lengths


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["falls", "rises", "same"])
@pytest.mark.parametrize("documents", [40, 400])
def test_the_rate_of_false_alarms_is_at_most_what_was_asked_for(kind: str, documents: int) -> None:
    """Of new texts a share 1 - a is an alarm, over many calibrations, and not much fewer."""
    draw, alarms, rounds, new = np.random.default_rng(3), {0.9: 0, 0.975: 0}, 150, 20
    for _ in range(rounds):
        known = fit_calibration("dev", *drawn(draw, documents, kind))
        per_token, lengths = drawn(draw, new, kind)
        shares = known.more_unusual_than(per_token * lengths, lengths)
        for share in alarms:
            alarms[share] += int((shares >= share).sum())
    for share, found in alarms.items():
        nominal = 1 - share
        # The rate differs from one calibration to another too, which widens the error.
        error = np.sqrt(nominal * share / (rounds * new) + nominal * share / documents / rounds)
        assert found / (rounds * new) <= nominal + 3 * error
        assert found / (rounds * new) >= 0.6 * nominal - 3 * error


def of_two_kinds(draw: Any, count: int) -> tuple[Any, Any]:
    """Draw short texts with heavy tails, and long ones that are alike in half of all cases."""
    lengths = draw.integers(1, 200, count)
    short = 3 + draw.standard_t(3, count)
    odd = draw.random(count) < 0.5
    return np.where(lengths < 134, short, np.where(odd, 2 + draw.random(count), 2)), lengths


def test_short_and_long_texts_have_alarms_alike() -> None:
    draw = np.random.default_rng(5)
    for share in (0.9, 0.98):  # As in a log, the longer ones are of a kind with other tails.
        known = fit_calibration("dev", *of_two_kinds(draw, 4000))
        per_token, lengths = of_two_kinds(draw, 40_000)
        alarms = known.more_unusual_than(per_token * lengths, lengths) >= share
        for low in (1, 67, 134):
            rate = alarms[(lengths >= low) & (lengths < low + 66)].mean()
            error = np.sqrt((1 - share) * share * (3 / 4000 + 3 / 40_000))
            assert abs(rate - (1 - share)) < 3 * error
    known = fit_calibration("dev", *drawn(draw, 4000, "falls"))
    per_token, lengths = drawn(draw, 40_000, "falls")
    alarms = known.more_unusual_than(per_token * lengths, lengths) >= 0.98
    thirds = [alarms[(lengths > low) & (lengths <= low + 66)].mean() for low in (1, 67, 133)]
    assert min(thirds) > 0.01
    assert max(thirds) < 0.04
    # Without the scale all alarms would be of short texts.
    by_rate = per_token >= np.quantile(drawn(draw, 4000, "falls")[0], 0.98)
    assert by_rate[lengths > 66].sum() == 0


@settings(max_examples=25)
@given(
    st.lists(
        st.tuples(st.floats(0, 50) | st.just(np.inf), st.integers(1, 300)), min_size=4, max_size=80
    )
)
@example([(np.inf, 1), (0.0, 1), (np.inf, 1), (2.2250738585072014e-308, 1)])  # Hardly a spread.
def test_shares_are_shares_and_rise_with_the_nats(texts: list[tuple[float, int]]) -> None:
    per_token, targets = (np.array(column) for column in zip(*texts, strict=True))
    known = fit_calibration("dev", per_token, targets)
    nats = np.array([0, 1.0, 2, 60, 1e6, np.inf])
    shares = known.more_unusual_than(nats * 9, np.full(6, 9))
    assert (np.diff(shares) >= 0).all()
    assert (shares >= 0).all() and (shares <= known.most_unusual).all()


def made(count: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    kinds = (
        lambda: f"GET /{draw.choice('abc')} {draw.randint(1, 30)} ms",
        lambda: f"login {draw.choice(['anna', 'ben'])} from 10.0.0.{draw.randint(1, 9)}",
        lambda: f"job {draw.randint(1, 9)} done",
    )
    return [draw.choice(kinds)() for _ in range(count)]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> LanguageRun:
    """A model of the characters of a made log."""
    folder = tmp_path_factory.mktemp("unusual")
    text = folder / "app.log"
    text.write_text("\n".join(made(3000, 1)) + "\n")
    trained = train(text, "ngram", output=folder / "run", order=4, carry_context=True)
    assert isinstance(trained, LanguageRun)
    return trained


def test_a_run_tells_odd_texts_from_new_ones(run: LanguageRun) -> None:
    new = made(3000, 2)
    found = list(thence.score(run, [*new, "ERROR disk full"], calibrate=True))
    shares = np.array([line["more_unusual_than"] for line in found])
    for level in (0.9, 0.99):
        error = np.sqrt((1 - level) * level * (1 / 3000 + 1 / 300))
        assert (shares[:-1] >= level).mean() <= 1 - level + 3 * error
    assert shares[-1] == calibration_of(run).most_unusual == 300 / 301
    # Each text is read by itself, though the run reads on from one to the next.
    alone = [thence.score(run, one, calibrate=True)[0] for one in new[:3]]
    assert [line["more_unusual_than"] for line in alone] == shares[:3].tolist()
    tokens = thence.score(run, "job 3 done", calibrate=True, tokens=True)[0]
    assert len(tokens["tokens"]) == tokens["targets"] == 11


def test_the_calibration_is_kept_and_made_anew_for_other_weights(
    run: LanguageRun, tmp_path: Path
) -> None:
    kept = calibrate(run)
    again = calibration_of(run)
    assert str(kept) == str(again) and "300 texts of the dev split" in str(kept)
    assert kept.to_json() == {"text": kept.text, "documents": 300, "most_unusual": 300 / 301}
    tensors, about = load_tensors(run.folder / FILE)
    save_tensors(run.folder / FILE, tensors, {**about, "weights": "others", "text": "old"})
    assert calibration_of(run).text == kept.text
    other = tmp_path / "other.txt"
    other.write_text("\n".join(made(50, 3)))
    assert calibrate(run, other).documents == 50
    assert calibration_of(run).documents == 50  # That one is used from now on.
    calibrate(run)


DAMAGED: list[tuple[str, Any]] = [
    ("scores0", np.array([2.0, 1.0])),
    ("scores1", np.array([np.nan])),
    ("scores1", np.zeros((2, 2))),
    ("scores0", np.zeros(3, np.float32)),
    ("scale0", np.zeros((2, 3))),
    ("scale0", np.zeros((3, 0))),
    ("scale1", np.array([[1.0, 1.0], [0, 0], [1, 1]])),
    ("scale1", np.array([[1.0], [0], [0]])),
    ("scale1", None),
    ("bands0", np.zeros((1, 7))),
    ("bands1", np.zeros((0, 7))),
]


@pytest.mark.parametrize(("name", "value"), DAMAGED)
def test_a_damaged_calibration_is_refused(run: LanguageRun, name: str, value: Any) -> None:
    calibrate(run)
    tensors, about = load_tensors(run.folder / FILE)
    changed = {**tensors, name: value} if value is not None else {**tensors}
    if value is None:
        del changed[name]
    save_tensors(run.folder / FILE, changed, about)
    with pytest.raises(RunError, match=r"calibration\.safetensors is damaged .* remove it"):
        calibration_of(run)
    (run.folder / FILE).unlink()


def test_too_few_texts(run: LanguageRun, tmp_path: Path) -> None:
    known = calibrate(run)
    with pytest.raises(SettingError, match=r"300 texts .* It takes 999 of them"):
        known.check_alert(0.999)
    for alert in (0.0, 1.0, 1.5):
        with pytest.raises(SettingError, match="above 0 and below 1"):
            known.check_alert(alert)
    known.check_alert(0.996)
    few = tmp_path / "few.txt"
    few.write_text("one\ntwo\n")
    with pytest.raises(TextError, match="2 documents, too few"):
        calibrate(run, few)
    without = train(few, "ngram", output=tmp_path / "run", order=2, split="100/0/0")
    with pytest.raises(TextError, match=r"no dev split.*`calibrate_on`"):
        calibrate(without)


def test_a_file_that_is_none_and_a_folder_of_another(
    run: LanguageRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run.folder / FILE).write_bytes(b"no tensors")
    with pytest.raises(RunError, match="remove it, and it is made again"):
        calibration_of(run)
    (run.folder / FILE).unlink()

    def refused(path: Path, *_: Any) -> None:
        raise WriteError(path, PermissionError(errno.EACCES, "Permission denied"))

    monkeypatch.setattr(unusual, "save_tensors", refused)
    assert calibration_of(run).documents == 300
    with pytest.raises(WriteError):
        calibrate(run)
