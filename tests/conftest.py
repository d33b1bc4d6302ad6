"""What several tests share: small texts, and a cache of their own.

With THENCE_CHECK_SHAPES=1 in the environment shapes and types are checked at run time. Not by
default, since then settings of a wrong type never reach the code that refuses them.
"""

import os

from jaxtyping import install_import_hook

if os.environ.get("THENCE_CHECK_SHAPES"):
    CHECKED = ("tokens", "batches", "models", "classifiers", "evaluation", "generation")
    install_import_hook([f"thence.{package}" for package in CHECKED], "beartype.beartype")

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from thence.corpus import Documents
from thence.tokens import TokenOptions, TokenStore, make_tokenizer

FIVE_NAMES = ("emma", "olivia", "ava", "isabella", "sophia")


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep every test's cache in a folder of its own."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("THENCE_HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def store_of() -> Callable[[Iterable[str]], TokenStore]:
    """Characters of texts as ids in order of code point, the boundary last."""

    def make(texts: Iterable[str]) -> TokenStore:
        documents = Documents.from_strings(list(texts))
        return make_tokenizer(documents, TokenOptions(unknown="refuse")).encode(documents)

    return make


@pytest.fixture(scope="session")
def five_names(store_of: Callable[[Iterable[str]], TokenStore]) -> TokenStore:
    """The first five names of the names tutorial."""
    return store_of(FIVE_NAMES)
