"""The gate: one secret meets one rule, however it is called; a refusal is audited, and says nothing of the secret."""

import asyncio
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secrets_actor import AccessDenied, LogSettings, SecretNotFound, SecretsError, System, Throttled
from secrets_actor.domain.names import without_suffix
from secrets_actor.domain.ports import AuditRecord
from secrets_actor.domain.results import SecretDescription
from secrets_actor.errors import InvalidSecretName, SecretDeleted
from secrets_actor.faces.identity import Identity, Peer, caller_facts
from secrets_actor.faces.permission import KEPT, PolicyGate
from secrets_actor.faces.policy import ACTIONS, Policy, Rule, matcher
from secrets_actor.faces.service import Gate
from secrets_actor.otp import Clock, ManualClock
from secrets_actor.testing import fake_system
from tests.actor.rig import audit_log

HERE = "arn:aws:secretsmanager:eu-west-1:123456789012"
ELSEWHERE = "arn:aws:secretsmanager:eu-west-1:999999999999"
BILLING = Identity(Peer(uid=990, pid=4711, user="deploy", unit="billing.service"))
SUFFIX = "-AbC12x"


class Account:
    """The secrets that the daemon's role reaches: by name those of one account, by ARN others, too. It is asked as AWS
    is: what ends as a whole ARN does is one, if there is such a secret."""

    def __init__(self, *arns: str) -> None:
        self.arns = arns
        self.questions: list[str] = []
        self.fails: SecretsError | None = None

    async def describe(self, secret_id: str) -> SecretDescription:
        self.questions.append(str(secret_id))
        if self.fails is not None:
            raise self.fails
        whole = secret_id if secret_id.startswith("arn:") else f"{HERE}:secret:{secret_id}"
        for found in (arn for meaning in ("whole", "partial") for arn in self.arns if self._is(meaning, arn, whole)):
            return SecretDescription(found.partition(":secret:")[2][:-7], found)
        raise SecretNotFound("none")

    @staticmethod
    def _is(meaning: str, arn: str, asked: str) -> bool:
        return asked == (arn if meaning == "whole" else without_suffix(arn))


class Sink:
    """An audit log in a list."""

    def __init__(self) -> None:
        self.records: list[AuditRecord] = []

    def record(self, record: AuditRecord) -> None:
        self.records.append(record)


class Rig:
    """A gate with its surroundings. *allowed* are the secrets that BILLING may get."""

    def __init__(self, allowed: Iterable[str], account: Account | None = None, own: Iterable[str] = ()) -> None:
        self.account = Account(f"{HERE}:secret:billing/db{SUFFIX}") if account is None else account
        self.policy = Policy([Rule(("unit:billing.service",), tuple(allowed), ("get", "list"))])
        self.sink, self.clock = Sink(), ManualClock()
        self.gate = PolicyGate(lambda: self.policy, self.account.describe, self.sink, self.clock, own)

    def check(self, secret_id: str, action: str = "get", identity: Identity = BILLING) -> SecretsError | None:
        try:
            asyncio.run(self.gate.check(identity, action, secret_id))
        except SecretsError as error:
            return error
        return None

    def allows(self, secret_id: str) -> bool:
        return self.check(secret_id) is None


FORMS = ("billing/db", f"{HERE}:secret:billing/db{SUFFIX}", f"{HERE}:secret:billing/db")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("own", [(), (HERE,)], ids=["unknown", "known"])
def test_name_arn_and_partial_arn_of_one_secret_meet_one_rule(form: str, own: tuple[str, ...]) -> None:
    assert Rig(["billing/*"], own=own).allows(form)
    assert Rig(["billing/db"], own=own).allows(form)
    for others in (["shared/*"], ["billing/db-*"], ["billing/db-AbC12x"], ["db"]):
        refused = Rig(others, own=own).check(form)
        assert str(refused) == f"unit:billing.service (user deploy) may not get {form}: no rule allows it"
        assert type(refused) is AccessDenied


def test_a_secret_that_is_not_there_is_asked_for_as_often_as_one_that_may_not_be_seen() -> None:
    """Else the time that a refusal takes would tell whether there is a secret `billing/db-backup`."""
    there, missing = f"{HERE}:secret:billing/db-backup", f"{HERE}:secret:billing/db-master"
    rig = Rig(["billing/db"], Account(f"{there}{SUFFIX}"), own=[HERE])
    for _ in range(3):
        assert [type(rig.check(arn)) for arn in (there, missing)] == [AccessDenied] * 2
    assert rig.account.questions == [there, missing]
    rig.clock.advance(KEPT)
    assert [type(rig.check(arn)) for arn in (there, missing)] == [AccessDenied] * 2
    assert rig.account.questions == [there, missing] * 2


