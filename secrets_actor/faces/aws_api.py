"""The AWS face: the API of AWS Secrets Manager, JSON 1.1 over `POST`, as every AWS SDK speaks it.

Rule 1: the order of the refusals is AWS's: an operation that is not known, then a caller who is not, then a request
        that cannot be read or breaks AWS's model, then a caller who may not, then the store's own.
Rule 2: the policy is asked before the store is. If the caller gave an ARN, the name of the secret that the answer is
        about is asked for, too, before anything of it leaves. So it is if the rules were replaced meanwhile.
Rule 3: a get is answered from the cache where the client's rules allow it, without leaving the coroutine.
Rule 4: a caller sees in a list what it may list, and a list tells nothing of the rest. A page has as many secrets as
        were asked for, and a NextToken only if the caller may see more: a filter that fits hidden secrets would else
        tell, by a NextToken, that they are there, and so their names, letter by letter. The store's token may tell the
        name of a hidden secret, so the caller gets a random one in its place.
Rule 5: an answer has no header `Age`: the SDK for Node takes the `Date` of every answer without it for the time.

The shapes of requests and answers, and AWS's words for errors, are in the files beside this one.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

from msgspec.structs import replace

from secrets_actor.aws_json import requests as shapes
from secrets_actor.aws_json.answers import BatchError
from secrets_actor.aws_json.codec import RequestRefused, decode_request
from secrets_actor.aws_json.errors import OWN_HEADER
from secrets_actor.aws_json.fields import MessageText, Shape
from secrets_actor.aws_json.operations import operation_in
from secrets_actor.client.async_secrets import AsyncSecrets
from secrets_actor.client.base_client import MAX_TIMEOUT
from secrets_actor.domain.errors import AccessDenied, DeadlineExceeded, InvalidRequest, SecretDeleted, SecretsError
from secrets_actor.domain.operations import GetMany, ListPage, Operation
from secrets_actor.domain.results import SecretDescription, SecretPage
from secrets_actor.domain.secret import Secret
from secrets_actor.faces.aws_answers import encoded, encoded_batch, name_in
from secrets_actor.faces.aws_errors import UNKNOWN_OPERATION, Words, failure, worded
from secrets_actor.faces.aws_requests import need_of, operation_of, version_of
from secrets_actor.faces.exchange import RepeatedHeader, Request, Response
from secrets_actor.faces.identity import Identity
from secrets_actor.faces.policy import ACTION_OF
from secrets_actor.faces.service import Service
from secrets_actor.faces.sigv4_check import SignatureRefused
from secrets_actor.uuids import new_uuid

CONTENT_TYPE: Final = "application/x-amz-json-1.1"
_TYPE: Final = ("content-type", CONTENT_TYPE)
_REQUEST_ID: Final = "x-amzn-requestid"
# How many tokens of pages are remembered. A caller whose token was forgotten begins its list anew, as with AWS when a
# token has become too old.
MOST_TOKENS: Final = 4096
# How many secrets are asked for at a time while those of a page are gathered (AWS's most), and how often at most. After
# that the page is given as it is, with a NextToken: that tells of thousands only, and the work for one request has an
# end.
GATHERED_AT_A_TIME: Final = 100
MOST_GATHERED: Final = 20
# Who sends a request. Raises `SignatureRefused`.
Authenticate = Callable[[Request], Identity]


class PageTokens:
    """The tokens that callers were given, and the tokens of the store that they stand for (rule 4).

    They are in memory only. The coroutines of one loop use them, and the loops of several listeners may: each method is
    one or two operations on a dictionary, and a race costs one token.
    """

    def __init__(self, new_id: Callable[[], str] = new_uuid) -> None:
        self._kept: OrderedDict[str, str] = OrderedDict()
        self._new_id = new_id

    def given_for(self, token: str | None) -> str | None:
        """Return a token for a caller that stands for the store's *token*; None for None."""
        if token is None:
            return None
        given = self._new_id()
        self._kept[given] = token
        while len(self._kept) > MOST_TOKENS:
            self._kept.popitem(last=False)
        return given

    def meant_by(self, given: str) -> str:
        """Return the store's token that *given* stands for. Raises `InvalidRequest` for one that was not given out, or
        was forgotten."""
        found = self._kept.get(given)
        if found is None:
            raise InvalidRequest("no such NextToken was given out lately: list again without it")
        return found


