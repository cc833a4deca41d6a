"""What a verification that is known already costs."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any, cast

import pytest

import build.audio
from build.settings import Settings
from build.verify.rules import VerificationReport
from build.verify.verifier import Verifier
from harness.stack import REPOSITORY
from tests.unit.build.fakes import Report


def test_a_verified_app_is_not_listened_to_again(monkeypatch: pytest.MonkeyPatch) -> None:
    # A build without changes takes a second, of which the import of numpy would be a tenth.
    monkeypatch.delattr(build.audio, "signal", raising=False)
    monkeypatch.setitem(sys.modules, "build.audio.signal", None)
    verifier = Verifier(Settings(root=REPOSITORY), cast(Any, None), Report())
    known = VerificationReport("sha256:1", "app", (), "")
    monkeypatch.setattr(verifier, "_known", lambda *_: known)
    monkeypatch.setattr(verifier, "_verdicts", SimpleNamespace(write=lambda *_: None))
    assert verifier.app(cast(Any, SimpleNamespace(id="sha256:1")), known) is known
