"""No public way shows a value that is in a shape, but the codec's."""

import copy
import io
import json
import pickle
import pprint
from collections.abc import Callable
from typing import Any, Final

import msgspec
import pytest
from rich.console import Console
from rich.pretty import pretty_repr

from secrets_actor.aws_json import answers, codec, fields, requests

CANARY: Final = "canary-that-nobody-may-see-anywhere"
TEXT: Final = fields.SecretString(CANARY)
BYTES: Final = fields.SecretBinary(CANARY.encode())
ENTRY: Final = answers.SecretValueEntry(ARN="a", Name="a", VersionId="v", CreatedDate=1.0, SecretString=TEXT)
SHAPES: Final[list[fields.Shape]] = [
    requests.CreateSecretRequest(Name="a", SecretString=TEXT),
    requests.CreateSecretRequest(Name="a", SecretBinary=BYTES),
    requests.UpdateSecretRequest(SecretId="a", SecretString=TEXT, SecretBinary=BYTES),
    requests.PutSecretValueRequest(SecretId="a", SecretString=TEXT, RotationToken=fields.RotationToken(CANARY)),
    requests.PutResourcePolicyRequest(SecretId="a", ResourcePolicy=fields.PolicyText(CANARY)),
    requests.ValidateResourcePolicyRequest(ResourcePolicy=fields.PolicyText(CANARY)),
    answers.GetSecretValueAnswer(ARN="a", Name="a", VersionId="v", CreatedDate=1.0, SecretString=TEXT),
    answers.GetSecretValueAnswer(ARN="a", Name="a", VersionId="v", CreatedDate=1.0, SecretBinary=BYTES),
    answers.BatchGetSecretValueAnswer(SecretValues=(ENTRY,)),
    answers.BatchGetSecretValueAnswer(
        Errors=(answers.BatchError(SecretId="a", ErrorCode="X", Message=fields.MessageText(CANARY)),)
    ),
    answers.GetRandomPasswordAnswer(RandomPassword=fields.RandomPassword(CANARY)),
    answers.GetResourcePolicyAnswer(ARN="a", Name="a", ResourcePolicy=fields.PolicyText(CANARY)),
    answers.ValidateResourcePolicyAnswer(
        PolicyValidationPassed=False,
        ValidationErrors=(answers.PolicyFinding(ErrorMessage=fields.MessageText(CANARY)),),
    ),
]


def printed(shape: Any) -> str:
    told = io.StringIO()
    Console(file=told, width=200).print(shape)
    return told.getvalue()


WAYS: Final[list[Callable[[Any], Any]]] = [
    repr,
    str,
    format,
    ascii,
    pprint.pformat,
    pretty_repr,
    printed,
    lambda shape: list(shape.__rich_repr__()),
    copy.copy,
    copy.deepcopy,
    lambda shape: copy.replace(shape) if hasattr(copy, "replace") else None,
    lambda shape: {name: getattr(shape, name) for name in dir(shape) if not name.startswith("__")},
    lambda shape: shape.__reduce__(),
    pickle.dumps,
    json.dumps,
    lambda shape: json.dumps(shape, default=str),
    lambda shape: json.dumps(shape, default=msgspec.structs.asdict),
    msgspec.structs.asdict,
    msgspec.structs.astuple,
    msgspec.structs.replace,
    msgspec.to_builtins,
    lambda shape: msgspec.to_builtins(shape, builtin_types=(bytes,)),
    msgspec.json.encode,
    msgspec.msgpack.encode,
    lambda shape: msgspec.json.encode(shape, enc_hook=str),
    lambda shape: msgspec.json.encode(shape, enc_hook=repr),
    lambda shape: msgspec.convert(shape, dict, from_attributes=True),
    hash,
]


@pytest.mark.parametrize("way", range(len(WAYS)))
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: type(shape).__name__)
def test_no_way_shows_a_value(shape: fields.Shape, way: int) -> None:
    try:
        shown = WAYS[way](shape)
    except (TypeError, ValueError, msgspec.MsgspecError) as error:
        shown = error

    for found in (shown if isinstance(shown, bytes) else repr(shown).encode(), repr(shape).encode()):
        assert CANARY.encode() not in found
        assert b"Y2FuYXJ5" not in found  # its beginning in base64


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: type(shape).__name__)
def test_the_codec_does_for_it_was_asked_to(shape: fields.Shape) -> None:
    written = codec.encode_request(shape)

    assert CANARY.encode() in written or b"Y2FuYXJ5" in written


def test_a_token_that_makes_a_write_repeatable_is_no_secret() -> None:
    assert "t" * 32 in repr(requests.PutSecretValueRequest(SecretId="a", ClientRequestToken="t" * 32))