class AwsApi:
    """The AWS face (the port `Face`). *authenticate* says who sends a request. Listeners that serve the same callers
    share *pages*."""

    name = "aws"

    def __init__(self, service: Service, authenticate: Authenticate, pages: PageTokens | None = None) -> None:
        self._service, self._authenticate = service, authenticate
        self._gate, self._now = service.gate, service.clock.now
        self._pages = PageTokens() if pages is None else pages
        self._special: dict[str, Callable[[_Call], Awaitable[bytes]]] = {
            "GetSecretValue": self._get,
            "BatchGetSecretValue": self._batch,
            "ListSecrets": self._list,
        }

    def takes(self, request: Request) -> bool:
        """Whether this is a request to the AWS API, at any path: the endpoint that an SDK is given may have one."""
        if request.method != "POST":
            return False
        return bool(request.all("x-amz-target")) or any(map(_is_ours, request.all("content-type")))

    async def answer(self, request: Request) -> Response:
        """Answer *request*, by its deadline."""
        name, asked = "", None
        try:
            name = _operation(request)
            identity = self._proven(request, name)
            asked = decode_request(name, request.body)
            call = _Call(name, asked, request, identity, self._service.client(identity))
            body = await self._special.get(name, self._ask)(call)
        except SecretsError as error:
            return _error(worded(error, name, asked))
        except (SignatureRefused, RequestRefused) as refusal:
            return _error(Words(refusal.code, refusal.message))
        except _Unknown:
            return _error(Words(UNKNOWN_OPERATION))
        except RepeatedHeader as repeated:
            return _error(Words("MalformedHttpRequestException", f"The header {repeated.name} is repeated."))
        return Response(200, (_TYPE, (_REQUEST_ID, new_uuid())), body)

    def _proven(self, request: Request, name: str) -> Identity:
        """Return who sends *request*, for the operation *name*. Raises `SignatureRefused`, which is in the audit log
        then."""
        try:
            return self._authenticate(request)
        except SignatureRefused:
            self._service.note_unproven(request.peer, ACTION_OF[name])
            raise

    def broken(self, _request: Request) -> Response:
        """Return the answer to a request in which `answer` has failed by a mistake of ours."""
        return _error(failure("internal_error"))

    # --- operations -----------------------------------------------------------------------------------------------

    async def _get(self, call: "_Call") -> bytes:
        asked = cast(shapes.GetSecretValueRequest, call.asked)
        version_id, stage = version_of(asked)
        judged_by = self._gate.in_force()
        await self._gate.check(call.identity, "get", asked.SecretId)
        secret = await call.client.get(asked.SecretId, version_id=version_id, stage=stage, timeout=self._left(call))
        if secret.name != asked.SecretId or self._gate.in_force() is not judged_by:
            await self._gate.check(call.identity, "get", secret.name)
        return encoded(call.name, secret)

    async def _ask(self, call: "_Call") -> bytes:
        """Any operation that is about one secret, or about none."""
        operation, need = operation_of(call.name, call.asked, call.request.body), need_of(call.name, call.asked)
        judged_by = self._gate.in_force()
        if need.secret_id is None:
            self._gate.check_any(call.identity, need.action)
        else:
            await self._gate.check(call.identity, need.action, need.secret_id)
        result = await self._result(call, operation)
        found = name_in(result) or need.secret_id
        if found is not None and (found != need.secret_id or self._gate.in_force() is not judged_by):
            await self._gate.check(call.identity, need.action, found)
        if call.name == "UpdateSecret" and isinstance(result, SecretDescription) and result.deleted_at is not None:
            raise SecretDeleted("the secret is scheduled for deletion; restore it first")
        return encoded(call.name, result)

    async def _list(self, call: "_Call") -> bytes:
        operation = cast(ListPage, operation_of(call.name, call.asked, call.request.body))
        return encoded(call.name, await self._page(call, operation))

    async def _page(self, call: "_Call", operation: ListPage) -> SecretPage:
        """Return the page of *operation*, with what the caller may list, and a token for the caller."""
        self._gate.check_any(call.identity, "list")
        if operation.next_token is not None:
            operation = replace(operation, next_token=self._pages.meant_by(operation.next_token))
        size, seen = operation.page_size, list[SecretDescription]()
        for _ in range(MOST_GATHERED):
            page = await self._result(call, replace(operation, page_size=GATHERED_AT_A_TIME))
            places = [n for n, one in enumerate(page.secrets) if self._gate.may(call.identity, "list", one.name)]
            room = size - len(seen)
            if len(places) > room:
                break
            seen += [page.secrets[place] for place in places]
            operation = replace(operation, next_token=page.next_token)
            if page.next_token is None:
                return SecretPage(tuple(seen))
        if 0 < room < len(places):
            # Asked for once more, up to the last that there is room for: the store's token goes on behind that.
            page = await self._result(call, replace(operation, page_size=places[room - 1] + 1))
            seen += [one for one in page.secrets if self._gate.may(call.identity, "list", one.name)]
            operation = replace(operation, next_token=page.next_token)
        return SecretPage(tuple(seen), self._pages.given_for(operation.next_token))

    async def _batch(self, call: "_Call") -> bytes:
        operation, token = operation_of(call.name, call.asked, call.request.body), None
        if isinstance(operation, ListPage):
            page = await self._page(call, operation)
            ids, token = tuple([one.name for one in page.secrets]), page.next_token
        else:
            ids = tuple(map(str, cast(GetMany, operation).secret_ids))
        found, errors = await self._each(call, ids)
        return encoded_batch(found, errors, token)

    async def _each(self, call: "_Call", ids: tuple[str, ...]) -> tuple[tuple[Secret, ...], tuple[BatchError, ...]]:
        """Return the secrets of *ids* that the caller may get and that there are, and an error for each other id."""
        problems: dict[str, SecretsError] = {}
        judged_by = self._gate.in_force()
        for one in ids:
            await self._note_refusal(call, one, one, problems)
        allowed = [one for one in ids if one not in problems]
        found: dict[str, Secret] = {}
        if allowed:
            batch = await call.client.get_many(allowed, timeout=self._left(call))
            problems |= batch.errors
            found = {str(asked): secret for asked, secret in batch.found.items()}
            for asked, secret in found.items():
                if secret.name != asked or self._gate.in_force() is not judged_by:
                    await self._note_refusal(call, asked, secret.name, problems)
        secrets = tuple([found[one] for one in ids if one in found and one not in problems])
        return secrets, tuple([_batch_error(one, problems[one]) for one in ids if one in problems])

    async def _note_refusal(self, call: "_Call", asked: str, secret_id: str, problems: dict[str, SecretsError]) -> None:
        try:
            await self._gate.check(call.identity, "get", secret_id)
        except AccessDenied as refusal:
            problems[asked] = refusal

    async def _result(self, call: "_Call", operation: Operation[Any]) -> Any:
        return await call.client.ask(operation, timeout=self._left(call))

    def _left(self, call: "_Call") -> float:
        """Return how many seconds are left for *call*. Raises `DeadlineExceeded` if none are."""
        left = call.request.deadline - self._now()
        if left <= 0:
            raise DeadlineExceeded("no time is left for this request: ask again")
        return min(left, MAX_TIMEOUT)


