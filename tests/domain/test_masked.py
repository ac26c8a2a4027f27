"""A JSON object that shows as a mask."""

import copy
import json
import pickle

import pytest

from secrets_actor.domain.errors import InvalidParameter
from secrets_actor.domain.masked import MaskedObject, MaskedText

MEMBERS = {"SecretString": "hunter2", "n": [1, 2.5, None, True], "o": {"x": "y"}}


def test_it_gives_what_it_was_given_and_shows_nothing_of_it() -> None:
    masked = MaskedObject(MEMBERS)

    assert masked.reveal() == MEMBERS
    assert MaskedObject(masked) == masked
    for shown in (repr(masked), str(masked), f"{masked}", f"{masked:>30}"):
        assert "hunter2" not in shown
        assert "****" in shown


def test_it_cannot_be_changed_from_outside() -> None:
    members = {"a": [1]}
    masked = MaskedObject(members)

    members["a"].append(2)
    masked.reveal()["a"].append(3)

    assert masked.reveal() == {"a": [1]}


def test_equals_are_equal_and_it_has_no_hash() -> None:
    assert MaskedObject({"a": 1, "b": 2}) == MaskedObject({"b": 2, "a": 1})
    assert MaskedObject({"a": 1}) != MaskedObject({"a": 2})
    assert MaskedObject({"a": 1}) != {"a": 1}
    with pytest.raises(TypeError):
        hash(MaskedObject({}))


def test_a_copy_is_itself_and_a_pickle_is_refused() -> None:
    masked = MaskedObject(MEMBERS)

    assert copy.copy(masked) is masked
    assert copy.deepcopy([masked])[0] is masked
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(masked)


def test_what_json_cannot_hold_is_refused_without_being_quoted() -> None:
    endless: dict[str, object] = {}
    endless["a"] = endless
    for bad in ({"a": b"hunter2"}, {"a": float("inf")}, ["hunter2"], None, {("hunter2",): 1}, endless):
        with pytest.raises(InvalidParameter, match="payload") as caught:
            MaskedObject(bad)  # type: ignore[arg-type]
        assert "hunter2" not in str(caught.value)
        assert caught.value.__context__ is None
    assert json.dumps(MaskedObject({}).reveal()) == "{}"


def test_a_masked_text_shows_nothing_of_it_in_any_form() -> None:
    masked = MaskedText("hunter2")

    assert masked.reveal() == MaskedText(masked).reveal() == "hunter2"
    for shown in (repr(masked), str(masked), f"{masked}", f"{masked:>30}", f"{[masked]}"):
        assert "hunter2" not in shown
        assert "****" in shown


def test_a_copy_of_a_masked_text_is_itself_and_a_pickle_is_refused() -> None:
    masked = MaskedText("hunter2")

    assert copy.copy(masked) is masked
    assert copy.deepcopy([masked])[0] is masked
    with pytest.raises(TypeError, match="cannot be pickled") as caught:
        pickle.dumps(masked)
    assert "hunter2" not in str(caught.value)


def test_a_masked_text_is_equal_to_the_same_text_and_has_no_hash() -> None:
    masked = MaskedText("hunter2")

    assert masked == "hunter2"
    assert masked == MaskedText("hunter2")
    assert masked not in ("hunter3", MaskedText("hunter3"), b"hunter2", None)
    with pytest.raises(TypeError):
        hash(masked)