def test_what_was_asked_of_the_store_is_judged_by_the_rules_of_then() -> None:
    rig = Rig(["billing/*"])

    class Replacing(Account):
        async def describe(self, secret_id: str) -> SecretDescription:
            rig.policy = Policy(())
            return await super().describe(secret_id)

    rig.gate = PolicyGate(lambda: rig.policy, Replacing(*rig.account.arns).describe, rig.sink, rig.clock)

    assert type(rig.check(FORMS[1])) is AccessDenied


names = st.text("ab/-", min_size=1, max_size=9) | st.text("ab/", min_size=1, max_size=3).map("{}-abcdef".format)
patterns = st.text("ab/*-", min_size=1, max_size=6).filter(lambda text: "***" not in text)


@given(names, st.lists(patterns, min_size=1, max_size=3), st.sampled_from([(), (HERE,)]))
def test_every_form_of_every_id_meets_one_rule(name: str, allowed: list[str], own: tuple[str, ...]) -> None:
    account = Account(f"{HERE}:secret:{name}{SUFFIX}")
    answers = {
        Rig(allowed, account, own).allows(form)
        for form in (name, f"{HERE}:secret:{name}{SUFFIX}", f"{HERE}:secret:{name}")
    }
    assert answers == {any(matcher(pattern)(name) for pattern in allowed)}


def test_a_gate_is_one() -> None:
    gate: Gate = Rig(["a"]).gate
    assert gate.may(BILLING, "get", "a")


def test_a_name_asks_the_store_nothing() -> None:
    rig = Rig(["billing/*"])
    assert rig.allows("billing/db")
    assert not rig.allows("shared/smtp")
    assert rig.account.questions == []


def test_an_arn_that_no_rule_could_mean_asks_the_store_nothing() -> None:
    rig = Rig(["shared/*"])
    assert not rig.allows(FORMS[1])
    assert rig.account.questions == []


def test_how_the_store_s_arns_begin_is_asked_once() -> None:
    rig = Rig(["billing/**"])
    assert [rig.allows(form) for form in (*FORMS, *FORMS, f"{HERE}:secret:billing/other")] == [True] * 7
    assert rig.account.questions == [FORMS[1], "billing/db"]

    known = Rig(["billing/**"], own=(HERE,))
    assert [known.allows(form) for form in FORMS] == [True] * 3
    assert known.account.questions == []


def test_an_arn_that_may_mean_two_is_judged_by_what_it_means() -> None:
    """The whole ARN of `a` looks like the ARN without suffix of `a-AbC12x`."""
    arn = f"{HERE}:secret:a{SUFFIX}"
    longer = f"{HERE}:secret:a{SUFFIX}-Zyx987"
    for allowed, stored, answer in (
        ("a", (arn,), True),
        ("a", (longer,), False),
        ("a-*", (arn,), False),
        ("a-*", (longer,), True),
        ("a", (arn, longer), True),
        ("a-*", (arn, longer), False),
        ("a-*", (), False),
    ):
        for own in ((), (HERE,)):
            rig = Rig([allowed], Account(*stored), own)
            assert rig.allows(arn) is answer, (allowed, stored)
            assert rig.allows(arn) is answer


def test_what_an_arn_means_is_kept_for_a_while() -> None:
    rig, arn = Rig(["a"], Account(f"{HERE}:secret:a{SUFFIX}"), (HERE,)), f"{HERE}:secret:a{SUFFIX}"
    assert rig.allows(arn)
    assert rig.allows(arn)
    assert rig.account.questions == [arn]
    rig.clock.advance(KEPT)
    assert rig.allows(arn)
    assert rig.account.questions == [arn] * 2

    rig.gate.forget()
    rig.account.arns = ()
    assert not rig.allows(arn)


def test_more_arns_than_are_kept_stay_right() -> None:
    arns = [f"{HERE}:secret:a{number}{SUFFIX}" for number in range(1100)]
    rig = Rig(["a1", "a1099"], Account(*arns), (HERE,))
    rig.policy = Policy([Rule(("unit:billing.service",), tuple(f"a{number}" for number in range(1100)), ("get",))])

    async def all_of_them() -> None:
        for arn in (*arns, *arns):
            await rig.gate.check(BILLING, "get", arn)

    asyncio.run(all_of_them())
    assert not rig.allows(f"{HERE}:secret:b{SUFFIX}")


