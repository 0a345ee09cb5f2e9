"""A world of packages without a network."""

import pytest


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """A folder that is all of pip's world."""
    folder = tmp_path / "packages"
    folder.mkdir()
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder
