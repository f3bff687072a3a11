"""Options that several commands have mean the same in each."""

import pytest

from nexus.cli.options import functions_of
from nexus.errors import ConfigurationError
from nexus.storage.sqlite.functions import Functions


def test_functions_are_modules_between_commas() -> None:
    assert isinstance(functions_of(""), Functions)
    with pytest.raises(ConfigurationError, match="the module nowhere cannot be"):
        functions_of(",nowhere,")
    with pytest.raises(ConfigurationError, match=r"json has no register\(connection"):
        functions_of("json")