@pytest.mark.parametrize(
    "beginning",
    [
        ELSEWHERE,
        "arn:aws:secretsmanager:us-east-1:123456789012",
        "arn:aws-cn:secretsmanager:eu-west-1:123456789012",
    ],
)
@pytest.mark.parametrize("own", [(), (HERE,)], ids=["unknown", "known"])
def test_the_secret_of_another_account_or_region_is_refused(beginning: str, own: tuple[str, ...]) -> None:
    """The daemon's role reaches it, and it has a name that a rule allows."""
    for there in (f"{beginning}:secret:billing/db{SUFFIX}", f"{beginning}:secret:billing/other{SUFFIX}"):
        rig = Rig(["**"], Account(there, f"{HERE}:secret:billing/db{SUFFIX}"), own)
        for asked in (there, without_suffix(there)):
            assert type(rig.check(str(asked))) is AccessDenied
            assert rig.allows("billing/db")
            assert rig.allows(FORMS[1])


def test_the_beginnings_that_a_store_is_known_by_are_all_its_own() -> None:
    rig = Rig(["billing/*"], own=(f"{HERE}:secret:", f"{ELSEWHERE}:secret:"))

    assert rig.allows(f"{HERE}:secret:billing/db{SUFFIX}")
    assert rig.allows(f"{ELSEWHERE}:secret:billing/db{SUFFIX}")
    assert rig.account.questions == []
    rig.gate.forget((f"{HERE}:secret:",))
    assert not rig.allows(f"{ELSEWHERE}:secret:billing/db{SUFFIX}")


def test_what_a_former_store_answers_late_is_not_believed_of_the_next() -> None:
    there = f"{ELSEWHERE}:secret:billing/db{SUFFIX}"

    class Moving(Account):
        """The store of ELSEWHERE, whose place that of HERE takes while it is asked by name."""

        moved = False

        async def describe(self, secret_id: str) -> SecretDescription:
            if self.moved:
                return await super().describe(secret_id)
            if not secret_id.startswith("arn:"):
                rig.gate.forget()
                self.moved = True
            return SecretDescription("billing/db", there)

    rig = Rig(["billing/*"], Moving(FORMS[1], there))
    assert rig.allows(there), "it was the store's own when that was asked"
    assert not rig.allows(there)


def test_a_refusal_says_the_same_whether_or_not_there_is_such_a_secret() -> None:
    for asked in (*FORMS, "shared/smtp"):
        texts = {str(Rig(["x"], account).check(asked)) for account in (Account(), Account(FORMS[1]))}
        assert len(texts) == 1
    arn = f"{HERE}:secret:a{SUFFIX}"
    longer = f"{arn}-Zyx987"
    assert len({str(Rig(["a"], account).check(arn)) for account in (Account(), Account(longer))}) == 1


@pytest.mark.parametrize("error", [SecretDeleted("x"), AccessDenied("the role may not"), SecretNotFound("x")], ids=repr)
def test_what_the_store_does_not_tell_is_not_allowed(error: SecretsError) -> None:
    rig = Rig(["billing/db"])
    rig.account.fails = error

    assert str(rig.check(FORMS[1])).endswith("no rule allows it")
    assert [record.outcome for record in rig.sink.records] == ["access_denied"]


def test_a_store_that_cannot_be_asked_is_no_refusal() -> None:
    rig = Rig(["billing/db"])
    rig.account.fails = Throttled("slow down")

    assert type(rig.check(FORMS[1])) is Throttled
    assert [(record.outcome, record.source) for record in rig.sink.records] == [("throttled", "policy")]
    rig.account.fails = None
    assert rig.allows(FORMS[1])


def test_a_store_that_answers_about_another_secret_is_not_believed() -> None:
    class Odd(Account):
        async def describe(self, secret_id: str) -> SecretDescription:
            return SecretDescription("billing/db", f"{HERE}:secret:billing/db{SUFFIX}")

    assert not Rig(["**"], Odd()).allows(f"{HERE}:secret:other{SUFFIX}")


def test_each_refusal_is_in_the_audit_log_once_and_what_is_allowed_is_not() -> None:
    rig = Rig(["billing/*"])
    for form in FORMS:
        assert rig.allows(form)
    assert rig.sink.records == []

    for form in ("shared/smtp", f"{HERE}:secret:shared/smtp{SUFFIX}"):
        assert not rig.allows(form)
    assert rig.sink.records == [
        AuditRecord("get", form, "access_denied", "policy", 0.0, caller=caller_facts(BILLING))
        for form in ("shared/smtp", f"{HERE}:secret:shared/smtp{SUFFIX}")
    ]


