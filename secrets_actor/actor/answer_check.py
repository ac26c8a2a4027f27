"""Checks what a backend, or a source of credentials, has given, before anything else reads it. PURE.

Both may be code that nobody here wrote. The worker calls these functions; the secrets actor and the callers read only
what has passed.

Rule 1: an answer that is wrong is an error of this one call, `InvalidAnswer`. It says what was expected, and names
        types and fields only: the answer may hold a value, and so may a decoder's error.
Rule 2: an answer has the type that its message declares (`Operation[...]`), and so have all fields in it. It is about
        the secret that was asked for, by name or by ARN; and if a version or a stage was asked for, it is that one.
Rule 3: in an answer about many secrets each has its own check. What is wrong with one, or absent, is an error of that
        one. What was not asked for is left out.
Rule 4: an error keeps its meaning: "denied" must not become "ask again". An origin, a request id or an attempt that is
        wrong is left out of it. Only an error that cannot be read at all is an `InvalidAnswer`.
Rule 5: an origin is in logs and reprs: it has no control characters, and no user and password before an `@`. A path may
        have any characters, as file names do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from operator import attrgetter, call
from types import NoneType, UnionType
from typing import Any, Final, TypeVar, get_args, get_origin

from msgspec import Struct
from msgspec.structs import astuple, fields

from secrets_actor.actor.credential_state import DatedCredentials
from secrets_actor.domain.credentials import Credentials
from secrets_actor.domain.errors import CredentialsError, InvalidAnswer, InvalidParameter, SecretsError
from secrets_actor.domain.names import MAX_ID_LENGTH, SecretId, without_suffix
from secrets_actor.domain.operations import CurrentVersions, Get, GetMany, Operation
from secrets_actor.domain.operations.limits import check_page
from secrets_actor.domain.ports import Answer
from secrets_actor.domain.results import CurrentVersion, SecretBatch, SecretDescription, VersionBatch
from secrets_actor.domain.secret import BlankSecret, Secret, from_origin
from secrets_actor.domain.tracing import Attempt

T = TypeVar("T")

# Of names and ARNs. Another subclass of str may compare and hash as it likes.
_TEXTS: Final = frozenset((str, SecretId))
_DESCRIPTIONS: Final = frozenset((SecretDescription,))
_NAME_OF: Final = attrgetter("name")
_ARN_OF: Final = attrgetter("arn")
_NUMBERS: Final = (float, int)
# Bytes: a packed version has its length in one byte (domain/packed_secret.py).
_MAX_VERSION_LENGTH: Final = 255
# An end outside of these would overflow when minutes are added to it, or another time zone is put in. A year further
# than the last one counts as that.
_FIRST_END: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_END: Final = datetime(9000, 1, 1, tzinfo=UTC)


class Wrong(Exception):
    """Raised for what is wrong with an answer. Its text says what was expected. It never leaves this file."""


# --- answers ------------------------------------------------------------------------------------------------------


def checked_answer(
    answer: Answer[Any], operation: Operation[Any], attempts: list[Attempt], name: str, default: str | None
) -> Answer[Any]:
    """Return *answer*, which the backend called *name* gave to *operation*, after these *attempts*. The answer and the
    secrets in it have the origin that it names, or else the *default* one. Raises `InvalidAnswer`."""
    try:
        return _checked(answer, operation, attempts, name, default)
    except Wrong as wrong:
        problem = str(wrong)
    except Exception:  # noqa: BLE001  the answer's own code, such as that of a mapping
        problem = "a part of it raises when it is read"
    # Raised outside the handler, so that the error has no context (rule 1).
    raise _invalid(name, operation.kind, problem)


def _checked(
    answer: Any, operation: Operation[Any], attempts: list[Attempt], name: str, default: str | None
) -> Answer[Any]:
    if type(answer) is not Answer:
        raise Wrong(f"an Answer is expected, not {_type_of(answer)}")
    value, request_id, origin = answer.value, answer.request_id, answer.origin or default
    if origin is not default and not is_origin(origin):
        raise Wrong(_ORIGIN)
    if request_id is not None and type(request_id) is not str:
        raise Wrong("a request_id is a str or None")
    for attempt in attempts:
        if not is_attempt(attempt):
            raise Wrong("the attempts of a context are Attempts, and the fields of each have the types of that class")
    if isinstance(operation, Get):
        value = _checked_secret(value, operation.secret_id, origin)
        if operation.version_id is not None and operation.version_id != value.version_id:
            raise Wrong("the Secret is of another version than the one that was asked for")
        if operation.stage is not None and operation.stage not in value.stages:
            raise Wrong("the Secret does not have the stage that was asked for")
    elif isinstance(operation, GetMany):
        _check_kind(value, SecretBatch)
        value = SecretBatch(
            *_checked_parts(value, operation, name, lambda one, asked: _checked_secret(one, asked, origin))
        )
    elif isinstance(operation, CurrentVersions):
        _check_kind(value, VersionBatch)
        value = VersionBatch(*_checked_parts(value, operation, name, _checked_version))
    else:
        kind: Any = type(operation)
        _check_type(value, _answer_type(kind))
        _check_about(value, getattr(operation, "secret_id", None))
    return Answer(value, request_id, origin)


_ORIGIN: Final = "an origin is a text without control characters, a user or a password, or None"
_STRAY: Final = "it is about another secret than the one that was asked for"


def _checked_secret(secret: Any, asked: str, origin: str | None) -> Secret:
    """Return *secret*, with *origin* if it names none itself. Raises `Wrong` if it is not the one *asked* for."""
    if type(secret) is not Secret and type(secret) is not BlankSecret:  # no subclass: its code would run in the actor
        raise Wrong(f"a Secret is expected, not {_type_of(secret)}")
    # Compared in turn, for the ARN is unpacked only when it is looked at.
    if asked != secret.name and asked != secret.arn and not _is_about(SecretId(asked), secret.name, secret.arn):
        raise Wrong(_STRAY)
    placed = secret if origin is None else from_origin(secret, origin)
    if placed is secret and not is_origin(secret.origin):
        raise Wrong(_ORIGIN)
    return placed


def _checked_version(found: Any, asked: str) -> CurrentVersion:
    """Return *found*, the current version of the secret that was *asked* for. Raises `Wrong`."""
    _check_type(found, CurrentVersion)
    if found.version_id is None:
        raise Wrong("a CurrentVersion has a version_id")
    _check_about(found, asked)
    return found  # type: ignore[no-any-return]


def _check_kind(batch: Any, expected: type) -> None:
    if type(batch) is not expected:
        raise Wrong(f"a {expected.__name__} is expected, not {_type_of(batch)}")


def _checked_parts(
    batch: Any, operation: GetMany | CurrentVersions, name: str, checked: Callable[[Any, str], T]
) -> tuple[dict[str, T], dict[str, SecretsError]]:
    """Return what *batch* has found, each part as *checked* returns it, and its errors (rule 3)."""
    found, errors = dict[str, T](), dict[str, SecretsError]()
    for secret_id in operation.secret_ids:
        error: Any = batch.errors.get(secret_id)
        try:
            if secret_id in batch.found:
                found[secret_id] = checked(batch.found[secret_id], secret_id)
            elif isinstance(error, SecretsError):
                errors[secret_id] = checked_error(error, name, None)
            else:
                raise Wrong("for one of the ids it has neither an answer nor a SecretsError")
        except Wrong as wrong:
            problem = str(wrong)
        else:
            continue
        errors[secret_id] = _invalid(name, operation.kind, problem)
    return found, errors


def _check_about(value: Any, asked: str | None) -> None:
    """Raise `Wrong` if *value* says of which secret it is, and that is another one than was *asked* for."""
    name, arn = getattr(value, "name", None), getattr(value, "arn", None)
    if asked is None or arn is None:
        return
    if name is not None:
        fits = _is_about(SecretId(asked), name, arn)
    else:  # a receipt that names its secret by its ARN only: the ARN and the id must have a name in common
        fits = not _is_arn(arn) or not set(SecretId(asked).lanes).isdisjoint(SecretId(arn).lanes)
    if not fits:
        raise Wrong(_STRAY)


def _is_about(asked: SecretId, name: str, arn: str) -> bool:
    """Return whether the secret with this *name* and *arn* is the one that was *asked* for. Some servers have no ARN
    where AWS has one; the name alone tells then."""
    if not asked.is_arn:
        return asked == name
    return name in asked.lanes and (asked in (arn, without_suffix(arn)) or not _is_arn(arn))


def _is_arn(text: str) -> bool:
    return text.startswith("arn:")


def _invalid(name: str, kind: str, problem: str) -> InvalidAnswer:
    return InvalidAnswer(f"the backend {name} answers a {kind} wrongly: {problem}. Mend that backend")


def _type_of(value: object) -> str:
    return type(value).__name__


# --- parts of answers ---------------------------------------------------------------------------------------------


def is_origin(origin: object) -> bool:
    """Return whether *origin* is None, or a text that may be shown (rule 5)."""
    if origin is None:
        return True
    return type(origin) is str and (origin.startswith("/") or ("@" not in origin and origin.isprintable()))


def is_attempt(attempt: object) -> bool:
    """Return whether *attempt* is an `Attempt` whose fields have the types of that class."""
    return (
        type(attempt) is Attempt
        and type(attempt.name) is str
        and type(attempt.began) in _NUMBERS
        and type(attempt.ended) in _NUMBERS
        and type(attempt.outcome) is str
        and is_origin(attempt.origin)
    )


@lru_cache
def _answer_type(kind: Any) -> Any:
    """Return the type of the answer to a message of this *kind*: the argument of its base `Operation[...]`."""
    bases: tuple[Any, ...] = getattr(kind, "__orig_bases__")  # noqa: B009
    return next(get_args(base)[0] for base in bases if get_origin(base) is Operation)


def _check_type(value: Any, expected: Any) -> None:
    """Raise `Wrong` if *value* does not have the type *expected*, or a part of it does not have its type."""
    if _test(expected)(value):
        return
    shown = str(expected) if get_args(expected) else expected.__name__
    is_struct = type(value) is expected and _has_parts(expected)
    if not is_struct:
        raise Wrong(f"{shown} is expected, not {_type_of(value)}{', or with other parts' * bool(get_args(expected))}")
    tested = zip(expected.__struct_fields__, _tests(expected), strict=True)
    wrong = next(name for name, test in tested if not test(getattr(value, name)))
    raise Wrong(f"{shown}.{wrong} is not of the type that the class says, or too long")


@lru_cache
def _test(expected: Any) -> Callable[[Any], bool]:
    """Return a function that says whether a value has the type *expected*, and so have all parts of it."""
    origin, arguments = get_origin(expected), get_args(expected)
    if origin is UnionType and not any(map(_has_parts, arguments)):
        return lambda value: isinstance(value, arguments)
    if origin is UnionType:
        tests = [_test(one) for one in arguments]
        return lambda value: any(test(value) for test in tests)
    if expected == tuple[SecretDescription, ...]:
        return _are_descriptions
    if origin is tuple:
        part = _test(arguments[0])
        return lambda value: type(value) is tuple and all(map(part, value))
    if origin is Mapping:
        key, part = map(_test, arguments)
        return lambda value: isinstance(value, Mapping) and all(map(key, value)) and all(map(part, value.values()))
    if _has_parts(expected):
        of_fields = _tests(expected)
        return lambda value: type(value) is expected and all(map(call, of_fields, astuple(value)))
    kind = NoneType if expected is None else expected
    return lambda value: isinstance(value, kind)


def _are_descriptions(value: Any) -> bool:
    """Return whether *value* is a tuple of descriptions. A list may have thousands: only what the actor reads is looked
    at."""
    if type(value) is not tuple or not _DESCRIPTIONS.issuperset(map(type, value)):
        return False
    return _TEXTS.issuperset(map(type, map(_NAME_OF, value))) and _TEXTS.issuperset(map(type, map(_ARN_OF, value)))


def _has_parts(expected: Any) -> bool:
    return bool(get_args(expected)) or (isinstance(expected, type) and issubclass(expected, Struct))


@lru_cache
def _tests(kind: type[Struct]) -> list[Callable[[Any], bool]]:
    """Return the tests of the fields of *kind*, in their order."""
    return [_READ_BY_US.get(one.name) or _test(one.type) for one in fields(kind)]


def _is_id(text: Any) -> bool:
    return type(text) in _TEXTS and len(text) <= MAX_ID_LENGTH and text.isascii()


def _is_version_id(text: Any) -> bool:
    return text is None or (_is_id(text) and len(text) <= _MAX_VERSION_LENGTH)


def _is_name(text: Any) -> bool:
    return type(text) in _TEXTS


def _is_page_token(token: Any) -> bool:
    try:
        check_page(1, token)
    except InvalidParameter:
        return False
    return token is None or type(token) is str


# The secrets actor packs the first three, or has them as keys. The client asks for the next page by the token: a wrong
# one would be refused as an argument of its caller.
_READ_BY_US: Final[Mapping[str, Callable[[Any], bool]]] = {
    "name": _is_name,
    "arn": _is_id,
    "version_id": _is_version_id,
    "next_token": _is_page_token,
}


# --- errors -------------------------------------------------------------------------------------------------------


def checked_error(error: SecretsError, name: str, default: str | None) -> SecretsError:
    """Return a copy of *error*, which the backend called *name* raised, without traceback, cause and context (rule 4).
    Its origin is the one that it names, or else the *default* one."""
    try:
        twin = error.clone()
        # What the secrets actor and the callers will read is read here once: if it raises at all, it is to raise here.
        for fact in ("retryable", "refused", "outage") if isinstance(twin, CredentialsError) else ("retryable",):
            bool(getattr(twin, fact))
        str(twin)
        if twin.origin is None or not is_origin(twin.origin):
            twin.origin = default
        for fact in ("request_id", "token"):
            if not isinstance(getattr(twin, fact), str | None):
                setattr(twin, fact, None)
        if isinstance(twin, SecretsError) and type(twin.code) is str:
            return twin
    except Exception:  # noqa: BLE001, S110  the error's own code
        pass
    text = f"the backend {name} raised a {_type_of(error)} that cannot be read: see its code, its text and its clone()"
    return InvalidAnswer(f"{text}. Mend that backend")


def drop_wrong_attempts(attempts: list[Attempt]) -> None:
    """Leave out of *attempts* what are none (rule 4)."""
    if not all(map(is_attempt, attempts)):
        attempts[:] = filter(is_attempt, attempts)


# --- credentials --------------------------------------------------------------------------------------------------


def checked_credentials(found: Any, name: str) -> DatedCredentials:
    """Return *found*, which the source of the store called *name* gave, and their dates, which are asked for once,
    here. Raises `InvalidAnswer`."""
    problem = f"Credentials are expected, not {_type_of(found)}"
    if isinstance(found, Credentials):
        problem = "expires_at"
        try:
            end = _date(found.expires_at)
            problem = "renew_at"
            return DatedCredentials(found, end, _date(found.renew_at))
        except Wrong:
            problem = f"their {problem} is None, or a datetime with a time zone"
        except Exception:  # noqa: BLE001  code of the credentials
            problem = f"their {problem} is None, or a datetime with a time zone; it raises"
    raise InvalidAnswer(f"the source of credentials of {name} answers wrongly: {problem}. Mend that source")


def _date(found: Any) -> datetime | None:
    if found is None:
        return None
    if isinstance(found, datetime) and found.utcoffset() is not None:
        return _in_utc(found)
    raise Wrong


def _in_utc(end: datetime) -> datetime:
    wall = end.replace(tzinfo=UTC)
    if not _FIRST_END < wall < _LAST_END:  # looked at first: at the edge, the change of the zone would overflow
        return _FIRST_END if wall <= _FIRST_END else _LAST_END
    return datetime.fromtimestamp(end.timestamp(), UTC)  # a plain datetime, whatever class *end* has
