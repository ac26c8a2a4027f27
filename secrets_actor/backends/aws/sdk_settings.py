"""Reads the endpoint settings of AWS's own SDKs, from environment variables and a profile, as botocore does. PURE.

Rule 1: a variable goes before the profile, even an empty one, and an empty value means that nothing is chosen. Only an
        empty endpoint URL is treated as if it were not there.
Rule 2: an endpoint URL is looked for in this order: the variable for the service, the variable for all services, the
        service in the `services` section that the profile names, the profile. `ignore_configured_endpoint_urls`
        switches all four off.
Rule 3: with an endpoint URL, a choice of FIPS or dual stack by a variable or a profile has no effect.
Rule 4: a value comes with its source, which errors name instead of the value.

Source: botocore's configprovider.py; the tests compare with it over generated files.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Final

from msgspec import Struct

from secrets_actor.domain.errors import ConfigurationError
from secrets_actor.structs import Opaque

Value = str | dict[str, str]
Section = Mapping[str, Value]
NO_SECTIONS: Final[Mapping[str, Any]] = MappingProxyType({})

# AWS's names of the services, in lower case in the files and in upper case in variables.
SECRETS_MANAGER: Final = "secrets_manager"
STS: Final = "sts"
ENDPOINT_VARIABLE: Final = "AWS_ENDPOINT_URL"
IGNORE_VARIABLE: Final = "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"


class ProfileSettings(Opaque):
    """The settings of the profile *name* in both files, and the `services` sections of the config file.

    The repr shows the name only: a profile may hold credentials.
    """

    __slots__ = ("name", "section", "services")
    SHOWN: ClassVar = ("name",)

    def __init__(
        self, name: str = "", section: Section = NO_SECTIONS, services: Mapping[str, Section] = NO_SECTIONS
    ) -> None:
        self.name = name
        self.section = section
        self.services = services

    def text(self, key: str) -> str | None:
        """Return the value of *key*, or None when it is absent or an indented table."""
        found = self.section.get(key)
        return found if isinstance(found, str) else None

    def source(self, key: str) -> str:
        """Return the words by which an error names *key*."""
        return f"{key} of profile {self.name}"


NO_PROFILE: Final = ProfileSettings()


class Stated(Struct, frozen=True):
    """A value, and its source: a variable, or a key of a profile."""

    value: str
    source: str


def stated(environ: Mapping[str, str], variable: str, profile: ProfileSettings, key: str) -> Stated | None:
    """Return the value of *variable*, or else of *key* in *profile*; None when neither is there."""
    if variable in environ:
        return Stated(environ[variable], variable)
    found = profile.text(key)
    return None if found is None else Stated(found, profile.source(key))


def fips_chosen(environ: Mapping[str, str], profile: ProfileSettings) -> Stated | None:
    """Return the setting that chooses endpoints with validated cryptography (FIPS), or None."""
    return _true(stated(environ, "AWS_USE_FIPS_ENDPOINT", profile, "use_fips_endpoint"))


def dualstack_chosen(environ: Mapping[str, str], profile: ProfileSettings) -> Stated | None:
    """Return the setting that chooses endpoints with IPv6 as well (dual stack), or None."""
    return _true(stated(environ, "AWS_USE_DUALSTACK_ENDPOINT", profile, "use_dualstack_endpoint"))


def _true(found: Stated | None) -> Stated | None:
    return found if found is not None and found.value.lower() == "true" else None


def configured_url(service: str, environ: Mapping[str, str], profile: ProfileSettings) -> Stated | None:
    """Return the configured endpoint URL of *service*, or None (rule 2).

    Raises `ConfigurationError` when the profile names a `services` section that does not exist or has no table for the
    service.
    """
    if _true(stated(environ, IGNORE_VARIABLE, profile, "ignore_configured_endpoint_urls")) is not None:
        return None
    for variable in (f"{ENDPOINT_VARIABLE}_{service.upper()}", ENDPOINT_VARIABLE):
        if environ.get(variable):
            return Stated(environ[variable], variable)
    return _of_service(service, profile) or _of_profile(profile)


def _of_service(service: str, profile: ProfileSettings) -> Stated | None:
    named = profile.section.get("services")
    if named is None:
        return None
    section = profile.services.get(named) if isinstance(named, str) else None
    if not section:
        raise ConfigurationError(
            (f"{profile.source('services')}: there is no such section [services NAME] in AWS's config file",)
        )
    found = section.get(service, {})
    if isinstance(found, str):
        text = f"{profile.source('services')}: {service} there is a table, with endpoint_url on an indented line"
        raise ConfigurationError((text,))
    url = found.get("endpoint_url")
    return Stated(url, f"endpoint_url of {service} in the services of profile {profile.name}") if url else None


def _of_profile(profile: ProfileSettings) -> Stated | None:
    found = profile.text("endpoint_url")
    return Stated(found, profile.source("endpoint_url")) if found else None
