"""Checks the AWS Signature Version 4 of a request to the AWS face. PURE: the time and the keys are arguments.

Rule 1: a signature covers all that the request asks for and by whom: the method, the path, the host, the date, the
        body, and every x-amz-* header that is there. A part that the signature does not cover could be changed on the
        way, or put in by another program. So a query, which no SDK sends to this service, is refused as a whole.
Rule 2: what must stand once is refused if it is repeated: two programs could each take another one of the two.
Rule 3: signatures are compared in constant time, and a refusal does not say how much of one was right.
Rule 4: a session token belongs to one access key id. `Keys` finds a key only by both together.
Rule 5: a header's value is trimmed and folded at blanks and tabs alone. Other characters that Python takes for blanks
        are parts of UTF-8 texts here: the letter `à` has the byte of a no-break space in it.
Rule 6: refusals have AWS's codes and words, and quote nothing but dates and what this file expects. No repr, error or
        traceback shows a key, a token or a signature.

Source: AWS General Reference, "Signature Version 4 signing process"; AWS's own texts as recorded from its services.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Final, Protocol

from msgspec import Struct

from secrets_actor.backends.sigv4 import ALGORITHM, Scope, SigningKeys, amz_date, canonical_path
from secrets_actor.domain.secret import SecretValue
from secrets_actor.faces.exchange import Request
from secrets_actor.faces.identity import Identity, Peer
from secrets_actor.structs import Opaque

SERVICE: Final = "secretsmanager"
# How far the date of a request may be from our clock, in both directions. Source: AWS's texts name "5 min.".
SKEW: Final = timedelta(minutes=5)
# How many signing keys a daemon does well to keep (`SigningKeys`): each caller with a minted key has one of its own.
MOST_SIGNING_KEYS: Final = 256
_TERMINATOR: Final = "aws4_request"
_STAMP: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z")
# One or more parts `name=value`, with commas or blanks between them: AWS's SDKs write `, `, some clients only `,`.
_PART: Final = re.compile(r"([A-Za-z]+)=([^, \t]+)(?:[, \t]+|$)")
_PARTS: Final = ("Credential", "Signature", "SignedHeaders")
_REGION: Final = re.compile(r"[a-z0-9-]{1,40}")
_SIGNATURE: Final = re.compile(r"[0-9a-f]{64}")
# An Authorization header as all current SDKs write it: read at once, which takes a quarter of the time.
_USUAL: Final = re.compile(
    rf"{ALGORITHM} Credential=([^/, \t]+)/([0-9]{{8}})/({_REGION.pattern})/{SERVICE}/{_TERMINATOR}, "
    rf"SignedHeaders=([^, \t]+), Signature=({_SIGNATURE.pattern})"
)
_BLANKS: Final = re.compile(r"[ \t]+")
_NO_PAYLOAD: Final = ("UNSIGNED-PAYLOAD", "STREAMING-")

INCOMPLETE: Final = "IncompleteSignatureException"
INVALID: Final = "InvalidSignatureException"
UNRECOGNIZED: Final = "UnrecognizedClientException"
EXPIRED: Final = "ExpiredTokenException"
MISSING: Final = "MissingAuthenticationTokenException"
MISMATCH: Final = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)
NOT_KNOWN: Final = "The security token included in the request is invalid."
ENDED: Final = "The security token included in the request is expired"


class SignatureRefused(Exception):
    """A request that does not prove who signed it. `code` and `message` are AWS's."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message = code, message


class KeyOwner(Struct, frozen=True):
    """Whom a key was given to. *key* is its name in the configuration, or `minted`. Of a minted key, *peer* is the
    process that it was minted for, and *token* the name of the token that this process showed, if it showed one."""

    key: str
    peer: Peer | None = None
    token: str | None = None


class FoundKey(Opaque):
    """The *secret_keys* of an access key id, and its *owner*. While a secret key is being replaced, there are two."""

    __slots__ = ("owner", "secret_keys")
    SHOWN: ClassVar = ("owner",)

    def __init__(self, owner: KeyOwner, secret_keys: tuple[SecretValue, ...]) -> None:
        self.owner = owner
        self.secret_keys = secret_keys


class Keys(Protocol):
    """The keys that requests may be signed with."""

    def find(self, access_key_id: str, session_token: str | None, now: datetime) -> FoundKey | None:
        """Return the key with this id and this session token (None: without one); None if there is none. Raises
        `SignatureRefused` for a key that has ended."""


