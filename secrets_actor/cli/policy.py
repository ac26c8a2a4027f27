"""`secrets-actor policy`: what the daemon's rules mean, without a daemon and without a store."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Final

import click

from secrets_actor.cli import output
from secrets_actor.cli.exit_codes import EPILOG, FAILED
from secrets_actor.cli.store.options import json_option
from secrets_actor.telemetry.redaction import printable

if TYPE_CHECKING:
    from secrets_actor.cli.options import Options
    from secrets_actor.faces.identity import Identity
    from secrets_actor.faces.policy import Explanation, Rule

_ANY: Final = "*"
# How a rule is named, as in the mistakes of a configuration.
_RULE: Final = "daemon.allow[{}]"
_ROW: Final = "daemon.systemd_credential[{}]"


@click.group(epilog=EPILOG)
def policy() -> None:
    """Try the rules of the configuration, [[daemon.allow]].

    Nothing is asked: neither a daemon that runs nor the store.
    """


@policy.command(epilog=EPILOG)
@click.option(
    "--as",
    "who",
    multiple=True,
    required=True,
    metavar="TERM",
    help="What is known of the caller, as in a rule: unit:billing.service, user:deploy, uid:990, group:web, token:ci. "
    "Several, or several with + between them, are all true of it.",
)
@click.argument("action")
@click.argument("secret", required=False)
@json_option
@click.pass_context
def check(context: click.Context, who: tuple[str, ...], action: str, secret: str | None) -> None:
    """Say whether a caller may do ACTION with SECRET, by which rule, or what is missing.

    ACTION is get, describe, list, put, create, delete, restore, rotate, tag or admin. SECRET is a name or an ARN.
    Without it: whether there is any secret that the caller may do this with. A real caller has more terms than a rule
    needs: a process of billing.service also has a user and groups.

    Ends with 0 if it is allowed, and with 1 if not.
    """
    from secrets_actor.domain.names import SecretId
    from secrets_actor.faces.identity import identity_of
    from secrets_actor.faces.policy import ACTIONS, Policy

    if action not in ACTIONS:
        raise click.BadParameter(f"one of {', '.join(ACTIONS)}", context, param_hint="ACTION")
    identity = identity_of([term for one in who for term in one.split("+")])
    names = (None,) if secret is None else SecretId(secret).lanes
    options: Options = context.obj
    rules = _rules(options)
    judged = Policy(rules)
    found = [(name, judged.explain(identity, action, name)) for name in names]
    allowed = all(one.allowed_by for _, one in found)
    if options.as_json:
        click.echo(output.as_json(_facts(identity, action, found, allowed)))
    else:
        for name, one in found:
            click.echo("\n".join(map(printable, _told(rules, identity, action, name, one))))
        if len(found) > 1 and not allowed and any(one.allowed_by for _, one in found):
            click.echo("this ARN may mean either secret: the daemon asks the store which")
    if not allowed:
        context.exit(FAILED)


@policy.command(epilog=EPILOG)
@click.option(
    "--uid",
    type=click.IntRange(min=0),
    default=0,
    metavar="UID",
    help="The user whose own systemd runs the unit, and whose own daemon is asked; without it, the system's.",
)
@click.argument("unit")
@click.argument("id_", metavar="ID")
@json_option
@click.pass_context
def credential(context: click.Context, uid: int, unit: str, id_: str) -> None:
    """Say which secret LoadCredential=ID of UNIT is, by which row, and whether UNIT may have it.

    UNIT is such as web@1.service, ID such as db~password. The rows are [[daemon.systemd_credential]]; if none fits, the
    id is the name of the secret, with ~ for /.

    Ends with 0 if UNIT gets it, provided that there is such a secret, and with 1 if not.
    """
    from secrets_actor.faces.identity import terms
    from secrets_actor.faces.policy import Policy
    from secrets_actor.faces.systemd_credentials import MOST_CHARACTERS, Wanted, identity_of, meant_by, mistake_in
    from secrets_actor.runtime.daemon_settings import DaemonSettings, credential_rows_of
    from secrets_actor.runtime.settings_loader import load

    wanted, options = Wanted(unit, id_), context.obj
    mistake = mistake_in(wanted)
    identity = identity_of(wanted, uid, uid)
    if mistake is not None:
        raise click.BadParameter(mistake, context)
    if identity is None:
        raise click.BadParameter("not nobody, who has no systemd", context, param_hint="--uid")
    meant = meant_by(credential_rows_of(load(options.config).settings.daemon or DaemonSettings()), wanted)
    rules = _rules(options)
    judged = Policy(rules)
    found: list[tuple[str | None, Explanation]] = [
        (name, judged.explain(identity, "get", name)) for name in meant.reference.name.lanes
    ]
    fits = len(unit) + len(id_) <= MOST_CHARACTERS
    allowed = fits and all(one.allowed_by for _, one in found)
    row = None if meant.row is None else _ROW.format(meant.row)
    if options.as_json:
        facts = _facts(identity, "get", found, allowed)
        click.echo(output.as_json({**facts, "secret": str(meant.reference), "row": meant.row, "too_long": not fits}))
    else:
        who = " + ".join(sorted(terms(identity)))
        lines = [f"{id_} of {who} is {meant.reference}: {'no row fits, so its id says so' if row is None else row}"]
        for name, one in found:
            lines += _told(rules, identity, "get", name, one)
        if not fits:
            lines.append(f"systemd cannot ask for it: unit and id have more than {MOST_CHARACTERS} characters together")
        click.echo("\n".join(map(printable, lines)))
    if not allowed:
        context.exit(FAILED)


@policy.command(epilog=EPILOG)
@click.option("--partition", default="aws", show_default=True, help="aws, aws-cn or aws-us-gov.")
@click.option("--region", help="The region of the secrets; without it, that of the configuration, or any.")
@click.option("--account", default=_ANY, show_default=True, help="The account of the secrets, 12 digits.")
@json_option
@click.pass_obj
def iam(options: Options, partition: str, region: str | None, account: str) -> None:
    """Print the IAM policy that the daemon's own role needs, so that it can do what the rules allow.

    It is a little wider than the rules, because IAM's * does not stop at a slash. Secrets under a KMS key of your own
    also need kms:Decrypt, and kms:GenerateDataKey to be written.
    """
    from secrets_actor.faces.iam import iam_policy
    from secrets_actor.runtime.settings import region_of
    from secrets_actor.runtime.settings_loader import load

    settings = load(options.config).settings
    if region is None and settings.backend == "aws_secrets_manager":
        region = region_of(settings.aws, os.environ)
    made = iam_policy(_rules(options), partition, region or _ANY, account)
    click.echo(output.as_json(made) if options.as_json else json.dumps(made, indent=2))


def _rules(options: Options) -> tuple[Rule, ...]:
    from secrets_actor.runtime.daemon_settings import DaemonSettings, rules_of
    from secrets_actor.runtime.settings_loader import load

    return rules_of(load(options.config).settings.daemon or DaemonSettings(), os.geteuid())


def _told(rules: tuple[Rule, ...], identity: Identity, action: str, name: str | None, found: Explanation) -> list[str]:
    """Return the explanation for people, as lines."""
    from secrets_actor.faces.identity import terms

    what = f"{' + '.join(sorted(terms(identity)))} may{{}} {action} {'any secret' if name is None else name}"
    if found.allowed_by:
        first, *others = found.allowed_by
        lines = [f"{what.format('')}: {_RULE.format(first)} allows it", *_written(rules[first])]
        return [*lines, *[f"{_RULE.format(number)} allows it, too" for number in others]]
    lines = [f"{what.format(' not')}: no rule allows it"]
    for miss in found.near:
        given = ", ".join(getattr(miss.rule, miss.lacks))
        lines.append(f"{_RULE.format(miss.number)} would allow it, but for its {miss.lacks}: {given}")
    return lines


def _written(rule: Rule) -> list[str]:
    return [f"  {field:<7}  {', '.join(getattr(rule, field))}" for field in ("who", "secrets", "may")]


def _facts(
    identity: Identity, action: str, found: list[tuple[str | None, Explanation]], allowed: bool
) -> dict[str, Any]:
    """Return the explanation for scripts."""
    from secrets_actor.faces.identity import terms

    return {
        "allowed": allowed,
        "as": sorted(terms(identity)),
        "action": action,
        "secrets": [
            {
                "name": name,
                "allowed_by": list(one.allowed_by),
                "near": [{"rule": miss.number, "lacks": miss.lacks} for miss in one.near],
            }
            for name, one in found
        ],
    }
