"""The page's reading of a text by several models: as ``score`` reads it, and only what is new."""

import json
import urllib.request

import numpy as np
import pytest

import thence
from thence.serve import loaded_runs, page_files
from thence.serve.limits import Limits
from thence.serve.reading import FEW_IDS

from .conftest import PATIENCE

LONG = "\n".join(["Anna", "Marta", "Otto"] * 40)


def ask_strips(server, models, text, **settings):
    """Return the answer of each model by its name."""
    body = json.dumps({"models": models, "text": text, **settings}).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(server.address + "/playground/strips", body, headers)
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        *events, last, rest = answer.read().decode().split("\n\n")
    assert (last, rest) == ("data: [DONE]", "")
    found = [json.loads(event.removeprefix("data: ")) for event in events]
    return {one["model"]: one for one in found}


def test_a_text_that_is_edited_is_read_as_score_reads_it(server, runs_folder):
    texts = ["", "M", "Mar", "Marta", "Mart", "Anna", "Ann\nMarta", LONG, LONG + "a", LONG[5:]]
    texts += [LONG[: len(LONG) // 2] + "x" + LONG[len(LONG) // 2 :], "Marta"]
    models = ["names", "counts", "running", "bytes", "subwords", "sentences"]
    for text in texts:
        strips = ask_strips(server, models, text)
        assert set(strips) == set(models)
        for name, strip in strips.items():
            ids = server.models[name].encode(text)
            assert strip["ids"] == ids.tolist()
            assert len(strip["starts"]) == len(strip["ends"]) == len(strip["bits"]) == len(ids)
            lines = [line for line in text.split("\n")[:-1] if line] + text.split("\n")[-1:]
            scored = thence.score(runs_folder / name, lines, tokens=True)
            bits = [token["surprisal_bits"] for line in scored for token in line["tokens"]]
            if name != "running":  # There each line would begin anew.
                np.testing.assert_allclose([*strip["bits"], strip["end_bits"]], bits, atol=2e-3)


def test_a_network_asked_in_both_forms_is_read_too(start_server, runs_folder, monkeypatch):
    monkeypatch.setattr(loaded_runs, "MANY_WEIGHTS", 0)
    with start_server("names") as started:
        for text in (LONG, LONG + "a"):
            strip = ask_strips(started, ["names"], text)["names"]
            scored = thence.score(runs_folder / "names", text.split("\n"), tokens=True)
            bits = [token["surprisal_bits"] for line in scored for token in line["tokens"]]
            np.testing.assert_allclose([*strip["bits"], strip["end_bits"]], bits, atol=2e-3)


def test_a_text_may_be_four_times_as_long_as_a_prompt(start_server):
    with start_server("counts", limits=Limits(max_prompt=500)) as started:
        assert len(ask_strips(started, ["counts"], "a" * 2000)["counts"]["ids"]) == 2000
        problem = ask_strips(started, ["counts"], "a" * 2001)["counts"]["problem"]
        assert (
            problem == "The text has 2,001 tokens; this server reads at most 2,000 (--max-prompt)."
        )


def test_what_has_not_changed_is_not_read_twice(server):
    text = "Anna" * (FEW_IDS // 4 + 1)
    ask_strips(server, ["running"], text)
    rows = server.models["running"].worker.rows_read
    ask_strips(server, ["running"], text)
    assert server.models["running"].worker.rows_read == rows
    ask_strips(server, ["running"], text + "n")
    assert server.models["running"].worker.rows_read == rows + 1


def test_a_place_has_its_distribution_rank_and_entropy(server):
    strip = ask_strips(server, ["names"], "Marta", place=3, top=5)["names"]
    before = ask_strips(server, ["names"], "Mar", top=5)["names"]["end"]
    at = strip["at"]
    assert at["index"] == 3
    ids = [token["id"] for token in at["tokens"]]
    probs = [token["probability"] for token in at["tokens"]]
    assert set(ids[:5]) == {token["id"] for token in before["tokens"][:5]}
    actual = strip["ids"][3]
    np.testing.assert_allclose(-np.log2(probs[ids.index(actual)]), strip["bits"][3], atol=1e-3)
    assert at["rank"] == 1 + sum(one > probs[ids.index(actual)] for one in probs)
    rest = sum(mean * size for mean, size in at["tail"])
    assert sum(probs) + rest == pytest.approx(1, abs=1e-5)
    assert sum(size for _, size in at["tail"]) + len(ids) == len(server.models["names"].token_names)
    assert at["entropy"] == pytest.approx(before["entropy"])


def test_one_model_s_problem_is_told_beside_the_others(server):
    strips = ask_strips(server, ["closed", "names", "opinions", "nobody"], "qq")
    assert "'q'" in strips["closed"]["problem"]
    assert strips["names"]["ids"]
    assert "is no language model" in strips["opinions"]["problem"]
    assert "nobody" in strips["nobody"]["problem"]


def test_the_page_is_one_script_and_one_sheet_compressed_and_with_a_tag(server):
    for name in ("page.js", "page.css"):
        url = f"{server.address}/page/{name}"
        request = urllib.request.Request(url, headers={"Accept-Encoding": "gzip"})
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            assert answer.headers["Content-Encoding"] == "gzip"
            tag = answer.headers["ETag"]
            assert len(answer.read()) < 90_000
        request = urllib.request.Request(url, headers={"If-None-Match": tag})
        with pytest.raises(urllib.error.HTTPError) as found, urllib.request.urlopen(request):
            pass
        with found.value as error:
            assert error.code == 304
    assert server.refusal("/page/nothing.js", status=404)


def test_modules_are_joined_in_the_order_of_their_imports(tmp_path):
    (tmp_path / "main.js").write_text('import { b as c } from "./b.js";\nc();\n', "utf-8")
    (tmp_path / "b.js").write_text("const a = 1;\nexport function b() { return a; }\n", "utf-8")
    joined = page_files.join_modules(tmp_path)
    assert joined.index('modules["b.js"] =') < joined.index("const { b: c } = modules")
    assert "return { b };" in joined
    (tmp_path / "b.js").write_text("export default 1;\n", "utf-8")
    with pytest.raises(ValueError, match=r"b\.js has what cannot be joined: export default"):
        page_files.join_modules(tmp_path)
    (tmp_path / "b.js").write_text('import { m } from "./main.js";\n', "utf-8")
    with pytest.raises(ValueError, match=r"main\.js imports itself"):
        page_files.join_modules(tmp_path)


def test_continuations_are_scored_and_copies_of_train_are_marked(server, runs_folder):
    request = {"model": "counts", "text": "An", "count": 16, "max_tokens": 12, "seed": 1}
    found = server.ask("/playground/continuations", request)["continuations"]
    assert len(found) == 16
    names = set(thence.open_run(runs_folder / "counts").documents("train"))
    for one in found:
        assert "".join(one["tokens"]) == one["text"]
        assert one["copied"] == (one["finished"] and "An" + one["text"] in names)
        first, stop = one["match"]
        assert "".join(one["tokens"][first:stop]) in "\n".join(names)
    assert any(one["copied"] for one in found) and not all(one["copied"] for one in found)
    [scored] = thence.score(runs_folder / "counts", "An" + found[0]["text"], tokens=True)
    bits = [token["surprisal_bits"] for token in scored["tokens"]][2:]
    np.testing.assert_allclose(found[0]["bits"], bits[: len(found[0]["bits"])], atol=1e-3)
