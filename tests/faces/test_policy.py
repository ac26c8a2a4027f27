"""The policy: what no rule allows is refused, rules add up, and patterns mean what they say."""

import itertools
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from secrets_actor.domain.errors import ConfigurationError
from secrets_actor.domain.names import SecretId
from secrets_actor.faces.identity import KINDS, Identity, Peer, identity_of, terms
from secrets_actor.faces.policy import (
    ACTION_OF,
    ACTIONS,
    GROUPS,
    REFUSED,
    Both,
    NearMiss,
    Policy,
    Rule,
    matcher,
    mistakes_in,
)
from tests.servers.process import ROOT

BILLING = Identity(Peer(uid=990, gid=990, pid=4711, user="deploy", groups=frozenset({"web"}), unit="billing.service"))
RULE = Rule(("unit:billing.service",), ("billing/*",), ("get",))


def may(rules: list[Rule], identity: Identity, action: str, name: str) -> bool:
    return Policy(rules).decide(identity, action, name).allowed


# --- patterns ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("shared/smtp", ["shared/smtp"], ["shared/smtp2", "shared", "shared/smtp/", "Shared/smtp", "shared/smt"]),
        ("billing/*", ["billing/db", "billing/", "billing/a.b"], ["billing", "billing/a/b", "billing//", "xbilling/a"]),
        (
            "billing/**",
            ["billing/db", "billing/", "billing/a/b", "billing//", "billing/../x"],
            ["billing", "Billing/a"],
        ),
        ("**", ["a", "a/b", "/", "..", "a//b"], []),
        ("*", ["a", "..", "a-abcdef"], ["a/b", "/", "a/"]),
        ("*/db", ["a/db", "/db"], ["db", "a/b/db", "a/dbx"]),
        ("**/db", ["a/db", "/db", "a/b/db"], ["db", "a/b/dbx"]),
        ("a**b*c", ["abc", "a/x/b-c", "axbxbyc"], ["a/b/c", "abxc/", "ab"]),
        ("a.b", ["a.b"], ["axb", "a_b"]),
        ("a+b", ["a+b"], ["aab", "ab"]),
        ("**a*b", ["a/ab", "ab"], ["a/b", "a/a/b"]),
        ("*a*a*", ["aa", "xaya"], ["a", "a/a"]),
    ],
)
def test_a_pattern_matches(pattern: str, matching: list[str], others: list[str]) -> None:
    matches = matcher(pattern)

    assert [name for name in (*matching, *others) if matches(name)] == matching


def slowly_matches(pattern: str, name: str) -> bool:
    """The meaning of a pattern, one character at a time."""
    if not pattern:
        return not name
    if pattern.startswith("**"):
        return any(slowly_matches(pattern[2:], name[cut:]) for cut in range(len(name) + 1))
    if pattern.startswith("*"):
        run = len(list(itertools.takewhile(lambda one: one != "/", name)))
        return any(slowly_matches(pattern[1:], name[cut:]) for cut in range(run + 1))
    return name[:1] == pattern[0] and slowly_matches(pattern[1:], name[1:])


patterns = st.text("ab/*", min_size=1, max_size=9).filter(lambda text: "***" not in text)


@given(patterns, st.text("ab/", min_size=1, max_size=9))
def test_a_pattern_means_what_a_slow_matcher_says(pattern: str, name: str) -> None:
    assert bool(matcher(pattern)(name)) is slowly_matches(pattern, name)


def test_all_small_patterns_mean_what_a_slow_matcher_says() -> None:
    names = ["".join(letters) for size in range(1, 6) for letters in itertools.product("ab/", repeat=size)]
    for pattern in ("a*b*a", "**a*b", "*a*", "a**b*", "**/*a", "*/**", "**a**b", "a*/*b", "**b*/a*"):
        matches = matcher(pattern)
        assert [name for name in names if matches(name)] == [name for name in names if slowly_matches(pattern, name)]


