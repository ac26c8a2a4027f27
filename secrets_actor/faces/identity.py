"""Who asks: what the kernel, a token, a key or a certificate says of a caller. PURE.

Rule 1: an identity rests only on what the caller cannot choose: what the kernel tells of the process at the other end
        of a Unix socket, and what the caller has proved to hold. Nothing of it is read from the request's text.
Rule 2: what is known of one caller adds up: a process that also shows a token is both.
Rule 3: an identity holds no token, key or signature, only their names. It may stand in any log line.
"""

from msgspec import Struct


class Peer(Struct, frozen=True):
    """The other end of a connection, as the kernel and TLS tell it.

    On a Unix socket: *uid*, *gid*, the process *pid* (None: it is in another pid namespace), the names *user*
    and *groups* (a name that the machine does not know is the number as text), and the systemd *unit* of the process,
    if it is in one. On TCP: *address* as `host:port`, and *certificate*, the name in the client's certificate, if it
    showed one that was verified.
    """

    uid: int | None = None
    gid: int | None = None
    pid: int | None = None
    user: str | None = None
    groups: frozenset[str] = frozenset()
    unit: str | None = None
    address: str | None = None
    certificate: str | None = None


class Identity(Struct, frozen=True):
    """A caller: the *peer* at the other end, and the names of the *token* and the *key* that it has proved to hold.

    With a minted key (`minted_keys.py`), *peer* is the process that the key was minted for, and *key* is `minted`.
    """

    peer: Peer
    token: str | None = None
    key: str | None = None
