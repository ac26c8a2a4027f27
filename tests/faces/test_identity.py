"""What is known of a caller, in the words of rules and in the audit log."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secrets_actor.domain.errors import InvalidParameter
from secrets_actor.domain.tracing import CallerFacts
from secrets_actor.faces.identity import (
    KINDS,
    Identity,
    Peer,
    caller_facts,
    identity_of,
    name_of,
    template_of,
    term_mistake,
    terms,
)
from secrets_actor.telemetry.redaction import redact

DEPLOY = Peer(uid=990, gid=991, pid=4711, user="deploy", groups=frozenset({"web", "db"}), unit="billing.service")
TCP = Peer(address="127.0.0.1:4711")


@pytest.mark.parametrize(
    ("identity", "wanted"),
    [
        (Identity(DEPLOY), "unit:billing.service user:deploy uid:990 gid:991 group:web group:db"),
        (Identity(Peer(uid=0, gid=0, user="root", groups=frozenset({"root"}))), "user:root uid:0 gid:0 group:root"),
        (Identity(Peer(uid=7, gid=8, user="7", groups=frozenset({"8"}))), "uid:7 gid:8"),
        (Identity(Peer(uid=65534, gid=65534, user="nobody", unit="a.service")), "unit:a.service"),
        (Identity(Peer(user_unit="1000/billing.service")), "user_unit:1000/billing.service"),
        (Identity(Peer(unit="worker@1.service")), "unit:worker@1.service unit:worker@.service"),
        (Identity(TCP), ""),
        (Identity(TCP, token="ci"), "token:ci"),
        (Identity(TCP, key="ci"), "key:ci"),
        (Identity(Peer(uid=1), "ci", "minted"), "uid:1 token:ci"),
        (Identity(Peer(uid=1), "a", "b"), "uid:1 token:a key:b"),
        (Identity(Peer(certificate="spiffe://example.org/billing")), "spiffe://example.org/billing"),
        (Identity(Peer(certificate="billing.internal")), "certificate:billing.internal"),
        (Identity(Peer(certificate="user:root")), "certificate:user:root"),
        (Identity(Peer(uid=1, user="x+unit:a.service")), "uid:1 user:x+unit:a.service"),
    ],
)
def test_a_caller_has_the_terms_of_all_that_is_known(identity: Identity, wanted: str) -> None:
    assert terms(identity) == set(wanted.split())


@pytest.mark.parametrize(
    ("unit", "template"),
    [
        ("a.service", "a.service"),
        ("a@b.service", "a@.service"),
        ("a@b.c.service", "a@.service"),
        ("a@.service", "a@.service"),
        ("a@b", "a@b"),
    ],
)
def test_an_instance_has_a_template(unit: str, template: str) -> None:
    assert template_of(unit) == template


@pytest.mark.parametrize(
    ("identity", "name", "by"),
    [
        (Identity(DEPLOY), "unit:billing.service (user deploy)", "peer"),
        (Identity(Peer(uid=7, user="7")), "uid:7", "peer"),
        (Identity(Peer(uid=7, user="seven")), "user:seven", "peer"),
        (Identity(Peer(uid=7, user_unit="7/a.service")), "user_unit:7/a.service (uid 7)", "peer"),
        (Identity(DEPLOY, "ci"), "token:ci+unit:billing.service (user deploy)", "peer+token:ci"),
        (Identity(DEPLOY, key="minted"), "unit:billing.service (user deploy)", "minted"),
        (Identity(TCP, "ci", "static"), "token:ci+key:static", "token:ci+key:static"),
        (Identity(TCP), "an unknown caller", "nothing"),
        (Identity(Peer(certificate="spiffe://a/b")), "spiffe://a/b", "spiffe://a/b"),
        (Identity(Peer(uid=1, user="a\x1b\ud800" + "b" * 300)), "user:a??" + "b" * 248, "peer"),
    ],
)  # fmt: skip
def test_a_caller_has_a_name_and_what_it_rests_on(identity: Identity, name: str, by: str) -> None:
    assert name_of(identity) == name
    facts = caller_facts(identity)
    assert facts.label == name
    assert dict(facts.facts)["by"] == by


def test_the_facts_are_those_that_are_known() -> None:
    assert caller_facts(Identity(DEPLOY)) == CallerFacts(
        "unit:billing.service (user deploy)",
        (("user", "deploy"), ("uid", 990), ("unit", "billing.service"), ("pid", 4711), ("by", "peer")),
    )
    assert caller_facts(Identity(TCP, "ci")).facts == (("address", "127.0.0.1:4711"), ("by", "token:ci"))


def test_the_log_masks_none_of_the_facts() -> None:
    """It masks whatever stands under a name such as `token`."""
    whole = Peer(1, 2, 3, "a", frozenset({"b"}), "c.service", "1/d.service", "127.0.0.1:5", "e")
    facts = dict(caller_facts(Identity(whole, "ci", "k")).facts)

    assert set(facts) == {"user", "uid", "unit", "user_unit", "pid", "address", "by"}
    assert redact({f"caller_{name}": fact for name, fact in facts.items()}) == {
        f"caller_{name}": fact for name, fact in facts.items()
    }


@given(st.builds(Peer, user=st.text(min_size=1), unit=st.text(min_size=1), certificate=st.text(min_size=1)))
def test_any_text_in_an_identity_can_be_told(peer: Peer) -> None:
    assert caller_facts(Identity(peer)).label.isprintable()


def test_a_made_up_caller_is_known_by_just_what_was_given() -> None:
    given_terms = {
        "unit:a.service", "user_unit:5/b.service", "user:deploy", "uid:5", "gid:6", "group:web", "group:db", "token:ci",
        "key:k", "certificate:x",
    }  # fmt: skip
    assert terms(identity_of(given_terms)) == given_terms
    assert terms(identity_of(["spiffe://a/b"])) == {"spiffe://a/b"}
    assert terms(identity_of([])) == set()


@pytest.mark.parametrize(
    "given_terms", [["user:a", "user:b"], ["billing"], ["certificate:a", "spiffe://b/c"], ["user:a+uid:1"]], ids=str
)
def test_a_made_up_caller_that_cannot_be_is_refused(given_terms: list[str]) -> None:
    with pytest.raises(InvalidParameter) as refused:
        identity_of(given_terms)
    assert refused.value.parameter == "as"


def test_each_kind_of_term_has_one_that_is_right() -> None:
    right = (
        "unit:a@b.service", "unit:session-1.scope", r"unit:a\x2db.service", "user_unit:0/a.service", "user:a.b-c_d$",
        r"user:DOMAIN\joe", "uid:0", "group:web", "gid:0", "token:ci", "key:AKLOCAL",
        "certificate:a.b",        "spiffe://example.org/a",
    )  # fmt: skip
    assert {term.partition(":")[0] for term in right} == set(KINDS)
    assert [term for term in right if term_mistake(term) is not None] == []
