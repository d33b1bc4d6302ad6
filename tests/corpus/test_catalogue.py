import re

import pytest

from thence.corpus import CATALOGUE
from thence.corpus.catalogue import Dataset


@pytest.mark.parametrize("entry", CATALOGUE.values(), ids=CATALOGUE.keys())
def test_every_entry_is_complete(entry: Dataset) -> None:
    assert entry.description
    assert entry.licence
    assert entry.origin
    roles = [file.role for file in entry.files]
    assert len(set(roles)) == len(roles)
    assert {"all", "train", "vectors"} & set(roles)
    for file in entry.files:
        assert re.fullmatch(r"[\w.-]+\.(txt|csv)", file.name)
        assert re.fullmatch(r"https?://\S+", file.remote.url)
        assert all(
            re.fullmatch("[0-9a-f]{64}", sum) for sum in (file.remote.sha256, file.sha256) if sum
        )
    assert len({file.name for file in entry.files}) == len(entry.files)


@pytest.mark.parametrize("entry", CATALOGUE.values(), ids=CATALOGUE.keys())
def test_addresses_on_github_name_a_commit(entry: Dataset) -> None:
    for file in entry.files:
        if "githubusercontent" in file.remote.url:
            assert re.search(r"/[0-9a-f]{40}/", file.remote.url)


def test_a_download_for_two_files_counts_once() -> None:
    assert CATALOGUE["imdb"].download_size == 84_125_825