def test_no_name_makes_a_pattern_slow() -> None:
    """With a matcher that goes back to each star these would take longer than the universe."""
    for pattern in ("*a" * 40 + "b", "**a" * 40 + "b", "**a*a" * 20 + "b"):
        assert not matcher(pattern)("a" * 511 + "c")


# --- rules ------------------------------------------------------------------------------------------------------------


def test_what_no_rule_allows_is_refused() -> None:
    assert Policy([]).decide(BILLING, "get", "billing/db") is REFUSED
    for identity in (BILLING, Identity(Peer()), Identity(Peer(address="127.0.0.1:4711"))):
        assert all(not may([], identity, action, "a") for action in ACTIONS)
    assert may([RULE], BILLING, "get", "billing/db")
    assert not may([RULE], BILLING, "get", "shared/smtp")
    assert not may([RULE], BILLING, "no-action-of-ours", "billing/db")


def test_an_action_implies_no_other() -> None:
    for action in ACTIONS[:-1]:
        rule = replace(RULE, may=(action,))
        assert [one for one in ACTIONS if may([rule], BILLING, one, "billing/db")] == [action]


@pytest.mark.parametrize("word", GROUPS)
def test_a_word_for_several_actions_allows_just_these(word: str) -> None:
    rule = replace(RULE, may=(word,))

    assert {one for one in ACTIONS if may([rule], BILLING, one, "billing/db")} == set(GROUPS[word])


@pytest.mark.parametrize(
    ("who", "allowed"),
    [
        (("unit:billing.service",), True),
        (("user:deploy",), True),
        (("uid:990",), True),
        (("group:web",), True),
        (("gid:990",), True),
        (("user:root", "group:web"), True),
        (("unit:billing.service+user:deploy",), True),
        (("unit:billing.service+user:root",), False),
        (("user:root", "unit:billing.service+user:other"), False),
        (("unit:deploy.service",), False),
        (("user:web",), False),
        (("token:deploy",), False),
        (("key:billing.service",), False),
        (("user_unit:990/billing.service",), False),
    ],
)
def test_any_of_who_is_enough_and_a_plus_asks_for_both(who: tuple[str, ...], allowed: bool) -> None:
    assert may([replace(RULE, who=who)], BILLING, "get", "billing/db") is allowed


def test_the_decision_names_the_first_rule_that_allows_it() -> None:
    policy = Policy([replace(RULE, may=("put",)), RULE, RULE])
    decision = policy.decide(BILLING, "get", "billing/db")

    assert (decision.allowed, decision.rule, decision.number) == (True, RULE, 1)
    assert policy.decide(BILLING, "get", "billing/db") is decision


def test_more_decisions_than_are_kept_stay_right() -> None:
    policy = Policy([RULE])
    for number in range(5000):
        assert policy.decide(BILLING, "get", f"billing/{number}").allowed
        assert not policy.decide(BILLING, "get", f"other/{number}").allowed
    assert policy.decide(BILLING, "get", "billing/0").allowed


def test_more_callers_than_are_kept_stay_right() -> None:
    policy = Policy([RULE, replace(RULE, who=("uid:990",), may=("put",))])
    for pid in range(3000):
        for mine, allowed in (
            (BILLING.peer, (True, True)),
            (Peer(uid=990), (False, True)),
            (Peer(uid=5), (False, False)),
        ):
            identity = Identity(replace(mine, pid=pid))
            assert tuple(policy.decide(identity, one, "billing/db").allowed for one in ("get", "put")) == allowed


def test_what_is_about_no_one_secret() -> None:
    policy = Policy([RULE, Rule(("user:deploy",), ("a/**",), ("admin",))])
    assert policy.decide(BILLING, "get", None).number == 0
    assert policy.decide(BILLING, "list", None).number == 1
    assert not policy.decide(BILLING, "admin", None).allowed, "it is admin of some secrets, and not of the daemon"
    assert policy.decide(BILLING, "admin", "a/b").allowed

    whole = Policy([RULE, Rule(("user:deploy",), ("a", "**"), ("admin",))])
    assert whole.decide(BILLING, "admin", None).number == 1
    assert not whole.decide(Identity(Peer(uid=5)), "admin", None).allowed


