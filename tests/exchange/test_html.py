"""Models as pages: what is in the file. What the script makes of it is in test_html_script.py."""

import base64
import html
import json
import re
import zlib
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from thence import mix, train
from thence.errors import RunError, SettingError
from thence.exchange import export, export_checked
from thence.exchange.html import PAGE, best_page, export_html
from thence.exchange.html.language import OPERATORS, _as_ngrams
from thence.exchange.html.packing import Pack, quantize_rows, rounded
from thence.models.language.bigram_counts import BigramCounts, BigramCountsOptions

NAMES = ("anna", "annabel", "maria", "martin", "otto", "nora", "</script>", "a<b&c") * 6


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "names.txt"
    path.write_text("\n".join(NAMES))
    return path


def header_of(page: str) -> tuple[dict[str, Any], bytes]:
    """Return the header of a page, and the bytes of its arrays."""
    found = re.search('id="model">([^<]*)</script>', page)
    assert found
    whole = zlib.decompress(base64.b64decode(found[1]))
    size = int.from_bytes(whole[:4], "little")
    return json.loads(whole[4 : 4 + size]), whole[-(-(4 + size) // 8) * 8 :]


def test_a_page_says_what_it_is_and_no_path_of_its_maker(text: Path, tmp_path: Path) -> None:
    run = train(text, "bigram-counts", output=tmp_path / "runs" / "<b>names")
    page = export(run, tmp_path / "names.html").read_text(encoding="utf-8")
    assert "<h1><bdi>&lt;b&gt;names</bdi></h1>" in page
    assert "<title>&lt;b&gt;names</title>" in page
    for fact in ("bigram-counts", "names.txt", "characters", "bits ("):
        assert fact in page
    assert "class NGrams" in page and "class Network" not in page  # Only what its model needs.
    whole = page + json.dumps(header_of(page)[0])
    assert str(tmp_path) not in whole and tmp_path.name not in whole


def test_only_its_own_script_and_style_may_run(text: Path, tmp_path: Path) -> None:
    page = export(train(text, "bigram-counts", output=tmp_path / "run"), tmp_path / "a.html")
    content = page.read_text(encoding="utf-8")
    policy = html.unescape(re.findall('content="(default-src[^"]*)"', content)[0])
    assert policy.startswith("default-src 'none'")
    for part, tag in (("script-src", "script"), ("style-src", "style")):
        (code,) = re.findall(f"<{tag}>(.*?)</{tag}>", content, re.DOTALL)
        hashed = base64.b64encode(sha256(code.encode()).digest()).decode()
        assert f"{part} 'sha256-{hashed}'" in policy
    assert content.count("<script") == 2 and "http:" not in content and "https:" not in content


def test_symbols_may_look_like_markup(text: Path, tmp_path: Path) -> None:
    run = train(text, "ngram", output=tmp_path / "run", tokens="words", word_split="whitespace")
    page = export(run, tmp_path / "a.html").read_text(encoding="utf-8")
    assert "</script>" in header_of(page)[0]["tokenizer"]["symbols"]
    assert page.count("</script>") == 2


def test_a_page_has_the_bits_that_are_enough(text: Path, tmp_path: Path) -> None:
    run = train(text, "mlp", output=tmp_path / "run", steps=5, threads=1, hidden_size=100)
    enough = best_page(run)
    assert enough.bits == 16 and enough.difference < 1e-3
    tight = best_page(run, len(enough.content) - 1)
    assert tight.bits < 16 and tight.difference > enough.difference
    with pytest.raises(RunError, match="bits each, more than the"):
        export_html(run, tmp_path / "a.html", 30_000)
    assert not (tmp_path / "a.html").exists()
    exported = export_checked(run, tmp_path / "b.html")
    assert exported.difference == enough.difference
    assert "weights with 16 bits each; on texts drawn from it" in exported.note


def test_what_a_page_cannot_ask_is_left_out_or_refused(text: Path, tmp_path: Path) -> None:
    run = train(text, "ngram", output=tmp_path / "ngram")
    cache = train(text, "cache", output=tmp_path / "cache")
    mixing = train(text, "context-mixing", output=tmp_path / "mixing")
    mixed = mix([run, cache, mixing], tmp_path / "mix", weights="single")
    exported = export_checked(mixed, tmp_path / "mix.html")
    assert "The page has no cache order 1 length 500" in exported.note
    page = exported.path.read_text(encoding="utf-8")
    model = header_of(page)[0]["model"]
    assert model["names"] == ["ngram order 5"]
    assert model["members"][0]["kind"] == "ngrams"
    assert "context-mixing: other parts have their weight" in page and "the whole run" in page
    with pytest.raises(SettingError, match="only remembers the text that it reads"):
        export(cache, tmp_path / "cache.html")
    with pytest.raises(SettingError, match="'context-mixing', which cannot be written as a page"):
        export(mixing, tmp_path / "mixing.html")


@pytest.mark.parametrize("add_k", [0.0, 0.5])
def test_counted_pairs_are_ngrams(add_k: float) -> None:
    model = BigramCounts(BigramCountsOptions(add_k), 4)
    # Pairs 0 1 twice, 0 3 once, 1 0 once, 3 0 three times; nothing follows 2.
    model.load_tensors({"keys": np.array([1, 3, 4, 12]), "counts": np.array([2, 1, 1, 3])})
    ids = np.arange(4)
    expected = model.step(ids, None)[0]
    found = _as_ngrams(model)
    assert found.step(ids, found.start(4))[0] == pytest.approx(expected, rel=1e-6)


FLOATS = st.floats(-1e3, 1e3, width=32) | st.just(-np.inf)


@settings(max_examples=25, deadline=None)
@given(
    arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 6)), elements=FLOATS),
    st.sampled_from([8, 12, 16]),
)
def test_rounding_keeps_to_half_a_step(values: np.ndarray, bits: Any) -> None:
    found = rounded(values, bits)
    codes, scales = quantize_rows(values, bits)
    finite = np.isfinite(values)
    assert np.array_equal(np.isneginf(found), np.isneginf(values))
    steps = np.broadcast_to(scales[:, None], values.shape)[finite]
    assert np.all(np.abs(found[finite] - values[finite]) <= 0.501 * steps)
    # What was rounded once stays as it is, but for the last bits.
    assert rounded(found, bits)[finite] == pytest.approx(found[finite], rel=1e-6)
    assert codes.dtype == np.dtype("int8" if bits == 8 else "int16")


def test_few_different_values_are_listed_once() -> None:
    pack, values = Pack(), np.repeat(np.array([-np.inf, 0.1, 3], np.float32), 200)
    pack.add("a", values)
    header, content = header_of(f'id="model">{pack.to_base64({})}</script>')
    about = header["arrays"]["a"]
    listed = header["arrays"][about["values"]]
    codes = np.frombuffer(content, about["type"], 600, about["at"])
    assert about["type"] == "uint8"
    assert np.array_equal(np.frombuffer(content, "<f4", 3, listed["at"])[codes], values)


def test_the_script_has_the_operators_that_are_named() -> None:
    script = (PAGE / "graph.js").read_text(encoding="utf-8")
    (table,) = re.findall(r"const OPERATORS = \{\n(.*?)^\};", script, re.DOTALL | re.MULTILINE)
    assert set(re.findall(r"^  (\w+):", table, re.MULTILINE)) == OPERATORS
