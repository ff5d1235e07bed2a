"""`zcp enclave build` and its sisters where the module that they need is not installed.

Goal: a clear error with its remedy. Method: the import is made to fail.
"""

from __future__ import annotations

import json
import sys

import pytest

from sentinel._cli import main


@pytest.mark.parametrize("words", [["measure", "x.eif"], ["inspect", "x.eif"]])
def test_says_what_is_missing_and_how_to_get_it(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "sentinel_eif", None)
    assert main(["enclave", *words, "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert "sentinel_eif" in error["message"]
    assert "enclave/eif/build.sh" in error["next_step"]
