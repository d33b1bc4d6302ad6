"""What a filter has kept, and how it is shown."""

from dataclasses import dataclass

from thence.results import Result, Serializable, format_table

SHOWN = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
"""The quantiles of the perplexities that a result has."""


@dataclass(frozen=True)
class OfModel(Serializable):
    """What one language model has judged.

    Attributes:
        label: The label it is for; empty where there is one model for all.
        run: Its folder.
        documents: How many it judged.
        kept: How many of them are kept.
        impossible: How many of them are impossible to it: their perplexity is infinite.
        lowest: No kept document has a smaller perplexity; None without such a bound.
        highest: No kept document has a larger one; likewise.
        quantiles: Perplexity below or at which so large a share of the documents is.
    """

    label: str
    run: str
    documents: int
    kept: int
    impossible: int
    lowest: float | None
    highest: float | None
    quantiles: dict[str, float]


@dataclass(frozen=True)
class Filtered(Result):
    """What a filter has kept.

    Attributes:
        output: The file, or the folder of files, that was made.
        documents: How many there were.
        kept: How many are kept.
        without_model: How many were dropped because no model is for their label.
        models: What each model has judged.
    """

    _in_json = ("output", "documents", "kept", "dropped", "without_model", "models")

    output: str
    documents: int
    kept: int
    without_model: int
    models: tuple[OfModel, ...]

    @property
    def dropped(self) -> int:
        """How many were dropped."""
        return self.documents - self.kept

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Return the column names and the rows to show."""
        columns = ["model", "documents", "kept", *(f"{100 * share:g} %" for share in SHOWN)]
        names = [f"{share:g}" for share in SHOWN]
        rows = [
            [
                f"{one.label} ({one.run})" if one.label else one.run,
                f"{one.documents:,}",
                f"{one.kept:,}",
                *(f"{one.quantiles[name]:.4g}" if one.quantiles else "-" for name in names),
            ]
            for one in self.models
        ]
        return columns, rows

    def in_words(self) -> str:
        """Return what was kept in a sentence."""
        share = f" ({100 * self.kept / self.documents:.1f} %)" if self.documents else ""
        no_model = f"; no model is for {self.without_model:,}" if self.without_model else ""
        return f"{self.kept:,} of {self.documents:,} documents kept{share}{no_model}: {self.output}"

    def __str__(self) -> str:
        return "\n".join([*format_table(*self.table()), self.in_words()])
