"""The result of a filter: counts and quantiles, and their display."""

from dataclasses import dataclass

from thence.results import Result, Serializable, format_table

SHOWN = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
"""The quantiles of the perplexities in a result."""


@dataclass(frozen=True)
class ModelCounts(Serializable):
    """Counts and quantiles of the documents of one language model.

    Attributes:
        label: Its label; empty if there is one model for all documents.
        run: Its folder.
        documents: Number of documents that it scored.
        kept: Number of these that were kept.
        impossible: Number of these with the probability 0 (infinite perplexity).
        lowest: Lower bound of the perplexity of kept documents; None without one.
        highest: Upper bound of the perplexity of kept documents; None without one.
        quantiles: Quantiles of their perplexities, by the share as text (``SHOWN``).
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
    """The result of a filter.

    Attributes:
        output: The file, or the folder of files, that was made.
        documents: Number of documents.
        kept: Number of documents that were kept.
        without_model: Number of documents dropped because their label has no model.
        models: Counts and quantiles of each model.
    """

    _in_json = ("output", "documents", "kept", "dropped", "without_model", "models")

    output: str
    documents: int
    kept: int
    without_model: int
    models: tuple[ModelCounts, ...]

    @property
    def dropped(self) -> int:
        """Number of documents that were dropped."""
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
        """Return the counts in a sentence."""
        share = f" ({100 * self.kept / self.documents:.1f} %)" if self.documents else ""
        no_model = f"; no model is for {self.without_model:,}" if self.without_model else ""
        return f"{self.kept:,} of {self.documents:,} documents kept{share}{no_model}: {self.output}"

    def __str__(self) -> str:
        return "\n".join([*format_table(*self.table()), self.in_words()])
