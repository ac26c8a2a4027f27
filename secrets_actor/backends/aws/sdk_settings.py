"""What AWS's own variables and a profile of the shared files say of the way to AWS, as botocore reads them. PURE.

Rule 1: a variable stands over the profile, even an empty one, and an empty value means that nothing is chosen. Only an
        empty endpoint URL is passed over, as if it were not there.
Rule 2: an endpoint URL is that of the service by a variable, that of all services by a variable, that of the service in
        the `services` section that the profile names, that of the profile. `ignore_configured_endpoint_urls` hides all
        four.
Rule 3: beside an endpoint URL nobody hears the choice of FIPS or dual stack that a variable or a profile makes.
Rule 4: a value comes with who says it, for errors, which do not quote it.

Source: botocore's configprovider.py, with which the tests compare over generated files.
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

# The services as AWS names them, in small letters in the files and in capitals in variables.
SECRETS_MANAGER: Final = "secrets_manager"
STS: Final = "sts"
ENDPOINT_VARIABLE: Final = "AWS_ENDPOINT_URL"
IGNORE_VARIABLE: Final = "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"


class ProfileSettings(Opaque):
    """What the profile *name* says in both files, and the `services` sections of the config file."""

    __slots__ = ("name", "section", "services")
    SHOWN: ClassVar = ("name",)

    def __init__(
        self, name: str = "", section: Section = NO_SECTIONS, services: Mapping[str, Section] = NO_SECTIONS
    ) -> None:
        self.name = name
        self.section = section
        self.services = services

    def text(self, key: str) -> str | None:
        """The value of *key*, if it is there and a plain one."""
        found = self.section.get(key)
        return found if isinstance(found, str) else None

    def source(self, key: str) -> str:
        """How an error calls *key*."""
        return f"{key} of profile {self.name}"


NO_PROFILE: Final = ProfileSettings()


class Stated(Struct, frozen=True):
    """A value, and who says it."""

    value: str
    source: str


def stated(environ: Mapping[str, str], variable: str, profile: ProfileSettings, key: str) -> Stated | None:
    """What *variable* says, or *key* of *profile*."""
    if variable in environ:
        return Stated(environ[variable], variable)
    found = profile.text(key)
    return None if found is None else Stated(found, profile.source(key))


def fips_chosen(environ: Mapping[str, str], profile: ProfileSettings) -> Stated | None:
    """Who chooses endpoints with validated cryptography, if somebody does."""
    return _true(stated(environ, "AWS_USE_FIPS_ENDPOINT", profile, "use_fips_endpoint"))


def dualstack_chosen(environ: Mapping[str, str], profile: ProfileSettings) -> Stated | None:
    """Who chooses endpoints that have IPv6, too, likewise."""
    return _true(stated(environ, "AWS_USE_DUALSTACK_ENDPOINT", profile, "use_dualstack_endpoint"))


def _true(found: Stated | None) -> Stated | None:
    return found if found is not None and found.value.lower() == "true" else None


def configured_url(service: str, environ: Mapping[str, str], profile: ProfileSettings) -> Stated | None:
    """The endpoint URL of *service* that is configured. Raises `ConfigurationError` for a `services` section that is
    needed and not there."""
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