def test_what_is_about_no_one_secret() -> None:
    rig = Rig(["billing/*"])
    rig.gate.check_any(BILLING, "list")
    texts = []
    for action in ("put", "admin"):
        with pytest.raises(AccessDenied) as refused:
            rig.gate.check_any(BILLING, action)
        texts.append(str(refused.value))

    assert texts == [
        "unit:billing.service (user deploy) may not put any secret: no rule allows it",
        "unit:billing.service (user deploy) may not look after the daemon: no rule allows it admin of **",
    ]
    assert [(one.operation, one.secret_id, one.outcome) for one in rig.sink.records] == [
        ("put", None, "access_denied"),
        ("admin", None, "access_denied"),
    ]


def test_a_list_shows_what_may_be_seen_and_leaves_no_record() -> None:
    rig = Rig(["billing/*"])

    seen = [name for name in ("a", "billing/db", "billing/a/b", "billing/x") if rig.gate.may(BILLING, "list", name)]
    assert seen == ["billing/db", "billing/x"]
    assert rig.sink.records == []


def test_other_rules_are_in_force_at_once() -> None:
    rig = Rig(["billing/*"])
    assert rig.allows("billing/db")
    rig.policy = Policy([])
    assert not rig.allows("billing/db")
    rig.policy = Policy([Rule(("user:deploy",), ("**",), ("admin",))])
    assert rig.allows("billing/db")
    rig.gate.check_any(BILLING, "admin")


@pytest.mark.parametrize(
    "secret_id",
    [
        "", "a b", "a\x00", "a\n", "\u00e4", "bill\u200bing/db", "billing\uff0fdb", "billing%2Fdb", "x" * 513,
        "arn:aws:secretsmanager:eu-west-1:123456789012:secret:", "arn:aws:s3:::billing/db",
        f"{HERE}:secret:billing/db:extra", f"ARN{HERE[3:]}:secret:billing/db", f"{HERE}:Secret:billing/db",
        f"{HERE}:secret:billing%2Fdb", f" {HERE}:secret:billing/db",
        f"{HERE.replace('eu-west-1', 'EU-WEST-1')}:secret:a",
        f"{HERE}:secret:{'x' * 2048}", "arn:",
    ],
    ids=ascii,
)  # fmt: skip
def test_what_is_no_id_is_refused_as_that(secret_id: str) -> None:
    rig = Rig(["**"])
    error = rig.check(secret_id)

    assert type(error) is InvalidSecretName
    assert rig.account.questions == []


@pytest.mark.parametrize("secret_id", ["billing/../admin/x", "BILLING/db", "billing", "billing-abcdef", "billing//db"])
def test_a_name_beside_the_pattern_is_refused_in_each_form(secret_id: str) -> None:
    for form in (secret_id, f"{HERE}:secret:{secret_id}{SUFFIX}", f"{HERE}:secret:{secret_id}"):
        rig = Rig(["billing/*"], Account(f"{HERE}:secret:{secret_id}{SUFFIX}"))
        assert type(rig.check(form)) is AccessDenied


def test_a_caller_of_whom_nothing_is_known_may_nothing() -> None:
    rig = Rig(["**"])
    for action in ACTIONS:
        error = rig.check("a", action, Identity(Peer(address="127.0.0.1:4711")))
        assert str(error) == f"an unknown caller may not {action} a: no rule allows it"


def test_over_a_real_tree_a_refusal_and_what_is_allowed_name_the_caller(tmp_path: Path) -> None:
    log = LogSettings(output=str(tmp_path / "log"))
    policy = Policy([Rule(("unit:billing.service",), ("billing/*",), ("get",))])

    async def use(system: System, clock: Clock) -> None:
        secrets = system.async_secrets
        made = await secrets.set("billing/db", "hunter2")
        await secrets.set("shared/smtp", "hunter2")
        daemon = secrets.for_caller("the daemon")
        gate = PolicyGate(lambda: policy, daemon.describe, tally, clock)
        mine = secrets.for_caller(caller_facts(BILLING))
        for form in ("billing/db", made.arn, str(without_suffix(made.arn))):
            await gate.check(BILLING, "get", form)
            assert (await mine.get(form)).reveal() == "hunter2"
        with pytest.raises(AccessDenied):
            await gate.check(BILLING, "get", "shared/smtp")

    tally = Sink()
    with fake_system(log=log) as (system, store):
        asyncio.run(use(system, store.clock))

    lines = [line for line in audit_log(tmp_path) if line["operation"] == "get"]
    assert len(lines) == 3
    assert {(line["caller"], line["caller_unit"], line["caller_pid"], line["caller_by"]) for line in lines} == {
        ("unit:billing.service (user deploy)", "billing.service", 4711, "peer")
    }
    assert [line["secret_id"] for line in audit_log(tmp_path) if line["caller"] == "the daemon"]
    assert [record.secret_id for record in tally.records] == ["shared/smtp"]
