import json
import pickle
import unicodedata
import warnings

import pytest

from thence.errors import TextError, ThenceWarning
from thence.printable import UNSAFE, printable, printable_json, printable_line


def test_every_control_character_is_shown_and_nothing_else():
    plain = "zoë 日本 \u200d\u200f\U0001f600\n\t"
    assert printable(plain) == plain
    for number in range(0x110000):
        char = chr(number)
        if unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") and char not in "\n\t":
            assert UNSAFE.match(char), hex(number)
    assert printable("\x1b\x9b\x7f\r\u202e\u2028\udcff") == r"\x1b\x9b\x7f\x0d\u202e\u2028\udcff"


def test_one_line_stays_one_line():
    assert printable_line("a\nb\tc\x85d") == r"a\nb\tc\x85d"


def test_json_keeps_its_value():
    value = "".join(map(chr, range(0x2100))) + "\u2066\udcff"
    shown = printable_json(json.dumps(value, ensure_ascii=False))
    assert json.loads(shown) == value
    assert not UNSAFE.search(shown) and "\n" not in shown


def test_messages_of_errors_and_warnings_are_safe():
    error = TextError("a\x1b]52;c;eA==\x07")
    assert str(error) == r"a\x1b]52;c;eA==\x07"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    with pytest.warns(ThenceWarning) as caught:
        warnings.warn("a\x1bb", ThenceWarning, stacklevel=1)
    assert str(caught[0].message) == r"a\x1bb"
