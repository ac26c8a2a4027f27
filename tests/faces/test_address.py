"""The addresses of listeners."""

import pytest

from secrets_actor.faces.address import (
    MAX_PATH,
    InvalidAddress,
    SystemdAddress,
    TcpAddress,
    UnixAddress,
    parse_address,
)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("unix:/run/secrets-actor/api.sock", UnixAddress("/run/secrets-actor/api.sock")),
        ("127.0.0.1:2773", TcpAddress("127.0.0.1", 2773)),
        ("localhost:0", TcpAddress("localhost", 0)),
        ("[::1]:65535", TcpAddress("::1", 65535)),
        ("0.0.0.0:443", TcpAddress("0.0.0.0", 443)),
        ("systemd:api", SystemdAddress("api")),
        ("unix:/" + "a" * (MAX_PATH - 1), UnixAddress("/" + "a" * (MAX_PATH - 1))),
    ],
)
def test_an_address_is_parsed_and_gives_its_text_back(text: str, address: object) -> None:
    assert parse_address(text) == address
    assert str(parse_address(text)) == text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "unix:/run"),
        ("2773", "unix:/run"),
        ("127.0.0.1", "unix:/run"),
        ("127.0.0.1:", "unix:/run"),
        ("127.0.0.1:65536", "unix:/run"),
        ("127.0.0.1:-1", "unix:/run"),
        ("127.0.0.1:\uff11", "unix:/run"),
        ("127.0.0.1:000001", "unix:/run"),
        ("example.org:443", "example.org is no IP address"),
        (":443", "nothing is no IP address"),
        ("::1:443", "brackets"),
        ("[127.0.0.1]:443", "brackets"),
        ("unix:api.sock", "absolute"),
        ("unix:", "absolute"),
        ("unix:/run/", "absolute"),
        ("unix:/a\0b", "zero byte"),
        ("unix:/" + "a" * MAX_PATH, "107 bytes"),
        ("unix:/" + "é" * 54, "107 bytes"),
        ("systemd:", "FileDescriptorName"),
        ("systemd:a:b", "FileDescriptorName"),
        ("systemd:é", "FileDescriptorName"),
        ("systemd:" + "a" * 256, "FileDescriptorName"),
    ],
)
def test_what_is_no_address_is_refused_with_what_would_be_one(text: str, says: str) -> None:
    with pytest.raises(InvalidAddress, match=says):
        parse_address(text)


@pytest.mark.parametrize(
    ("text", "loopback"),
    [("127.0.0.1:1", True), ("127.8.8.8:1", True), ("localhost:1", True), ("[::1]:1", True), ("10.0.0.1:1", False),
     ("0.0.0.0:1", False), ("[::]:1", False)],
)  # fmt: skip
def test_an_address_tells_whether_other_machines_can_reach_it(text: str, loopback: bool) -> None:
    address = parse_address(text)

    assert isinstance(address, TcpAddress)
    assert address.is_loopback is loopback
