"""thence classify: lines, tables and what is typed; explanations; odd input."""

import io
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

import thence as library
from thence.cli.colours import coloured
from thence.cli.main import main
from thence.evaluation.explain import Contribution, Explanation

from .conftest import strict_json

pytestmark = pytest.mark.usefixtures("folder")

KNOWN = ("unknown", "nothing_known")


def lines(outcome):
    assert (outcome.code, outcome.err) == (0, "")
    return [strict_json(line) for line in outcome.out.split("\n")[:-1]]


def at_a_terminal(monkeypatch, *streams):
    for stream in streams:
        monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)


def test_each_line_has_a_line_of_output(thence, opinions):
    Path("in.txt").write_text("a good film\r\n\n\nnot good ü")
    found = lines(thence("classify", opinions.folder, "in.txt"))
    assert found == [
        one.to_json() for one in library.classify(opinions, ["a good film", "", "", "not good ü"])
    ]
    assert [line["text"] for line in found] == ["a good film", "", "", "not good ü"]
    assert list(found[0]) == ["text", "label", "probability", "probabilities", *KNOWN]
    assert found[0]["label"] == "pos" and set(found[0]["probabilities"]) == {"pos", "neg"}


def test_standard_input_is_read_where_no_text_is_named(thence, opinions):
    for arguments in ([], ["-"]):
        outcome = thence("classify", opinions.folder, *arguments, stdin="a bad film\n\ngood\n")
        assert [line["label"] for line in lines(outcome)][::2] == ["neg", "pos"]


def test_a_table_and_what_is_left_out(thence, opinions):
    Path("t.csv").write_text("id,said\n1,a good film\n2,\n3,a bad film\n")
    arguments = ["classify", opinions.folder, "t.csv", "--column", "said", "--no-text", "--top", 1]
    found = lines(thence(*arguments))
    assert [list(line) for line in found] == [["label", "probability", "probabilities", *KNOWN]] * 3
    assert [len(line["probabilities"]) for line in found] == [1, 1, 1]
    assert len(lines(thence(*arguments, "--no-keep-empty"))) == 2


def test_several_labels(thence, topics):
    stdin = "war and trade\nthe\n"
    first, _ = lines(thence("classify", topics.folder, stdin=stdin))
    assert sorted(first["labels"]) == ["economy", "politics"] and "label" not in first
    for line in lines(thence("classify", topics.folder, "--threshold", 1, stdin=stdin)):
        assert line["labels"] == []


def test_explanations_are_in_the_json(thence, opinions):
    (line,) = lines(thence("classify", opinions.folder, "--explain", stdin="a good film\n"))
    expected = library.explain(opinions, "a good film")
    assert line["explained"] == "pos"
    assert [word for word, _ in line["explanation"]] == ["a", "good", "film"]
    assert line["explanation"] == [[p.text, round(p.weight, 6)] for p in expected.tokens]
    outcome = thence("classify", opinions.folder, "--explain", "--label", "neg", stdin="good\n")
    assert lines(outcome)[0]["explained"] == "neg"


def test_what_is_typed_is_answered_line_by_line(thence, opinions, monkeypatch, capsys):
    typed = io.TextIOWrapper(io.BytesIO(b"good\n\nzzz\n"))
    monkeypatch.setattr(sys, "stdin", typed)
    at_a_terminal(monkeypatch, sys.stdin)
    main(["classify", str(opinions.folder)])
    captured = capsys.readouterr()
    assert [json.loads(line)["text"] for line in captured.out.splitlines()] == ["good", "", "zzz"]
    first, second = captured.err.splitlines()
    assert first == "Type a text and press Enter (Ctrl-D ends)."
    assert second.startswith("1 of the symbols in 'zzz' never occurs")


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ([], r"pos  0\.\d{4}  \x1b\[36m█+\x1b\[0m\nneg  0\.\d{4}(  \x1b\[36m█+\x1b\[0m)?\n"),
        (["--explain"], r"\x1b\[1mpos  0\.\d{4}\x1b\[0m\n.*good.*\n"),
        (["--json"], r'\{"text":"a good film",.*\}\n'),
    ],
)
def test_a_person_sees_bars_and_colours(opinions, monkeypatch, capsys, flags, expected):
    monkeypatch.setenv("COLORTERM", "truecolor")  # rich keeps what it once made of a style
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a good film\n")))
    at_a_terminal(monkeypatch, sys.stdin, sys.stdout)
    main(["classify", str(opinions.folder), *flags])
    assert re.fullmatch(expected, capsys.readouterr().out)


def test_colours_and_marks_of_a_terminal(monkeypatch):
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    parts = (
        Contribution("good", 0, 4, 2.0),
        Contribution("bad", 5, 8, -2.0),
        Contribution("\x1b[31m", 9, 14, 0.0),
    )
    text = coloured(Explanation("good bad \x1b[31m", "pos", 0.75, parts))
    assert text.splitlines()[0] == "\x1b[1mpos  0.7500\x1b[0m"
    assert "\x1b[1;30;48;2;0;158;115mgood\x1b[0m" in text  # bold, on bluish green
    assert "\x1b[1;4;30;48;2;213;94;0mbad\x1b[0m" in text  # underlined, on vermilion
    assert text.endswith(r" \x1b[31m")
    monkeypatch.setenv("COLORTERM", "")
    monkeypatch.setenv("TERM", "linux")
    assert "\x1b[1;32mgood\x1b[0m" in coloured(Explanation("good bad \x1b[31m", "p", 0.7, parts))


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.words, self.text = [], [], text
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.words.append(data)


