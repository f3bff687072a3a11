"""What is lost with all disks is counted in seconds of acknowledged commits."""

from pathlib import Path

import pytest

from nexus.archive.restoring import Moment
from nexus.cli.bench import loss
from nexus.model.position import Offset


def test_what_the_archive_brings_back_is_not_lost(tmp_path: Path) -> None:
    lost_s = loss.lose_everything(tmp_path, "n", load_s=1.0)

    assert 0 <= lost_s < 60
    assert not (tmp_path / "n").exists()
    assert (tmp_path / "n-restored" / "nexus.db").exists()


def test_what_was_acknowledged_since_the_last_upload_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loss, "Moment", lambda: Moment(Offset(2)))

    assert loss.lose_everything(tmp_path, "n", load_s=1.5) > 0
