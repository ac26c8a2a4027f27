"""Runs the credential chain and botocore's at the real link-local addresses, in a network namespace of its own.

`python -m tests.servers.link_local FOLDER` prints what each found as JSON. Where there is no namespace to be had, it
prints the reason and ends with `NOT_ALLOWED`. It must be a process of its own: it leaves the host's network for good.
"""

import ctypes
import fcntl
import json
import os
import socket
import struct
import sys
from pathlib import Path
from typing import Final

from secrets_actor.clock import now as clock_now

NOT_ALLOWED: Final = 77
METADATA, ECS, EKS = "169.254.169.254", "169.254.170.2", "169.254.170.23"
METADATA_6, EKS_6 = "fd00:ec2::254", "fd00:ec2::23"
CLONE_NEWUSER, CLONE_NEWNET = 0x1000_0000, 0x4000_0000  # sched.h
SIOCGIFFLAGS, SIOCSIFFLAGS, SIOCSIFADDR = 0x8913, 0x8914, 0x8916  # sockios.h
IFF_UP: Final = 1


def leave_the_network() -> None:
    """Into a namespace with nothing but a loopback that is down. Raises `OSError`."""
    libc = ctypes.CDLL(None, use_errno=True)
    flags = CLONE_NEWNET | (CLONE_NEWUSER if os.geteuid() else 0)
    if libc.unshare(flags):
        number = ctypes.get_errno()
        raise OSError(number, f"unshare: {os.strerror(number)}")


def raise_loopback() -> None:
    """Loopback up, with the link-local addresses on it. Raises `OSError`."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
        asked = fcntl.ioctl(plain, SIOCGIFFLAGS, struct.pack("16sh22x", b"lo", 0))
        flags = struct.unpack("16sh22x", asked)[1]
        fcntl.ioctl(plain, SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", flags | IFF_UP))
        for number, address in enumerate((METADATA, ECS, EKS), 1):
            name = f"lo:{number}".encode()
            wanted = struct.pack("16sHH4s16x", name, socket.AF_INET, 0, socket.inet_aton(address))
            fcntl.ioctl(plain, SIOCSIFADDR, wanted)
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as six:
        for address in (METADATA_6, EKS_6):
            binary = socket.inet_pton(socket.AF_INET6, address)
            fcntl.ioctl(six, SIOCSIFADDR, struct.pack("16sIi", binary, 128, socket.if_nametoindex("lo")))


def cases(token_file: Path) -> dict[str, dict[str, str]]:
    """The environment of each case."""
    token = {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(token_file)}
    return {
        "instance": {},
        "instance, IPv6": {"AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE": "ipv6"},
        "ECS": {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/a-task"},
        "EKS": {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://{EKS}/v1/credentials", **token},
        "EKS, IPv6": {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://[{EKS_6}]/v1/credentials", **token},
    }


def look(environment: dict[str, str]) -> tuple[str, str]:
    """The access key ids that we and botocore find."""
    import botocore.session

    from secrets_actor.backends.aws.credentials.chain import DefaultChain

    for name in [name for name in os.environ if name.startswith("AWS_") or name.lower().endswith("_proxy")]:
        del os.environ[name]
    os.environ.update(environment, AWS_CONFIG_FILE=os.devnull, AWS_SHARED_CREDENTIALS_FILE=os.devnull)
    ours = DefaultChain().fetch(clock_now() + 10)
    theirs = botocore.session.Session().get_credentials().get_frozen_credentials()
    return ours.reveal_id(), theirs.access_key


def main(folder: Path) -> int:
    """See above."""
    try:
        leave_the_network()
        raise_loopback()
    except OSError as error:
        print(f"the addresses need a network namespace, and this kernel lets this user make none: {error}")
        return NOT_ALLOWED
    from tests.servers.metadata import MetadataServer

    token_file = folder / "token"
    token_file.write_text("Bearer canary")
    with MetadataServer(address=("::", 80)) as server:
        server.switches.authorization = token_file
        found = {name: look(environment) for name, environment in cases(token_file).items()}
        print(json.dumps({"found": found, "hosts": sorted(set(server.hosts))}))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
