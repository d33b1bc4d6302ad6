"""How fast n-gram models answer, beside KenLM: sentences, files, next tokens, drawn names.

    python benchmarks/queries.py DATA [PATH OF KENLM'S query]

DATA holds ``ptb/`` and ``names/``. A 5-gram of PTB's train text is asked for the scores of that
text, in Python beside the module ``kenlm``, and on the command line beside KenLM's ``query``, both
with KenLM's probing table, made beforehand. A 6-gram of names draws names.
"""

import gzip
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import run as run_program
from tempfile import TemporaryDirectory

from measuring import Results, command, cpu

import thence

SENTENCES = 10_000
DRAWN = 5_000
TEXT = "the company said it expects net income to fall this year because of the sale of its unit to"
RESULTS = Results(
    "queries", "python benchmarks/queries.py DATA QUERY", ("numpy", "kenlm", "orjson")
)


def in_python(
    run: thence.LanguageRun, peer: Callable[[str], float] | None, texts: list[str]
) -> None:
    """Single sentences, and all as one list."""
    asked = texts[:SENTENCES]
    sides = {"thence": cpu(lambda: [thence.score(run, one)[0]["log_probability"] for one in asked])}
    if peer is not None:
        sides["kenlm"] = cpu(lambda: [peer(one) for one in asked])
    claim = "one sentence of PTB by a 5-gram, from Python"
    RESULTS.measure("sentence", claim, sides, "us", scale=1e6 / len(asked), goal="<= 15")
    tokens = sum(line["targets"] for line in thence.score(run, texts))
    speed = tokens / 1e6

    sides = {"thence": lambda: speed / cpu(lambda: list(thence.score(run, texts)))()}
    if peer is not None:
        sides["kenlm"] = lambda: speed / cpu(lambda: [peer(one) for one in texts])()
    claim = f"a list of {len(texts):,} sentences by a 5-gram, from Python"
    RESULTS.measure("list", claim, sides, "million tokens/s", rounds=5, goal="ratio >= 1")


def on_the_command_line(run: Path, text: Path, query: Path | None, model: Path) -> None:
    """A file of sentences, and with every token, less the seconds that a file of one takes."""
    one = run.with_name("one.txt")
    one.write_text("one line\n", "utf-8")

    def ours(flags: list[str]) -> float:
        seconds = [
            command([sys.executable, "-m", "thence", "score", run, file, *flags]).seconds
            for file in (one, text)
        ]
        return seconds[1] - seconds[0]

    start_up = command([sys.executable, "-m", "thence", "score", run, one]).seconds
    for name, flags, words, goal in (
        ("file", [], "sentence", "ratio <= 1.5"),
        ("file-tokens", ["--tokens"], "word", "ratio <= 3"),
    ):
        sides = {"thence": lambda flags=flags: ours(flags)}
        if query is not None:
            shell = ["sh", "-c", f"'{query}' -v {words} '{model}' < '{text}'"]
            sides[f"KenLM query -v {words}"] = lambda shell=shell: command(shell).seconds
        claim = f"thence score {' '.join(flags)} of PTB's train text by a 5-gram".replace("  ", " ")
        note = f"beyond start-up, which took {start_up:.2f} s"
        RESULTS.measure(name, claim, sides, "s", goal=goal, note=note)


def main() -> None:
    """Measure everything and keep the results."""
    data, query = Path(sys.argv[1]), Path(sys.argv[2]) if sys.argv[2:] else None
    with TemporaryDirectory() as place:
        folder = Path(place)
        text = folder / "ptb.txt"
        text.write_bytes(gzip.decompress((data / "ptb" / "ptb.train.txt.gz").read_bytes()))
        words = {"tokens": "words", "word_split": "whitespace", "split": "100/0/0"}
        run = thence.train(text, "ngram", output=folder / "ptb", order=5, **words)
        model, peer = folder / "ptb.arpa", None
        try:
            import kenlm
        except ImportError:
            pass
        else:
            thence.export(run, model)
            peer = kenlm.Model(str(model)).score
        if query is not None:
            binary = query.with_name("build_binary")
            if binary.exists():
                run_program([binary, "probing", model, folder / "ptb.probing"], check=True)
                model = folder / "ptb.probing"
        in_python(run, peer, [line.strip() for line in text.read_text("utf-8").splitlines()])
        on_the_command_line(folder / "ptb", text, query, model)
        thence.next_tokens(run, TEXT)
        sides = {"thence": cpu(lambda: [thence.next_tokens(run, TEXT) for _ in range(200)])}
        claim = "next tokens after 18 words by a 5-gram, in process"
        RESULTS.measure("next", claim, sides, "ms", scale=1e3 / 200, goal="<= 1")
        names = thence.train(
            data / "names" / "names.txt", "ngram", output=folder / "names", order=6
        )
        thence.sample(names, 10)
        drawn = [DRAWN / cpu(lambda: thence.sample(names, DRAWN))() for _ in range(3)]
        RESULTS.add("names", "names drawn from a 6-gram", {"thence": drawn}, "/s", goal=">= 10000")


if __name__ == "__main__":
    main()
