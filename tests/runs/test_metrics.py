import errno
import os
from pathlib import Path

import pytest

from thence.errors import RunError
from thence.runs.metrics import append_json_line, read_json_lines, truncate


def test_append_returns_the_size_and_truncate_goes_back_to_it(tmp_path: Path) -> None:
    metrics = tmp_path / "metrics.jsonl"
    size = append_json_line(metrics, {"step": 1})
    assert size == len('{"step": 1}\n') == metrics.stat().st_size
    append_json_line(metrics, {"step": 2})
    truncate(metrics, size)
    assert read_json_lines(metrics) == [{"step": 1}]


def test_truncate_never_makes_a_file_longer(tmp_path: Path) -> None:
    metrics = tmp_path / "metrics.jsonl"
    truncate(metrics, 100)
    assert not metrics.exists()
    size = append_json_line(metrics, {"step": 1})
    truncate(metrics, size + 100)
    assert metrics.stat().st_size == size


def test_an_unfinished_last_line_is_left_out_and_written_over(tmp_path: Path) -> None:
    path = tmp_path / "looks.jsonl"
    path.write_text('{"n": 1}\n{"n": ')
    assert read_json_lines(path) == [{"n": 1}]
    append_json_line(path, {"n": 2})
    assert read_json_lines(path) == [{"n": 1}, {"n": 2}]
    path.write_text('{"n')
    append_json_line(path, {"n": 3})
    assert read_json_lines(path) == [{"n": 3}]


def test_a_full_disk_leaves_the_lines_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "metrics.jsonl"
    append_json_line(path, {"n": 1})

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=r"Cannot write .*No space left on device"):
        append_json_line(path, {"n": 2})
    assert path.read_text() == '{"n": 1}\n'


@pytest.mark.parametrize("damage", [b'{"n": 1}\n{"n" 2}\n', b"\xff\n", b"\n\n"])
def test_a_damaged_line_is_a_sentence(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(damage)
    with pytest.raises(RunError, match=r"metrics\.jsonl, line \d, is damaged"):
        read_json_lines(path)


def test_no_file_is_no_lines(tmp_path: Path) -> None:
    assert read_json_lines(tmp_path / "none.jsonl") == []
