"""The way through a proxy: which one, and in which words it is asked."""

from urllib.request import proxy_bypass_environment

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secrets_actor.backends.aws.endpoint import Endpoint, endpoint_for
from secrets_actor.backends.http.proxy import (
    Proxy,
    connect_request,
    is_spared,
    parse_proxy,
    proxy_for,
)
from secrets_actor.domain import errors

AWS = endpoint_for("us-east-1")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://proxy.example:3128", Proxy("proxy.example", 3128)),
        ("http://proxy.example:3128/", Proxy("proxy.example", 3128)),
        ("proxy.example:3128", Proxy("proxy.example", 3128)),
        ("http://proxy.example", Proxy("proxy.example", 80)),
        ("http://[::1]:3128", Proxy("::1", 3128)),
        ("http://me:s%40cret@10.0.0.1:8080", Proxy("10.0.0.1", 8080, b"Basic bWU6c0BjcmV0")),
        ("http://me@10.0.0.1:8080", Proxy("10.0.0.1", 8080, b"Basic bWU6")),
    ],
)
def test_a_proxy_is_a_url(url: str, expected: Proxy) -> None:
    assert parse_proxy(url, "aws.proxy_url") == expected


@pytest.mark.parametrize(
    "url",
    [
        "https://me:hunter2@proxy.example",
        "socks5://me:hunter2@proxy.example",
        "http://",
        "http://me:hunter2@",
        "http://proxy.example:0",
        "http://proxy.example:port",
        "http://hunter2/path",
        "http://hunter2?x",
        "http://hunter2#x",
        "http://[::1",
        "http://hunter2 x",
    ],
)
def test_what_is_no_proxy_is_refused_without_being_quoted(url: str) -> None:
    with pytest.raises(errors.ConfigurationError) as caught:
        parse_proxy(url, "aws.proxy_url")

    assert str(caught.value).startswith("aws.proxy_url: http://, a user and a password")
    assert "hunter2" not in str(caught.value)


def test_a_proxys_password_is_in_no_repr() -> None:
    proxy = parse_proxy("http://me:hunter2@10.0.0.1:8080", "x")

    assert proxy.authorization == b"Basic bWU6aHVudGVyMg=="
    assert repr(proxy) == "Proxy(host='10.0.0.1', port=8080)"
    assert (proxy.name, Proxy("::1", 1).name) == ("10.0.0.1:8080", "[::1]:1")


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
def test_a_mistake_names_the_variable_that_it_is_in(name: str) -> None:
    with pytest.raises(errors.ConfigurationError, match=f"^{name}: http://"):
        proxy_for(AWS, None, {name: "socks5://hunter2@p"}, "aws.proxy_url")


LOCAL = endpoint_for("us-east-1", "http://127.0.0.1:4566")
P, Q = "http://p.example:1", "http://q.example:2"


@pytest.mark.parametrize(
    ("endpoint", "url", "environ", "expected"),
    [
        (AWS, None, {}, None),
        (AWS, None, {"HTTPS_PROXY": P}, Proxy("p.example", 1)),
        (AWS, None, {"https_proxy": Q, "HTTPS_PROXY": P}, Proxy("q.example", 2)),
        (AWS, None, {"HTTP_PROXY": P, "ALL_PROXY": P}, None),
        (AWS, None, {"HTTPS_PROXY": ""}, None),
        (AWS, None, {"HTTPS_PROXY": P, "NO_PROXY": "amazonaws.com"}, None),
        (AWS, None, {"HTTPS_PROXY": P, "NO_PROXY": "amazonaws.com", "no_proxy": "x"}, Proxy("p.example", 1)),
        (AWS, None, {"HTTPS_PROXY": P, "NO_PROXY": "*"}, None),
        (AWS, Q, {"HTTPS_PROXY": P, "NO_PROXY": "*"}, Proxy("q.example", 2)),
        (AWS, "", {"HTTPS_PROXY": P}, None),
        (LOCAL, None, {"HTTPS_PROXY": P}, None),
        (LOCAL, "", {}, None),
    ],
)
def test_the_setting_comes_before_the_environment_and_plain_http_goes_straight(
    endpoint: Endpoint, url: str | None, environ: dict[str, str], expected: Proxy | None
) -> None:
    assert proxy_for(endpoint, url, environ, "aws.proxy_url") == expected


def test_a_proxy_for_plain_http_is_a_mistake() -> None:
    with pytest.raises(errors.ConfigurationError, match=r"aws\.proxy_url: only for an https endpoint"):
        proxy_for(LOCAL, P, {}, "aws.proxy_url")


@pytest.mark.parametrize(
    ("host", "spared", "expected"),
    [
        ("a.example", "example", True),
        ("a.example", ".example", True),
        ("a.example", "*.example", True),
        ("aexample", "example", False),
        ("A.Example.", "b.org, a.EXAMPLE", True),
        ("a.example", "a.example:443", True),
        ("a.example", "a.example:8443", False),
        ("a.example", " , ,", False),
        ("a.example", "*.", False),
        ("10.1.2.3", "10.0.0.0/8", True),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("a.example", "10.0.0.0/8", False),
        ("10.1.2.3", "10.0.0.0/nonsense", False),
        ("fd00:ec2::254", "fd00:ec2::254", True),
        ("fd00:ec2::254", "[fd00:ec2::254]", True),
        ("fd00:ec2::254", "[fd00:ec2::254]:443", True),
        ("fd00:ec2::254", "[fd00:ec2::254]:80", False),
        ("fd00:ec2::254", "fd00:ec2::/32", True),
        ("fd00:ec2::254", "fd00:ec2::1", False),
    ],
)
def test_no_proxy_spares_names_what_is_below_them_addresses_and_networks(
    host: str, spared: str, expected: bool
) -> None:
    assert is_spared(host, 443, spared) is expected


labels = st.sampled_from(["a", "b", "example", "com", "x-1"])
hosts = st.lists(labels, min_size=1, max_size=4).map(".".join)
entries = st.lists(
    st.tuples(st.sampled_from(["", "."]), hosts, st.sampled_from(["", ":443", ":80"])).map("".join), max_size=3
).map(", ".join)


@given(host=hosts, spared=entries)
@settings(max_examples=400, deadline=None)
def test_no_proxy_spares_whom_the_standard_library_spares(host: str, spared: str) -> None:
    expected = bool(proxy_bypass_environment(f"{host}:443", {"no": spared}))

    assert is_spared(host, 443, spared) is expected


def test_a_tunnel_is_asked_for_in_the_words_of_http() -> None:
    assert connect_request(Proxy("p", 1), "h.example", 443) == (
        b"CONNECT h.example:443 HTTP/1.1\r\nHost: h.example:443\r\n\r\n"
    )
    assert connect_request(Proxy("p", 1, b"Basic eA=="), "::1", 8443) == (
        b"CONNECT [::1]:8443 HTTP/1.1\r\nHost: [::1]:8443\r\nProxy-Authorization: Basic eA==\r\n\r\n"
    )
