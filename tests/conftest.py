"""Fixtures that every test may use. pytest puts this directory on sys.path, for `import cases`."""

import pytest

from fastxavier import _core


@pytest.fixture(params=_core.available_isas())
def isa(request):
    """Each implementation that runs here, in use for the test; the environment's choice after."""
    _core.force_isa(request.param)
    yield request.param
    _core.force_isa(None)
