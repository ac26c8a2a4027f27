"""`doctor`: checks one by one everything that the configured store needs to work, and prints each finding."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import Any, Final

import click

from secrets_actor.cli.options import Options, through
from secrets_actor.cli.output import as_json
from secrets_actor.cli.store.options import settings_with_typed_key
from secrets_actor.clock import now
from secrets_actor.domain.diagnosis import Finding, Verdict
from secrets_actor.domain.errors import ConfigurationError, SecretsError
from secrets_actor.runtime.local_factory import local_factory_for
from secrets_actor.runtime.settings import Settings
from secrets_actor.runtime.settings_loader import load, named
from secrets_actor.telemetry.redaction import printable

POLICY_PREFIX: Final = "app/"  # config/iam-policy.json allows names that begin so
WIDTH: Final = 100  # columns of a finding's text
CHECK: Final = len("GetSecretValue")  # columns for the name of a check: this is the longest


def report(options: Options, prefix: str | None, seconds: float) -> bool:
    """Print the findings as they come, for *seconds* at most. Returns whether none of them is a fault.

    Permissions are tried on a name that begins with *prefix*. None means the prefix of the configured prefetch, or that
    of config/iam-policy.json.
    """
    healthy = True
    for finding in _findings(options, prefix, now() + seconds):
        healthy = healthy and finding.verdict is not Verdict.FAULT
        click.echo(as_json(facts(finding)) if options.as_json else drawn(finding))
    return healthy


def _findings(options: Options, prefix: str | None, deadline: float) -> Iterable[Finding]:
    try:
        if options.ask_passphrase:
            settings, key = settings_with_typed_key(options.config)
            factory, socket = local_factory_for(settings.local, key=key), None
        else:
            settings, make_factory = load(options.config)
            socket = options.daemon_socket(settings)
            factory = (make_factory if socket is None else load(through(socket, settings)).make_factory)(None)
    except ConfigurationError as error:
        yield Finding("configuration", Verdict.FAULT, str(error))
        return
    except SecretsError as error:
        yield Finding("daemon", Verdict.FAULT, str(error), "restart it, or go past it: --no-daemon")
        return
    yield Finding("configuration", Verdict.OK, f"{settings.backend}, from {named(options.config)} and the environment")
    if socket is not None:
        yield Finding("daemon", Verdict.OK, f"commands go through the one at {socket}; --no-daemon goes past it")
    if factory.diagnose is None:
        return
    try:
        yield from factory.diagnose(deadline, _prefix_of(settings) if prefix is None else prefix)
    except SecretsError as error:
        yield Finding("diagnosis", Verdict.FAULT, str(error))


def _prefix_of(settings: Settings) -> str:
    """Return the prefix of the secrets in this configuration's prefetch, or `POLICY_PREFIX` if it names none."""
    prefetch = settings.prefetch
    if prefetch.prefixes:
        return prefetch.prefixes[0]
    folders = [folder + slash for folder, slash, _ in (name.rpartition("/") for name in prefetch.names) if slash]
    return folders[0] if folders else POLICY_PREFIX


def facts(finding: Finding) -> dict[str, Any]:
    """Return a finding as data, for JSON."""
    return {name: getattr(finding, name) for name in ("check", "verdict", "fact", "remedy")}


def drawn(finding: Finding) -> str:
    """Return a finding as text: the check, the verdict, the fact, and on a line of its own the remedy."""
    lines = textwrap.wrap(finding.fact, WIDTH, break_long_words=False, break_on_hyphens=False) or [""]
    if finding.remedy is not None:
        lines += textwrap.wrap(f"-> {finding.remedy}", WIDTH, break_long_words=False, break_on_hyphens=False)
    first, *rest = lines
    head = f"{finding.check.ljust(CHECK)} {finding.verdict.ljust(8)} {first}"
    return "\n".join([printable(line) for line in (head, *(" " * (CHECK + 10) + one for one in rest))])
