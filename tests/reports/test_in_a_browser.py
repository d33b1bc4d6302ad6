"""Reports in Chromium: no fault that axe finds, no overflow on a telephone, texts open by key."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

import thence
from thence.reports import report

AXE = pytest.importorskip("axe_playwright_python.sync_playwright")
NAMES = [
    a + b
    for a in ("emma", "ava", "mia", "lea", "joan", "ليلى", "さくら", "<b>&")
    for b in ("", "a", "na", "el")
]
