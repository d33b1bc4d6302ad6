"""Files read a part at a time have the records that they have when read whole."""

from itertools import chain
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thence.corpus import ReadingOptions
from thence.corpus.reading import parse
from thence.errors import ThenceError
from thence.filtering import records
from thence.filtering.records import Part, open_lines

ODD = st.text(st.sampled_from('ab,"\n\r\t \ufeffé\u2028\0'), max_size=30)
OBJECTS = st.lists(
    st.one_of(
        st.just(""),
        st.just(" "),
        ODD.map(lambda text: '{"text": "' + text.replace('"', "").replace("\n", "") + '"}'),
        st.sampled_from(['{"text": "\\u0000"}', '{"text": NaN}', '{"text": "\\ud83d\\ude00"}']),
    ),
    max_size=5,
).map("\n".join)


def whole(data: bytes, name: str) -> list[str] | None:
    """Return the documents of a file that is read whole; None if it is refused."""
    try:
        return list(parse(data, name, ReadingOptions(keep_empty=True)))
    except ThenceError:
        return None


def in_parts(path: Path, name: str) -> tuple[list[str], bytes] | None:
    """Return the documents of a file that is read in parts, and the bytes of all records."""
    try:
        file = open_lines(path, name, None)
        parts = [part for part, _ in file.parts()]
        # As a process of its own gets them.
        texts = [
            text for part in parts for text in Part.from_bytes(part.to_bytes()).documents("strict")
        ]
        return texts, file.header + b"".join(
            chain.from_iterable(some for some, _ in file.records())
        )
    except ThenceError:
        return None


@pytest.mark.filterwarnings("ignore")  # Some look like other kinds of files.
@settings(max_examples=60)
@given(st.data())
@pytest.mark.parametrize("name", ["x.txt", "x.csv", "x.tsv", "x.jsonl"])
def test_parts_have_the_documents_of_the_whole(
    name: str, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    text = data.draw(OBJECTS if name == "x.jsonl" else ODD)
    header = data.draw(st.sampled_from(["", "text\n", "text,b\n", "a\ttext\r\n"]))
    text = header + text if name in ("x.csv", "x.tsv") else text
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes(text.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "PART", data.draw(st.integers(1, 30)))
        found = in_parts(path, name)
    expected = whole(text.encode(), name)
    if expected is None or found is None:
        assert found is None or found[0] == [] or b"\0" in text.encode(), text
        assert expected is None or found is None
        return
    assert found[0] == expected
    if name == "x.txt":
        assert found[1] == text.encode()
