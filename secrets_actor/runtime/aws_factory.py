"""Makes the backend factory of AWS Secrets Manager: endpoint, credentials, and a client of STS.

This module is loaded only if the settings name AWS. Modules that only some places of credentials need are loaded where
those places are configured: a program that does not need them starts faster.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from secrets_actor.backends.aws import backend
from secrets_actor.backends.aws.corrected_clock import CorrectedClock
from secrets_actor.backends.aws.credentials.static import StaticCredentials
from secrets_actor.backends.aws.endpoint import PROXY_SETTING, Endpoint
from secrets_actor.backends.aws_credentials import AwsCredentialSource
from secrets_actor.backends.http.proxy import Proxy, proxy_for
from secrets_actor.domain.ports import BackendFactory
from secrets_actor.forks import loading
from secrets_actor.otp import LifecycleEvent, Observer
from secrets_actor.runtime.aws_connection import AwsConnection
from secrets_actor.runtime.settings import AwsSettings, proxy_url_of

if TYPE_CHECKING:
    from secrets_actor.backends.aws.credentials.sts import Sts


class ClockSkewed(LifecycleEvent, frozen=True):
    """The life-cycle event of a machine whose clock is wrong: AWS's clock is *seconds* ahead.

    From now on, requests are signed by AWS's time. 0: the clocks agree again.
    """

    seconds: float


def aws_factory_for(aws: AwsSettings, connection: AwsConnection, observe: Observer | None = None) -> BackendFactory:
    """Return the factory that opens connections to the configured store. *observe* is told of a clock that is wrong."""
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


def aws_credentials_for(aws: AwsSettings, connection: AwsConnection) -> AwsCredentialSource:
    """Return the configured source of AWS credentials, for other things than Secrets Manager."""
    return _credentials(aws, connection.endpoint.region, sts_of(aws, connection, CorrectedClock()))


def _credentials(aws: AwsSettings, region: str, sts: Callable[[str | None], Sts]) -> AwsCredentialSource:
    if aws.role_arn is None:
        return _own_credentials(aws, region, sts)
    from secrets_actor.backends.aws.credentials.assume_role import AssumeRoleCredentials, Role

    role = Role(aws.role_arn, aws.role_session_name, aws.external_id, aws.session_duration, aws.role_tags or {})
    return AssumeRoleCredentials(_own_credentials(aws, region, sts), role, sts(region), "[aws]")


def _own_credentials(aws: AwsSettings, region: str, sts: Callable[[str | None], Sts]) -> AwsCredentialSource:
    given = any((aws.access_key, aws.secret_key, aws.session_token))
    if aws.auth_method == "access_key" or (given and aws.auth_method == "default"):
        return StaticCredentials(aws.access_key, aws.secret_key, aws.session_token)
    if aws.auth_method == "default":
        from secrets_actor.backends.aws.credentials.chain import DefaultChain

        return DefaultChain(aws.profile, region, sts)
    from secrets_actor.backends.aws.credentials.instance_metadata import InstanceMetadataCredentials

    return InstanceMetadataCredentials()


def sts_of(aws: AwsSettings, connection: AwsConnection, clock: CorrectedClock) -> Callable[[str | None], Sts]:
    """Return a function that makes the STS client for a region.

    The client has the CAs, the proxy, the clock, the number of attempts and the profile that are used for the store: a
    machine that reaches the store only in this way reaches STS only in this way.
    """

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