# --- properties -------------------------------------------------------------------------------------------------------

WORDS = ["user:deploy", "user:root", "unit:billing.service", "token:ci", "group:web"]
rules = st.builds(
    Rule,
    st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=2).map("+".join), min_size=1, max_size=3).map(tuple),
    st.lists(patterns, min_size=1, max_size=3).map(tuple),
    st.lists(st.sampled_from((*ACTIONS, "read", "write")), min_size=1, max_size=3).map(tuple),
)
identities = (
    st.lists(st.sampled_from(WORDS), unique=True)
    .filter(lambda found: len([one for one in found if one.startswith("user:")]) < 2)
    .map(identity_of)
)
asked = st.tuples(identities, st.sampled_from(ACTIONS), st.text("ab/", min_size=1, max_size=6))


@given(st.lists(rules, max_size=5), asked)
def test_a_policy_is_the_union_of_its_rules(given_rules: list[Rule], question: Any) -> None:
    identity, action, name = question
    held = terms(identity)
    wanted = [
        number
        for number, rule in enumerate(given_rules)
        if any(set(one.split("+")) <= held for one in rule.who)
        and any(slowly_matches(one, name) for one in rule.secrets)
        and any(action in GROUPS.get(word, (word,)) for word in rule.may)
    ]
    policy = Policy(given_rules)

    assert policy.decide(identity, action, name).number == (wanted[0] if wanted else None)
    assert policy.explain(identity, action, name).allowed_by == tuple(wanted)


@given(st.lists(rules, max_size=4), rules, asked)
def test_one_more_rule_takes_nothing_away(given_rules: list[Rule], more: Rule, question: Any) -> None:
    for with_it in ([*given_rules, more], [more, *given_rules]):
        assert may(given_rules, *question) <= may(with_it, *question)


@given(st.lists(rules, max_size=4), st.sampled_from(ACTIONS), st.text("ab/", min_size=1, max_size=6))
def test_a_caller_of_whom_nothing_is_known_gets_nothing(given_rules: list[Rule], action: str, name: str) -> None:
    for nobody in (
        Identity(Peer()),
        Identity(Peer(address="10.0.0.1:5")),
        Identity(Peer(uid=65534, gid=65534, user="nobody")),
    ):
        assert not may(given_rules, nobody, action, name)


# --- attacks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "billing/../admin/x",  # a name like any other: nothing here or at AWS takes `..` for anything
        "billing//x",
        "billing/a/b",
        "BILLING/db",
        "billing",
        "billing-abcdef",
        "xbilling/db",
        "/billing/db",
        "./billing/db",
        "admin/billing/db",
        "billing.db",
        "billing/db/" + "x" * 400,
    ],
)
def test_a_name_beside_the_pattern_is_refused(name: str) -> None:
    assert SecretId(name) == name
    assert not may([RULE], BILLING, "get", name)


def test_a_name_that_ends_as_an_arn_does_is_a_name_of_its_own() -> None:
    rule = replace(RULE, secrets=("a",))

    assert may([rule], BILLING, "get", "a")
    assert not may([rule], BILLING, "get", "a-abcdef")


