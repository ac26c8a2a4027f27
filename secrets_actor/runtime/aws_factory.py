"""The AWS store from the settings: the connection, the credentials, and STS by the same connection.

Loaded only when the settings say AWS; what only some places of credentials need is loaded only where they are used.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from secrets_actor.backends.aws import backend
from secrets_actor.backends.aws.corrected_clock import CorrectedClock
from secrets_actor.backends.aws.credentials.static import StaticCredentials
from secrets_actor.backends.aws.endpoint import PROXY_SETTING, Endpoint
from secrets_actor.backends.http.proxy import Proxy, proxy_for
from secrets_actor.domain.ports import BackendFactory, CredentialSource
from secrets_actor.forks import loading
from secrets_actor.otp import LifecycleEvent, Observer
from secrets_actor.runtime.aws_connection import AwsConnection
from secrets_actor.runtime.settings import AwsSettings, proxy_url_of

if TYPE_CHECKING:
    from secrets_actor.backends.aws.credentials.sts import Sts


class ClockSkewed(LifecycleEvent, frozen=True):
    """This machine's clock is off: AWS's is *seconds* ahead. Signatures are made by AWS's from now on; 0: no more."""

    seconds: float


def aws_factory_for(aws: AwsSettings, connection: AwsConnection, observe: Observer | None = None) -> BackendFactory:
    """What opens connections to the configured store, by *connection*."""
    clock = CorrectedClock(on_skew=None if observe is None else lambda seconds: observe(ClockSkewed("aws", seconds)))
    sts = sts_of(aws, connection, clock)
    return backend.aws_backend_factory(
        endpoint=connection.endpoint,
        ca_bundle=connection.ca_bundle,
        ca_setting=connection.ca_setting,
        timeout=aws.timeout,
        recovery_window=aws.recovery_window,
        credentials=_credentials(aws, connection.endpoint.region, sts),
        clock=clock,
        retries=connection.retries,
        proxy=connection.proxy,
        sts=sts,
    )


def _credentials(aws: AwsSettings, region: str, sts: Callable[[str | None], Sts]) -> CredentialSource:
    if aws.role_arn is None:
        return _own_credentials(aws, region, sts)
    from secrets_actor.backends.aws.credentials.assume_role import AssumeRoleCredentials, Role

    role = Role(aws.role_arn, aws.role_session_name, aws.external_id, aws.session_duration, aws.role_tags or {})
    return AssumeRoleCredentials(_own_credentials(aws, region, sts), role, sts(region), "[aws]")


def _own_credentials(aws: AwsSettings, region: str, sts: Callable[[str | None], Sts]) -> CredentialSource:
    given = any((aws.access_key, aws.secret_key, aws.session_token))
    if aws.auth_method == "access_key" or (given and aws.auth_method == "default"):
        return StaticCredentials(aws.access_key, aws.secret_key, aws.session_token)
    if aws.auth_method == "default":
        from secrets_actor.backends.aws.credentials.chain import DefaultChain

        return DefaultChain(aws.profile, region, sts)
    from secrets_actor.backends.aws.credentials.instance_metadata import InstanceMetadataCredentials

    return InstanceMetadataCredentials()


def sts_of(aws: AwsSettings, connection: AwsConnection, clock: CorrectedClock) -> Callable[[str | None], Sts]:
    """What makes the client of a region's STS: the same CAs, the same proxy, the same clock, as many attempts and the
    same profile as on the way to the store."""

    def proxy_of(endpoint: Endpoint) -> Proxy | None:
        return proxy_for(endpoint, proxy_url_of(aws), os.environ, PROXY_SETTING) if endpoint.scheme == "https" else None

    def make(region: str | None) -> Sts:
        with loading():
            from secrets_actor.backends.aws.credentials.connect import through
            from secrets_actor.backends.aws.credentials.sts import Sts

        return Sts(
            region,
            connect=through(connection.ca_bundle, proxy_of, connection.ca_setting),
            clock=clock,
            use_fips=aws.use_fips,
            use_dualstack=aws.use_dualstack,
            profile=connection.profile,
            attempts=connection.retries.max_attempts,
        )

    return make
