"""All tests of training sum in one order."""

import pytest


@pytest.fixture(autouse=True)
def _one_thread(one_thread):
    """See `one_thread`."""
