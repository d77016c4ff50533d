"""A label means the same in small letters and large."""

from __future__ import annotations

from pathlib import Path

import pytest

from coordinator.config import load
from coordinator.domain.labels import PREFIXES, Spelling

CONFIG = """
[labels]
auto = "Robot"
[hosts.far]
address = "far"
labels = ["GPU"]
[slurm]
labels = ["cluster"]
[caps.labels]
Risky = 1
[batch]
label = "Lot:"
"""


@pytest.mark.parametrize(("written", "read"), [
    ("ROBOT", "Robot"), ("Rpi-Retry", "rpi-retry"), ("RPI:Blocked", "rpi:blocked"), ("gpu", "GPU"),
    ("Cluster", "cluster"), ("risky", "Risky"), ("Provider:Codex", "provider:Codex"), ("PRIORITY:P1", "priority:P1"),
    ("Model:opus[1M]", "model:opus[1M]"), ("WorkFlow:build", "workflow:build"), ("lot:Spring", "Lot:Spring"),
    ("Bug", "Bug"), ("full", "full"), ("my provider:x", "my provider:x"),
])  # fmt: skip
def test_a_label_is_read_as_the_configuration_writes_it(tmp_path: Path, written: str, read: str) -> None:
    (tmp_path / "coordinator.toml").write_text(CONFIG)
    config = load(tmp_path / "coordinator.toml", {})
    assert Spelling(config.label_names, (*PREFIXES, config.batch.label)).of(written) == read