# --- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        (replace(RULE, who=()), "who"),
        (replace(RULE, secrets=()), "secrets"),
        (replace(RULE, may=()), "may"),
        (replace(RULE, who=("deploy",)), "who[0]"),
        (replace(RULE, who=("user:deploy", "User:deploy")), "who[1]"),
        (replace(RULE, who=("user:deploy+",)), "who[0]"),
        (replace(RULE, who=("*",)), "who[0]"),
        (replace(RULE, who=("unit:billing",)), "who[0]"),
        (replace(RULE, who=("unit:*.service",)), "who[0]"),
        (replace(RULE, who=("user:1000",)), "who[0]"),
        (replace(RULE, who=("group:27",)), "who[0]"),
        (replace(RULE, who=("uid:deploy",)), "who[0]"),
        (replace(RULE, who=("uid:-1",)), "who[0]"),
        (replace(RULE, who=("uid:007",)), "who[0]"),
        (replace(RULE, who=("user:nobody",)), "who[0]"),
        (replace(RULE, who=("uid:65534",)), "who[0]"),
        (replace(RULE, who=("key:minted",)), "who[0]"),
        (replace(RULE, who=("user:a\n",)), "who[0]"),
        (replace(RULE, who=("user_unit:app.service",)), "who[0]"),
        (replace(RULE, who=("spiffe:example.org/a",)), "who[0]"),
        (replace(RULE, secrets=("arn:aws:secretsmanager:eu-west-1:123456789012:secret:a",)), "secrets[0]"),
        (replace(RULE, secrets=("a", "")), "secrets[1]"),
        (replace(RULE, secrets=("a***b",)), "secrets[0]"),
        (replace(RULE, secrets=("a b",)), "secrets[0]"),
        (replace(RULE, secrets=("a?",)), "secrets[0]"),
        (replace(RULE, secrets=("a\n",)), "secrets[0]"),
        (replace(RULE, secrets=("\u00e4",)), "secrets[0]"),
        (replace(RULE, secrets=("x" * 513,)), "secrets[0]"),
        (replace(RULE, may=("Get",)), "may[0]"),
        (replace(RULE, may=("get", "*")), "may[1]"),
    ],
    ids=ascii,
)  # fmt: skip
def test_a_mistake_in_a_rule_is_told_with_its_place(rule: Rule, field: str) -> None:
    [mistake] = mistakes_in(rule)
    assert mistake.startswith(f"{field}: ")

    with pytest.raises(ConfigurationError) as refused:
        Policy([RULE, rule])
    assert refused.value.mistakes == (f"allow[1].{mistake}",)


def test_all_mistakes_are_told_at_once() -> None:
    assert len(list(mistakes_in(Rule(("x", "user:a+y+z"), ("", "a b"), ("x",))))) == 6


# --- explaining -------------------------------------------------------------------------------------------------------


def test_an_explanation_names_the_rules_that_nearly_fit() -> None:
    rules = [
        RULE,
        replace(RULE, who=("user:root",)),
        replace(RULE, secrets=("shared/*",)),
        replace(RULE, may=("put",)),
        replace(RULE, who=("user:root",), may=("put",)),
    ]
    policy = Policy(rules)

    told = policy.explain(BILLING, "get", "billing/db")
    assert told.allowed_by == (0,)
    assert told.near == (
        NearMiss(1, rules[1], "who"),
        NearMiss(2, rules[2], "secrets"),
        NearMiss(3, rules[3], "may"),
    )
    assert policy.explain(BILLING, "get", None).allowed_by == (0, 2)


def test_the_page_has_the_operations_of_each_action() -> None:
    page = (ROOT / "config" / "README.md").read_text().partition("## Who may do what")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", page, re.M))

    told = {word: set(re.findall(r"[A-Z][a-z]+[A-Z]\w+", rows[word])) for word in ACTIONS[:-1]}
    assert told == {word: {name for name, needed in ACTION_OF.items() if needed == word} for word in ACTIONS[:-1]}
    assert {word: tuple(rows[word].split(", ")) for word in ("read", "write")} == {
        word: GROUPS[word] for word in ("read", "write")
    }
    kinds = set(re.findall(r"`(\w+):", page.partition("| term |")[2].partition("\n\n")[0]))
    assert kinds == set(KINDS)


def test_what_is_in_force_between_two_policies_is_what_both_allow() -> None:
    before = Policy([Rule(("user:a",), ("x", "y"), ("get",))])
    after = Policy([Rule(("user:a",), ("y", "z"), ("get",))])
    both, caller = Both(before, after), Identity(Peer(uid=1, user="a"))

    assert [both.decide(caller, "get", name).allowed for name in ("x", "y", "z")] == [False, True, False]
