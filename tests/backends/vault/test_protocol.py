"""Calls and answers: what their reprs show, and when two are equal."""

from secrets_actor.backends.vault.protocol import VaultAnswer, VaultCall


def test_no_repr_shows_a_body() -> None:
    call = VaultCall("POST", "kv/data/a", b"never-show-this", writes=True)
    answer = VaultAnswer(200, {"data": "never-show-this"}, "id-1", "one:8200")

    assert repr(call) == "VaultCall(method='POST', path='kv/data/a', writes=True, fresh=False, patch=False)"
    assert repr(answer) == "VaultAnswer(status=200, request_id='id-1', origin='one:8200')"


def test_two_are_equal_if_all_of_them_is() -> None:
    assert VaultCall("GET", "a") == VaultCall("GET", "a")
    assert VaultCall("GET", "a") != VaultCall("GET", "a", fresh=True)
    assert VaultAnswer(404, {}) == VaultAnswer(404, {})
    assert VaultAnswer(404, {}) != VaultAnswer(404, {"errors": []})
