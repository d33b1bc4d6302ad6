"""Files whose probabilities do not add up to one, after any of their contexts."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from thence.errors import TextError, ThenceWarning
from thence.exchange import export, import_arpa
from thence.exchange.arpa_reader import read_arpa
from thence.models.ngram import NGram
from thence.models.ngram.pruning import sums, words_of
from thence.training import train

TEXT = "the cat sat\nthe cat ran off\na dog sat\nthe dog sat on the cat\na cat ran\n" * 3


@pytest.fixture
def exported(tmp_path: Path) -> Callable[..., Path]:
    """Count a text in a way that is given and export it."""

    def make(**settings: object) -> Path:
        (tmp_path / "text.txt").write_text(TEXT)
        given = {"tokens": "words", "split": "100/0/0", "order": 3} | settings
        run = train(tmp_path / "text.txt", "ngram", output=tmp_path / "counted", **given)
        return export(run, tmp_path / "a.arpa")

    return make


def change(path: Path, order: int, log10: str) -> None:
    """Give the first n-gram of an order another probability."""
    lines = path.read_text().splitlines()
    place = lines.index(f"\\{order}-grams:") + 1
    _, words, *rest = lines[place].split("\t")
    lines[place] = "\t".join([log10, words, *rest])
    path.write_text("\n".join(lines))


def test_sums_above_one_are_refused_unless_allowed(
    exported: Callable[..., Path], tmp_path: Path
) -> None:
    path = exported()
    change(path, 2, "0")
    with pytest.raises(TextError) as caught:
        import_arpa(path, tmp_path / "run")
    told = (
        rf"{re.escape(str(path))}: the probabilities after '.+' add up to 1\.[1-9]\d*, not to 1 "
        r"\(\d+ of \d+ contexts are above it\)\. Likelihoods "
    )
    assert re.match(rf"{told}would look better than they are\. ", str(caught.value))
    assert str(caught.value).endswith("or import it with `renormalize` or `allow_unnormalized`.")
    assert not (tmp_path / "run").exists()
    with pytest.warns(ThenceWarning) as warned:
        import_arpa(path, tmp_path / "run", allow_unnormalized=True)
    assert re.match(rf"{told}look better than they are\.\Z", str(warned[0].message))


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("log10", ["-0.001", "-5"])
def test_sums_may_be_set_to_one(
    exported: Callable[..., Path], tmp_path: Path, order: int, log10: str
) -> None:
    path = exported()
    change(path, order, log10)
    before = read_arpa(path)
    run = import_arpa(path, tmp_path / "run", renormalize=True)
    tables = cast(NGram, run.model).tables
    for found in sums(tables, len(before.vocabulary)):
        assert found.totals == pytest.approx(np.ones(len(found.totals)), abs=1e-5)
    for level, (ours, theirs) in enumerate(zip(tables, before.tables, strict=True)):
        shift = ours.log_probs - theirs.log_probs  # One number after each context.
        prefixes = theirs.keys // len(before.vocabulary)
        starts = np.flatnonzero(np.diff(prefixes, prepend=-1))
        sizes = np.diff([*starts, len(shift)])
        assert shift == pytest.approx(np.repeat(shift[starts], sizes), abs=1e-5)
        assert level == 0 or (shift < 1e-5).all()


def test_sums_below_one_are_told(exported: Callable[..., Path], tmp_path: Path) -> None:
    """Its scores are those that other programs give; they only look worse than they could."""
    path = exported()
    change(path, 3, "-5")
    with pytest.warns(ThenceWarning) as warned:
        import_arpa(path, tmp_path / "run")
    assert [str(some.message).rpartition(". ")[2] for some in warned] == [
        "Likelihoods look worse than they are."
    ]


@pytest.mark.parametrize(
    "settings",
    [
        *({"smoothing": name} for name in ("witten-bell", "absolute", "add-k", "mle")),
        {"order": 1},
        {"order": 5, "prune": (0, 1)},
        {"order": 4, "prune_entropy": 1e-3},
        {"unknown": "refuse"},
    ],
    ids=str,
)
def test_what_is_normalised_passes(
    exported: Callable[..., Path], tmp_path: Path, settings: dict[str, object]
) -> None:
    import_arpa(exported(**settings), tmp_path / "run")  # Warnings are errors in tests.


def test_every_context_adds_up_to_what_the_model_gives(exported: Callable[..., Path]) -> None:
    path = exported(order=4, prune=(0, 1))
    for order, log10 in ((1, "-0.3"), (2, "-0.2"), (3, "-0.9")):
        change(path, order, log10)
    read = read_arpa(path)
    size = len(read.vocabulary)
    model = NGram.from_tables(read.tables, size)
    found = sums(read.tables, size)
    for length in range(1, len(read.tables)):
        totals = found[length].totals
        state = model.start(len(totals))
        for column in words_of(read.tables, length - 1, np.arange(len(totals)), size).T:
            log_probs, state = model.step(column, state)
        assert totals == pytest.approx(np.exp(log_probs).sum(axis=1), abs=1e-6)
    assert found[0].totals == pytest.approx(np.exp(read.tables[0].log_probs).sum(), abs=1e-6)


def test_rounding_where_a_context_leaves_next_to_nothing_is_no_miss(tmp_path: Path) -> None:
    """As KenLM and SRILM write it: six digits, and a back-off weight that is large."""
    (tmp_path / "a.arpa").write_text(
        "\\data\\\nngram 1=4\nngram 2=2\n\n\\1-grams:\n-0.000005\t</s>\t0\n-5.2396\ta\t2.4\n"
        "-5.2396\tb\t0\n-99\t<s>\t0\n\n\\2-grams:\n-0.0018\ta </s>\n-99\tb </s>\n\\end\\\n"
    )
    tables = read_arpa(tmp_path / "a.arpa").tables
    after_a = sums(tables, 3)[1]
    assert not after_a.above.any()