def test_a_page_explains_each_document(thence, opinions, folder):
    stdin = "a good film\n\n<script>alert('bad')</script> $title &amp; bad\n"
    outcome = thence("classify", opinions.folder, "--html", "sub/page.html", stdin=stdin)
    assert (outcome.code, outcome.out) == (0, "sub/page.html\n")
    page = Page((folder / "sub/page.html").read_text("utf-8"))
    tags = [tag for tag, _ in page.tags]
    assert "script" not in tags and "link" not in tags and "img" not in tags
    assert tags.count("li") == 3
    assert "default-src 'none'" in page.text and "http" not in page.text.replace("http-equiv", "")
    assert "<script>alert('bad')</script> $title &amp; bad" in "".join(page.words)
    words = [of for _, of in page.tags if of.get("title", "").endswith(" nats")]
    strongest = [of for of in words if "/ 70%)" in of["style"] and of["title"][0] in "+-"]
    assert strongest
    for word in strongest:
        assert ("213 94 0" in word["style"]) == word["title"].startswith("-")


@pytest.mark.slow
def test_odd_lines(thence, opinions):
    long = "good film " * 100_000
    first, second = lines(thence("classify", opinions.folder, stdin=f"{long}\n\u2028\n"))
    assert (first["text"], first["label"], second["text"]) == (long, "pos", "\u2028")
    outcome = thence("classify", opinions.folder, "--explain", "--no-text", stdin=f"{long}\n")
    assert len(lines(outcome)[0]["explanation"]) <= 20


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["classify", "RUN", "gone.txt"], "gone.txt does not exist. Is the path spelt right?"),
        (["classify", "RUN", "--top", "0"], "--top is 0; it must be a whole number of at least 1."),
        (["classify", "RUN", "--threshold", "0.5"], "gives each document exactly one label"),
        (["classify", "RUN", "--label", "neg"], "give --explain or --html too."),
        (["classify", "RUN", "--explain", "--label", "nag"], "Did you mean 'neg'?"),
        (["classify", "LANGUAGE"], "is a language model (mlp), not a classifier."),
        (["sample", "RUN"], "is a classifier (averaging), which knows labels"),
        (["next", "RUN", "a"], "is a classifier (averaging), which knows labels"),
        (["score", "RUN", "-"], "is a classifier (averaging), which knows labels"),
        (["export", "RUN", "x.arpa"], "an ARPA file can only hold an n-gram model"),
    ],
)
def test_what_cannot_be_is_one_sentence(thence, opinions, sentences, arguments, message):
    runs = {"RUN": opinions.folder, "LANGUAGE": sentences.folder}
    outcome = thence(*(runs.get(word, word) for word in arguments), stdin="a\n")
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err and outcome.err.count("\n") == 1


def test_bytes_that_are_not_utf_8_are_named(opinions, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"good\nb\xffd\n")))
    with pytest.raises(SystemExit) as stop:
        main(["classify", str(opinions.folder)])
    assert stop.value.code == 2
    assert "standard input" in capsys.readouterr().err


@pytest.mark.slow
def test_a_reader_that_has_enough_ends_it_quietly(opinions):
    Path("in.txt").write_text("a good film\n" * 100_000)
    command = f"{sys.executable} -m thence classify {opinions.folder} in.txt | head -n 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert strict_json(done.stdout)["label"] == "pos"
    assert done.stderr == ""


def test_a_page_never_replaces_a_file(thence, opinions):
    Path("kept.csv").write_text("text\nmine\n")
    outcome = thence("classify", opinions.folder, "kept.csv", "--html", "kept.csv")
    assert outcome.code == 2 and "kept.csv exists already and is left as it is" in outcome.err
    assert Path("kept.csv").read_text() == "text\nmine\n"


def test_marks_of_labels_are_no_text(thence, opinions):
    Path("marked.txt").write_text("__label__pos a good film\n__label__a __label__b bad\nlong\n")
    found = lines(thence("classify", opinions.folder, "marked.txt"))
    assert [line["text"] for line in found] == ["a good film", "bad", "long"]


def test_empty_lines_alone_are_answered(thence, opinions):
    assert len(lines(thence("classify", opinions.folder, stdin="\n\n"))) == 2


def test_texts_of_which_nothing_is_known_are_told(thence, opinions):
    outcome = thence("classify", opinions.folder, stdin="a good film\nzzz qqq\n\n")
    known, unknown, empty = map(json.loads, outcome.out.splitlines())
    assert (known["unknown"], known["nothing_known"]) == (0.0, False)
    assert (unknown["unknown"], unknown["nothing_known"]) == (1.0, True)
    assert (empty["unknown"], empty["nothing_known"]) == (0.0, True)
    assert outcome.err == (
        "1 of 3 texts have nothing that occurs in the train text: their labels are guesses "
        "(nothing_known in the JSON).\n"
    )
