"""Make the model that runs in the documentation's first page: ``docs/live/names.html``.

    python docs/build_live.py

It is trained here, on a text that comes with thence, in about ten seconds, and is not kept in the
repository. ``make docs`` does it before the pages are built.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import thence

PAGE = Path(__file__).parent / "live" / "names.html"


def main() -> None:
    """Train two models of given names, mix them, and write the mixture as a page."""
    with TemporaryDirectory() as place:
        folder = Path(place)
        settings = {"hidden_size": 96, "embedding_size": 24, "batch_size": 256, "lr": 0.01}
        parts = [
            thence.train("given-names", "ngram", output=folder / "counts", order=5),
            thence.train("given-names", "gru", output=folder / "gru", steps=600, **settings),
        ]
        names = thence.mix(parts, output=folder / "names")
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.unlink(missing_ok=True)
        thence.export(names, PAGE, to="html")


if __name__ == "__main__":
    main()