def identity_of(request: Request, keys: Keys, now: datetime, signing_keys: SigningKeys) -> Identity:
    """Return who sends *request*, at *now* (UTC): the owner of the key that signed it, or the process at the other end
    of a Unix socket.

    On a Unix socket no signature is needed, because the kernel says who asks; one that is there must be right all the
    same, and none is taken from a query (rule 1). Raises `SignatureRefused`.
    """
    peer = request.peer
    if peer.uid is not None and not request.query and not request.all("authorization"):
        return Identity(peer)
    owner = check(request, keys, now, signing_keys)
    return Identity(owner.peer or peer, owner.token, owner.key)


def check(request: Request, keys: Keys, now: datetime, signing_keys: SigningKeys) -> KeyOwner:
    """Return the owner of the key that signed *request*, at *now* (UTC). Raises `SignatureRefused`.

    *signing_keys* keeps the signing keys that were derived, so that the next request with the same key is cheaper.
    """
    try:
        return _checked(request, keys, now, signing_keys)
    except SignatureRefused as found:
        # Its frames hold the signature that would be right, and the headers (rule 6).
        refused = found.with_traceback(None)
    raise refused


def _checked(request: Request, keys: Keys, now: datetime, signing_keys: SigningKeys) -> KeyOwner:
    headers = _headers(request)
    if request.query:
        raise SignatureRefused(INCOMPLETE, "A request to this service has no query: sign it in its headers.")
    given = headers.get("authorization")
    if given is None:
        raise SignatureRefused(MISSING, "Missing Authentication Token")
    access_key_id, day, region, names, signature = _parts(given)
    stamp = _stamp(headers, now)
    if stamp[:8] != day:
        text = f"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: {stamp[:8]}."
        raise SignatureRefused(INVALID, text)
    signed = names.split(";")
    _check_covered(headers, signed, names)
    digest = hashlib.sha256(request.body).hexdigest()
    payload = headers.get("x-amz-content-sha256")
    if payload is not None and payload != digest:
        raise SignatureRefused(INVALID, _about(payload))
    found = keys.find(access_key_id, headers.get("x-amz-security-token"), now)
    if found is None:
        raise SignatureRefused(UNRECOGNIZED, NOT_KNOWN)
    lines = "".join([f"{name}:{_folded(headers[name])}\n" for name in signed])
    path = "/" if request.path == "/" else canonical_path(request.path, normalize=True)
    canonical = f"{request.method}\n{path}\n\n{lines}\n{names}\n{digest}"
    # Latin-1, because the values of headers are decoded as that: so these are the bytes that were sent.
    hashed = hashlib.sha256(canonical.encode("latin-1")).hexdigest()
    to_sign = f"{ALGORITHM}\n{stamp}\n{day}/{region}/{SERVICE}/{_TERMINATOR}\n{hashed}".encode()
    scope = Scope(region, SERVICE)
    right = False
    for secret_key in found.secret_keys:
        expected = hmac.digest(signing_keys.get(secret_key, day, scope), to_sign, "sha256").hex()
        right |= hmac.compare_digest(expected, signature)
    if not right:
        raise SignatureRefused(INVALID, MISMATCH)
    return found.owner


def _headers(request: Request) -> dict[str, str]:
    """Return the headers by name. The values of a name that comes more often are joined by commas, as they are signed.
    Raises `SignatureRefused` for one that must stand once (rule 2)."""
    found: dict[str, str] = {}
    for name, value in request.headers:
        if name not in found:
            found[name] = value
        elif name in ("authorization", "host", "date") or name.startswith("x-amz-"):
            raise SignatureRefused(INCOMPLETE, f"The header '{name}' must stand once.")
        else:
            found[name] = f"{_folded(found[name])},{_folded(value)}"
    return found


