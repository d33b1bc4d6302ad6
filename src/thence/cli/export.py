"""``thence export RUN PATH``: what a run has learned as a file for other programs."""

from pathlib import Path

from thence.cli.streams import print_note, say
from thence.exchange import Format, export_checked


def command(run: Path, path: Path, /, *, to: Format | None = None) -> None:
    """Write a run for other programs: as an ARPA file, word vectors, an ONNX file, or a folder.

    ARPA files hold n-gram models, word vectors the embeddings of any run; both are compressed if
    their name ends in .gz. ONNX files and folders of Hugging Face hold networks that model
    language, and are checked to give the log-probabilities that the run does.

    Args:
        run: The run folder.
        path: The file or folder to make.
        to: Its format (default: onnx for a file of that suffix, arpa for an n-gram run and for a
            file of that suffix, else word2vec, as text).
    """
    exported = export_checked(run, path, to)
    say(str(exported.path))
    if exported.difference is not None:
        print_note(
            f"Checked on random ids: log-probabilities differ from the run's by at most "
            f"{exported.difference:.1e}."
        )
