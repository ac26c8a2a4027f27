"""What the stores of our own do not know yet they say so, and drop nothing unseen."""

from collections.abc import Callable

import pytest

from secrets_actor.domain import operations as ops
from secrets_actor.domain.errors import InvalidRequest, SecretNotFound, UnknownMessage
from secrets_actor.domain.secret import SecretValue
from tests.contract.conftest import opened_store
from tests.contract.divergences import OWN
from tests.contract.store import failure, new_token


@pytest.mark.parametrize("where", OWN)
@pytest.mark.parametrize("make", [ops.Describe, lambda name: ops.Tag(name, {"a": "b"}), ops.Rotate, ops.GetPolicy])
def test_a_store_of_our_own_says_which_operation_it_does_not_know(
    where: str, make: Callable[[str], ops.Operation[object]], request: pytest.FixtureRequest
) -> None:
    for store in opened_store(where, request):
        store.set(store.name(), "one")
        operation = make(store.name())

        refusal = failure(lambda store=store, operation=operation: store.ask(operation))

        assert type(refusal) is UnknownMessage
        assert type(operation).__name__ in str(refusal)


@pytest.mark.parametrize("where", OWN)
def test_a_store_of_our_own_drops_no_tag_unseen(where: str, request: pytest.FixtureRequest) -> None:
    for store in opened_store(where, request):
        tagged = ops.Set(store.name(), SecretValue("one"), new_token(), tags={"a": "b"})

        assert type(failure(lambda store=store, tagged=tagged: store.ask(tagged))) is InvalidRequest
        assert type(failure(lambda store=store: store.get(store.name()))) is SecretNotFound