def _parts(given: str) -> tuple[str, str, str, str, str]:
    """Return the access key id, the day, the region, the names of the signed headers, and the signature in an
    Authorization header."""
    usual = _USUAL.fullmatch(given)
    if usual is not None:
        return usual[1], usual[2], usual[3], usual[4], usual[5]
    algorithm, _, rest = given.strip(" \t").partition(" ")
    if algorithm != ALGORITHM:
        raise SignatureRefused(INCOMPLETE, f"Authorization header requires the algorithm '{ALGORITHM}'.")
    found, at = dict[str, str](), 0
    rest = rest.lstrip(" \t")
    while at < len(rest):
        part = _PART.match(rest, at)
        if part is None or part[1] in found:
            raise SignatureRefused(INCOMPLETE, "Authorization header must hold 'key=value' parts, each once.")
        found[part[1]], at = part[2], part.end()
    missing = " ".join([f"Authorization header requires '{name}' parameter." for name in _PARTS if name not in found])
    if missing:
        raise SignatureRefused(INCOMPLETE, missing)
    if _SIGNATURE.fullmatch(found["Signature"]) is None:
        raise SignatureRefused(INVALID, MISMATCH)
    return (*_scope(found["Credential"]), found["SignedHeaders"], found["Signature"])


def _scope(credential: str) -> tuple[str, str, str]:
    """Return the access key id, the day and the region in a credential."""
    parts = credential.split("/")
    if len(parts) != 5:
        raise SignatureRefused(
            INCOMPLETE, "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term."
        )
    access_key_id, day, region, service, terminator = parts
    if terminator != _TERMINATOR:
        raise SignatureRefused(INVALID, f"Credential should be scoped with a valid terminator: '{_TERMINATOR}'.")
    if service != SERVICE:
        raise SignatureRefused(INVALID, f"Credential should be scoped to correct service: '{SERVICE}'.")
    if _REGION.fullmatch(region) is None:  # any region is good: all of them are one store here
        raise SignatureRefused(INVALID, "Credential should be scoped to a valid region.")
    return access_key_id, day, region


def _stamp(headers: Mapping[str, str], now: datetime) -> str:
    """Return the date of the request in AWS's form: that of X-Amz-Date or, without it, that of Date. Raises
    `SignatureRefused` unless it is within `SKEW` of *now*."""
    given = headers.get("x-amz-date")
    if given is None and "date" in headers:
        given = _from_date(headers["date"])
    if given is None:
        text = "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."
        raise SignatureRefused(INCOMPLETE, text)
    try:
        at = datetime.fromisoformat(given) if _STAMP.fullmatch(given) is not None else None
    except ValueError:  # such as the 31st of November
        at = None
    if at is None:
        raise SignatureRefused(INCOMPLETE, "Date must be in ISO-8601 'basic format', such as 20260131T120000Z.")
    now = now.replace(microsecond=0)  # dates have whole seconds
    ahead = at - now
    if ahead < -SKEW:
        text = f"Signature expired: {given} is now earlier than {amz_date(now - SKEW)} ({amz_date(now)} - 5 min.)"
    elif ahead > SKEW:
        text = (
            f"Signature not yet current: {given} is still later than {amz_date(now + SKEW)} ({amz_date(now)} + 5 min.)"
        )
    else:
        return given
    raise SignatureRefused(INVALID, text)


def _from_date(given: str) -> str:
    """Return the date in a Date header in AWS's form; as it is if it is not in the form of RFC 9110."""
    try:
        return amz_date(datetime.strptime(given, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC))
    except ValueError:
        return given


def _check_covered(headers: Mapping[str, str], signed: list[str], names: str) -> None:
    """Raise `SignatureRefused` unless *signed*, the *names* of the signed headers, are in order, and cover what they
    must (rule 1)."""
    if signed != sorted(set(signed)) or names != names.lower():
        raise SignatureRefused(INCOMPLETE, "'SignedHeaders' must be in lower case, sorted, and each once.")
    if "host" not in signed:
        raise SignatureRefused(INVALID, "'Host' must be a 'SignedHeader' in the AWS Authorization.")
    if "x-amz-date" not in headers and "date" not in signed:
        raise SignatureRefused(INVALID, "'X-Amz-Date' or 'Date' must be a 'SignedHeader' in the AWS Authorization.")
    if not headers.keys() >= set(signed):
        raise SignatureRefused(INVALID, MISMATCH)
    for name in headers:
        if name.startswith("x-amz-") and name not in signed:
            raise SignatureRefused(INVALID, "There were headers present in the request which were not signed")


def _about(payload: str) -> str:
    if payload.startswith(_NO_PAYLOAD):
        return "The payload must be signed: 'x-amz-content-sha256' is the SHA-256 of the whole body."
    return "The provided 'x-amz-content-sha256' header does not match what was computed."


def _folded(value: str) -> str:
    """Return the value of a header as it is signed (rule 5)."""
    value = value.strip(" \t")
    return _BLANKS.sub(" ", value) if "  " in value or "\t" in value else value
