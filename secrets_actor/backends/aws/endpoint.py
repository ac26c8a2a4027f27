"""The endpoint of Secrets Manager for a region, or the one of a configured URL. PURE."""

import re
from typing import Final

from secrets_actor.backends.http.origin import Origin, SettingNames, parse_origin
from secrets_actor.domain.errors import ConfigurationError

SERVICE: Final = "secretsmanager"
# By region prefix: the DNS suffix, that of dual-stack endpoints, and that of dual-stack FIPS endpoints. In the oldest
# partitions Secrets Manager answers on IPv6 under its old names, so the suffixes are alike. Source: botocore's rule set
# and partitions.json; the tests compare region by region. A region that fits no prefix belongs to the `aws` partition,
# as in the rule set.
_SUFFIXES: Final = (
    ("cn-", "amazonaws.com.cn", "amazonaws.com.cn", "api.amazonwebservices.com.cn"),
    ("us-gov-", "amazonaws.com", "amazonaws.com", "amazonaws.com"),
    ("us-isob-", "sc2s.sgov.gov", "api.aws.scloud", "api.aws.scloud"),
    ("us-isof-", "csp.hci.ic.gov", "api.aws.hci.ic.gov", "api.aws.hci.ic.gov"),
    ("us-iso-", "c2s.ic.gov", "api.aws.ic.gov", "api.aws.ic.gov"),
    ("eu-isoe-", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk", "api.cloud-aws.adc-e.uk"),
    ("eusc-", "amazonaws.eu", "api.amazonwebservices.eu", "api.amazonwebservices.eu"),
    ("", "amazonaws.com", "amazonaws.com", "amazonaws.com"),
)
_REGION: Final = re.compile(r"[a-z]{2,8}(-[a-z0-9]{1,20}){1,4}")
PROXY_SETTING: Final = "aws.proxy_url"
# The settings that errors of a connection to AWS name as remedies.
SETTING_NAMES: Final = SettingNames(
    endpoint="region, endpoint URL",
    endpoint_url="aws.endpoint_url",
    ca_bundle="aws.ca_bundle",
    proxy=f"{PROXY_SETTING}, HTTPS_PROXY",
)


class Endpoint(Origin, frozen=True):
    """One server of AWS. Requests to it are signed for its `region` and `service`."""

    region: str
    service: str = SERVICE


def endpoint_for(
    region: str,
    endpoint_url: str | None = None,
    *,
    use_fips: bool = False,
    use_dualstack: bool = False,
    setting: str = "aws.endpoint_url",
    region_setting: str = "aws.region",
) -> Endpoint:
    """Return the endpoint of *region*, or that of *endpoint_url* if there is one. Both are signed for *region*.

    *endpoint_url* has `http` or `https`, a host, and a port if need be. *use_fips* chooses the endpoint with validated
    cryptography; *use_dualstack* the one that has IPv6 as well. Raises `ConfigurationError` for a malformed region or
    URL, and for a URL together with either choice, for the choice would have no effect. The error names the *setting*
    of the URL, or *region_setting*, and quotes neither value: a URL may hold a password.
    """
    if _REGION.fullmatch(region) is None:
        raise ConfigurationError((f"{region_setting}: the name of an AWS region, such as us-east-1",))
    if endpoint_url is not None:
        if use_fips or use_dualstack:
            chosen = "use_fips" if use_fips else "use_dualstack"
            text = f"aws.{chosen}: only without an endpoint URL ({setting}); name such an endpoint in it"
            raise ConfigurationError((text,))
        return parse_url(endpoint_url, region, setting)
    _, single, dual, dual_fips = next(suffixes for suffixes in _SUFFIXES if region.startswith(suffixes[0]))
    suffix = single if not use_dualstack else dual_fips if use_fips else dual
    name = f"{SERVICE}-fips" if use_fips else SERVICE
    return Endpoint("https", f"{name}.{region}.{suffix}", 443, region)


def parse_url(url: str, region: str, setting: str) -> Endpoint:
    """Return *url* as an endpoint. Raises `ConfigurationError`, which names *setting* and does not quote *url*."""
    found = parse_origin(url, setting)
    return Endpoint(found.scheme, found.host, found.port, region)