class _Call:
    """One call: the operation by AWS's name, what is asked, by whom, and the client that asks in that name."""

    __slots__ = ("asked", "client", "identity", "name", "request")

    def __init__(self, name: str, asked: Shape, request: Request, identity: Identity, client: AsyncSecrets) -> None:
        self.name, self.asked, self.request, self.identity, self.client = name, asked, request, identity, client


class _Unknown(Exception):
    """Raised for a request that names no operation of this API."""


def _operation(request: Request) -> str:
    """Return the operation that *request* is for. Raises `_Unknown` and `RepeatedHeader`."""
    target, kind = request.one("x-amz-target"), request.one("content-type")
    name = None if target is None else operation_in(target)
    # Another type is refused although the body may be fine. A page in a browser can send a form to this machine without
    # being asked, but not this type.
    if name is None or kind is None or not _is_ours(kind):
        raise _Unknown
    return name


def _is_ours(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() == CONTENT_TYPE


def _batch_error(asked: str, error: SecretsError) -> BatchError:
    words = worded(error, "GetSecretValue", shapes.GetSecretValueRequest(SecretId=asked))
    return BatchError(
        SecretId=asked,
        ErrorCode=words.code,
        Message=None if words.message is None else MessageText(words.message),
    )


def _error(words: Words) -> Response:
    headers = [_TYPE, (_REQUEST_ID, new_uuid())]
    if words.retry_after is not None:
        # Milliseconds: read by the SDKs' retry modes of 2026.
        headers.append(("x-amz-retry-after", str(round(words.retry_after * 1000))))
    if words.own is not None:
        headers.append((OWN_HEADER, words.own))
    return Response(words.status, tuple(headers), words.body)
