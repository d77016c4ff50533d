"""The description that the stand-in's traffic is held against is cut from GitHub's own, and from nothing else."""

from __future__ import annotations

import gzip
import json

import pytest

from tests.openapi import cut
from tests.support.real_parts import MODULES, missing

SOURCE = MODULES / "@octokit" / "openapi" / "generated" / "api.github.com.json"
pytestmark = pytest.mark.skipif(bool(missing(SOURCE)), reason=missing(SOURCE))


def test_the_pinned_package_is_the_one_that_is_installed() -> None:
    installed = json.loads((MODULES / "@octokit" / "openapi" / "package.json").read_text("utf-8"))
    assert f"{installed['name']}@{installed['version']}" == cut.PACKAGE


def test_the_committed_description_is_what_the_script_cuts_today() -> None:
    today = cut.packed(cut.cut(json.loads(SOURCE.read_text("utf-8"))))
    assert gzip.decompress(cut.TARGET.read_bytes()) == gzip.decompress(today)
