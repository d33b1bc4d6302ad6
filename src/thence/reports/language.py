"""What the report of a language model shows, from its sentence to its doubts."""

from collections.abc import Iterable

from thence.generation import sample
from thence.reports.content import Block, Folded, Note, Pairs, RunningText, Section, Texts, Token
from thence.reports.family import family_sections
from thence.reports.learned import calibration_section, gain_section, where_section
from thence.reports.opening import opening, opening_without_dev
from thence.reports.reading import DevReading, read_dev
from thence.reports.surprisal import surprisal_section
from thence.reports.training import training_sections
from thence.runs import Run

SAMPLES = 20
MOST_CHARACTERS, FIRST = 3000, 4
"""Characters of all samples together above which only so many of them are not folded away."""
SHORT_TEXT = 30
"""Characters up to which several texts have room beside each other."""
COPY = "0 158 115"
"""The colour behind samples that are copies, as red, green and blue."""
REPLACED = "\ufffd stands for an unknown symbol, or for bytes that make no character"


def language_blocks(run: Run) -> list[Block]:
    """Return the report without its title; what there is nothing to say about is left out."""
    reading = read_dev(run)
    if reading is None:
        first, on_dev = opening_without_dev(run), []
    else:
        first = [*opening(reading), Folded("in other units", [Pairs(reading.report.rows())])]
        on_dev = dev_sections(reading)
    return [
        *first,
        samples_section(run),
        *training_sections(run, reading),
        *family_sections(run, reading),
        *on_dev,
    ]


def dev_sections(reading: DevReading) -> list[Section]:
    """Return what is found on dev."""
    is_probability = getattr(reading.run.model, "is_probability", True)
    return [
        *gain_section(reading),
        surprisal_section(reading),
        *where_section(reading),
        *(calibration_section(reading) if is_probability else []),
    ]


def samples_section(run: Run) -> Section:
    """Return texts drawn from the model, copies of train documents marked."""
    drawn = sample(run, SAMPLES)
    about = f"{SAMPLES} texts drawn at temperature 1"
    if drawn.copies is not None:
        some = "1 is a copy" if drawn.copies == 1 else f"{drawn.copies} are copies"
        copies = some if drawn.copies else "none is a copy"
        about += f"; {copies} of a train document"
        about += " (green, underlined)" if drawn.copies else ""
    if any("\ufffd" in text for text in drawn.texts):
        about += f". {REPLACED}"
    items = []
    for place, text in enumerate(drawn.texts):
        copied = bool(drawn.copied) and drawn.copied[place]
        token = Token(text or "\u00a0", "a copy of a train document", COPY, 0.4, True)
        items.append(RunningText([token if copied else text]))
    first, rest = items, items[:0]
    if sum(map(len, drawn.texts)) > MOST_CHARACTERS:
        first, rest = items[:FIRST], items[FIRST:]
    folded = [Folded(f"{len(rest)} more", [Texts(rest)])] if rest else []
    shown = Texts(first, _are_short(drawn.texts))
    return Section("Samples", [Note(f"{about}."), shown, *folded])


def _are_short(texts: Iterable[str]) -> bool:
    return max(map(len, texts)) <= SHORT_TEXT
