r"""Text that is safe to print: characters that control a terminal are replaced by their codes.

A label, a token or a file name may contain anything, such as the escape sequence that sets the
reader's clipboard. These characters are replaced:

| characters                                      | why                                       |
|-------------------------------------------------|-------------------------------------------|
| U+0000 to U+001F, except line ends and tabs      | control characters; ESC begins a sequence |
| U+007F to U+009F                                 | DEL, and controls of 8 bits: CSI, OSC     |
| U+061C, U+202A to U+202E, U+2066 to U+2069       | reverse the order of the text on screen   |
| U+2028, U+2029                                   | end a line in some programs               |
| U+D800 to U+DFFF                                 | half a pair: no encoding can write it     |
"""

import re

UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u202a-\u202e\u2066-\u2069\u2028\u2029\ud800-\udfff]"
)


def printable(text: str) -> str:
    r"""Return the text with each unsafe character as its code; line ends and tabs stay.

    >>> print(printable("a\x1b]52;c;eA==\x07b"))
    a\x1b]52;c;eA==\x07b
    >>> print(printable("a\u202eb"))
    a\u202eb
    """
    return UNSAFE.sub(_code, text)


def printable_line(text: str) -> str:
    r"""Return the text as ``printable`` does, on one line: line ends and tabs are codes too.

    >>> print(printable_line("a\nb"))
    a\nb
    """
    return printable(text).replace("\n", r"\n").replace("\t", r"\t")


def printable_symbol(symbol: str) -> str:
    r"""Return a symbol of a vocabulary with visible spaces and escaped control characters.

    >>> print(printable_symbol(" a"), printable_symbol("\n"))
    ␣a \n
    """
    shown = symbol.replace(" ", "␣")
    return shown if shown.isprintable() else repr(symbol)[1:-1]


def printable_json(text: str) -> str:
    r"""Return JSON with the unsafe characters of its strings as JSON's own escapes.

    >>> print(printable_json('"a\x9bb"'))
    "a\u009bb"
    """
    # The regular expression is slow, so test first: JSON escapes all of these in ASCII but DEL.
    if ("\x7f" not in text) if text.isascii() else text.isprintable():
        return text
    return UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _code(found: re.Match[str]) -> str:
    number = ord(found[0])
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}"
