"""`secrets-actor policy`: a decision and its reasons, and the IAM policy of the rules."""

import os
from pathlib import Path

import pytest

from tests.cli.program import Done, Program

CONFIG = """
[[daemon.allow]]
who = ["unit:billing.service", "unit:deploy.service+user:deploy"]
secrets = ["billing/*", "shared/smtp"]
may = ["get", "describe"]
[[daemon.allow]]
who = ["token:ci"]
secrets = ["billing/**"]
may = ["read"]
[[daemon.allow]]
who = ["unit:billing.service"]
secrets = ["billing/db"]
may = ["read", "put"]
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "daemon.toml"
    path.write_text(CONFIG)
    return str(path)


def check(program: Program, config: str, *arguments: str) -> Done:
    return program("--config", config, "policy", "check", *arguments)


def test_a_decision_is_told_with_the_rule(program: Program, config: str) -> None:
    allowed = check(program, config, "--as", "unit:billing.service", "get", "billing/db")

    assert (allowed.status, allowed.stderr) == (0, "")
    assert allowed.text == (
        "unit:billing.service may get billing/db: daemon.allow[0] allows it\n"
        "  who      unit:billing.service, unit:deploy.service+user:deploy\n"
        "  secrets  billing/*, shared/smtp\n"
        "  may      get, describe\n"
        "daemon.allow[2] allows it, too\n"
    )


def test_a_refusal_is_told_with_what_is_missing(program: Program, config: str) -> None:
    refused = check(program, config, "--as", "unit:billing.service", "get", "billing/a/b")

    assert (refused.status, refused.stderr) == (1, "")
    assert refused.text == (
        "unit:billing.service may not get billing/a/b: no rule allows it\n"
        "daemon.allow[0] would allow it, but for its secrets: billing/*, shared/smtp\n"
        "daemon.allow[1] would allow it, but for its who: token:ci\n"
        "daemon.allow[2] would allow it, but for its secrets: billing/db\n"
    )


def test_a_decision_for_scripts(program: Program, config: str) -> None:
    done = check(program, config, "--as", "unit:deploy.service+user:deploy", "get", "shared/smtp", "--json")
    assert (done.status, done.json) == (
        0,
        {
            "allowed": True,
            "as": ["unit:deploy.service", "user:deploy"],
            "action": "get",
            "secrets": [{"name": "shared/smtp", "allowed_by": [0], "near": []}],
        },
    )
    done = check(program, config, "--as", "unit:deploy.service", "--as", "user:other", "get", "billing/db", "--json")
    assert (done.status, done.json["allowed"]) == (1, False)
    assert done.json["secrets"][0]["near"] == [{"rule": number, "lacks": "who"} for number in range(3)]


def test_an_arn_is_judged_by_each_name_that_it_may_mean(program: Program, config: str) -> None:
    arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:"
    both, one, neither = program.at_once(
        *[
            ("--config", config, "policy", "check", "--as", "unit:billing.service", "get", arn + name)
            for name in ("billing/db-AbC12x", "shared/smtp-AbC12x", "other-AbC12x")
        ]
    )
    assert both.status == 0
    assert one.status == 1
    assert one.text.endswith("this ARN may mean either secret: the daemon asks the store which\n")
    assert neither.status == 1
    assert "either" not in neither.text


def test_without_a_secret_any_will_do(program: Program, config: str) -> None:
    listing, putting, admin = program.at_once(
        *[
            ("--config", config, "policy", "check", "--as", who, action)
            for who, action in (("token:ci", "list"), ("token:ci", "put"), ("unit:billing.service", "admin"))
        ]
    )
    assert (listing.status, putting.status, admin.status) == (0, 1, 1)
    assert listing.text.startswith("token:ci may list any secret: daemon.allow[1]")


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("--as", "user:a", "read", "x"), "one of get, describe"),
        (("--as", "billing", "get", "x"), "as: one of unit:NAME.service"),
        (("--as", "user:a", "--as", "user:b", "get", "x"), "one user at most"),
        (("--as", "user:a", "get", "a b"), "a secret name is made of"),
        (("get", "x"), "--as"),
    ],
)
def test_a_wrong_question_is_told(program: Program, config: str, arguments: tuple[str, ...], part: str) -> None:
    done = check(program, config, *arguments)
    assert done.status == 2
    assert part in done.complaint


def test_without_rules_the_user_who_runs_it_may_do_all(program: Program, tmp_path: Path) -> None:
    mine, others = program.at_once(
        *[("policy", "check", "--as", f"uid:{uid}", "delete", "x") for uid in (os.geteuid(), os.geteuid() + 1)]
    )
    assert (mine.status, others.status) == (0, 1)


def test_the_iam_policy_is_that_of_all_rules(program: Program, config: str) -> None:
    plain = program("--config", config, "policy", "iam")
    assert plain.status == 0
    resources = {one for statement in plain.json["Statement"] for one in statement["Resource"]}
    assert {one for one in resources if one != "*"} == {
        f"arn:aws:secretsmanager:*:*:secret:{name}-??????" for name in ("billing/*", "billing/db", "shared/smtp")
    }
    assert plain.text.count("\n") > 10

    on_aws = program.with_settings(SECRETS_ACTOR_BACKEND="aws_secrets_manager", SECRETS_ACTOR_AWS__REGION="eu-west-1")
    line = on_aws("--config", config, "--json", "policy", "iam", "--partition", "aws-cn", "--account", "123456789012")
    assert line.text.count("\n") == 1
    assert "arn:aws-cn:secretsmanager:eu-west-1:123456789012:secret:billing/db-??????" in line.text


CREDENTIALS = """
[[daemon.systemd_credential]]
unit = "web@*.service"
secret = "certs/{instance}#{credential}"
[[daemon.allow]]
who = ["unit:web@.service", "unit:billing.service", "user_unit:1000/web@.service"]
secrets = ["certs/*", "billing/*"]
may = ["get"]
"""


def credential(program: Program, folder: Path, *arguments: str) -> Done:
    path = folder / "daemon.toml"
    path.write_text(CREDENTIALS)
    return program("--config", str(path), "policy", "credential", *arguments)


def test_a_systemd_credential_is_told_with_its_secret_its_row_and_the_rule(program: Program, tmp_path: Path) -> None:
    by_row = credential(program, tmp_path, "web@7.service", "key")
    by_id = credential(program, tmp_path, "billing.service", "billing~db")
    refused = credential(program, tmp_path, "other.service", "billing~db")

    assert (by_row.status, by_row.stderr) == (0, "")
    assert by_row.text.splitlines()[0] == (
        "key of unit:web@.service + unit:web@7.service is certs/7#key: daemon.systemd_credential[0]"
    )
    assert "unit:web@7.service may get certs/7: daemon.allow[0] allows it" in by_row.text
    assert by_id.status == 0
    assert by_id.text.splitlines()[0] == (
        "billing~db of unit:billing.service is billing/db: no row fits, so its id says so"
    )
    assert refused.status == 1
    assert "unit:other.service may not get billing/db: no rule allows it" in refused.text


def test_a_systemd_credential_that_cannot_be_is_told(program: Program, tmp_path: Path) -> None:
    too_long = credential(program, tmp_path, "billing.service", f"billing~{'x' * 70}", "--json")

    assert too_long.status == 1
    assert (too_long.json["too_long"], too_long.json["secrets"][0]["allowed_by"]) == (True, [0])
    assert (too_long.json["secret"], too_long.json["row"]) == (f"billing/{'x' * 70}", None)
    assert credential(program, tmp_path, "web@a:b.service", "key").status == 2
    assert "UNIT" in credential(program, tmp_path, "billing", "key").stderr
    for nobody in ("65534", "-5"):
        assert "--uid" in credential(program, tmp_path, "--uid", nobody, "billing.service", "key").stderr
    assert credential(program, tmp_path, "--uid", "1000", "billing.service", "billing~db").status == 1
