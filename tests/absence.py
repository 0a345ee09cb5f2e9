"""What a test needs and a machine may lack: the test is passed over there, but not where everything has to be."""

import os
from typing import NoReturn

import pytest


def absent(reason: str) -> NoReturn:
    """Ends the test: as passed over, or in continuous integration (the variable CI) as failed."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
