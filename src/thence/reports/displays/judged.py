"""Reports: how good a model is, and which of several is better."""

from thence.evaluation import ClassificationReport, Comparison, LabelComparison, LikelihoodReport
from thence.reports.displays.pieces import grid, note, title, values


def likelihood_html(report: LikelihoodReport) -> str:
    """Show how probable a text is for a language model."""
    score = f"{report.nats_per_token:.4f} nats per token"
    return title(score, report.run) + values(report.rows())


def classification_report_html(report: ClassificationReport) -> str:
    """Show how many documents have the right label, and how well each label is found."""
    score = f"{100 * report.accuracy:.2f} % right"
    return title(score, report.run) + values(report.rows()) + grid(*report.table())


def comparison_html(comparison: Comparison | LabelComparison) -> str:
    """Show several models judged on the same documents, best first."""
    columns, rows = comparison.table()
    words = (0, 1) if isinstance(comparison, Comparison) else (0,)
    head = title(comparison.text, f"{comparison.documents:,} documents")
    remark = note(comparison.remark) if comparison.remark else ""
    return head + grid(columns, rows, words) + remark
