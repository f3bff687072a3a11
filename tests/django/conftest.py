"""Django, set up once in this process, with a test database of Nexus's."""

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
from django.conf import settings

settings.configure(
    DATABASES={
        "default": {"ENGINE": "nexus.django", "NAME": "nexus://127.0.0.1:1"},
        "replica": {"ENGINE": "nexus.django", "NAME": "nexus://127.0.0.1:2"},
    },
    NEXUS_REPLICAS=["replica"],
    USE_TZ=True,
    ALLOWED_HOSTS=["testserver"],
    ROOT_URLCONF="none",
)

from django.db import connections  # noqa: E402

import_module("django").setup()


@pytest.fixture
def wrapper() -> Iterator[Any]:
    """The default alias, on a database that lives as long as the test."""
    wrapper = connections["default"]
    real = wrapper.settings_dict["NAME"]
    name = wrapper.creation._create_test_db(0, autoclobber=True)
    wrapper.settings_dict["NAME"] = name
    yield wrapper
    wrapper.close()
    wrapper.settings_dict["NAME"] = real
    wrapper.creation._destroy_test_db(name, 0)


@pytest.fixture
def replica(wrapper: Any) -> Iterator[Any]:
    """The alias of a replica: here another connection to the same node."""
    other = connections["replica"]
    real = other.settings_dict["NAME"]
    other.settings_dict["NAME"] = wrapper.settings_dict["NAME"]
    yield other
    other.close()
    other.settings_dict["NAME"] = real


@pytest.fixture(name="settings")
def changed_settings() -> Iterator[Any]:
    """Django's settings, to be changed for one test."""
    before = settings.NEXUS_REPLICAS
    yield settings
    settings.NEXUS_REPLICAS = before
