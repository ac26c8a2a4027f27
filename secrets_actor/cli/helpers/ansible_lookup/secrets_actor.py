"""Ansible's lookup plugin `secrets_actor`, in the form that Ansible wants: it reads the texts below, too.

Ansible runs this file under another module name, in the Python that Ansible itself runs in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from msgspec.structs import replace

from secrets_actor.cli.exit_codes import complaint_about
from secrets_actor.cli.options import Options
from secrets_actor.delivery.fetching import Fetched, Wanted, fetch
from secrets_actor.delivery.references import SCHEME, Reference, parse_reference
from secrets_actor.domain.errors import InvalidSecretValue, SecretsError
from secrets_actor.paths import NoPlace, absolute

# No type stands at the three: ansible-doc does not find an assignment that has one.
DOCUMENTATION = """
name: secrets_actor
author: the maintainers of secrets_actor
short_description: secrets from a secrets_actor daemon or store
description:
  - Asks the daemon that runs on the controller, or the store that is configured there, for each of the terms.
  - A missing secret is an error, and so is a store that cannot be reached. C(errors='ignore') or C(errors='warn') make
    less of it, as with every lookup.
options:
  _terms:
    description: Each is the name of a secret, with C(#MEMBER) for a member of a JSON value, and C(@STAGE) for a stage.
    required: true
    type: list
    elements: str
  member:
    description: Take this member of each value, which is a JSON object. C(#) leads to a member of a member.
    type: str
  stage:
    description: Take the version with this stage, such as AWSPREVIOUS.
    type: str
  config:
    description: The configuration file of secrets_actor. Without it, as for the command line.
    type: path
    vars: [{name: secrets_actor_config}]
    ini: [{section: secrets_actor, key: config}]
  socket:
    description: The Unix socket of the daemon to ask. Without it, as for the command line.
    type: path
    vars: [{name: secrets_actor_socket}]
    ini: [{section: secrets_actor, key: socket}]
notes:
  - The plugin prints no value. A task that uses one may, with C(-v) or C(--diff) or in its result. Say C(no_log) there.
"""
EXAMPLES = """
- name: one value
  ansible.builtin.copy:
    content: "{{ lookup('secrets_actor', 'db/password') }}"
    dest: /etc/app/password
    mode: "0400"
  no_log: true
- name: members of one secret, and the version before
  ansible.builtin.set_fact:
    account: "{{ query('secrets_actor', 'db/login#user', 'db/login#password', 'db/login#password@AWSPREVIOUS') }}"
  no_log: true
"""
RETURN = """
_raw:
  description: The values as texts, one for each term. A member that is no text is given as JSON.
  type: list
  elements: str
"""


class LookupModule(LookupBase):  # type: ignore[misc,unused-ignore]  # Ansible brings no types
    """The plugin: Ansible looks for a class of this name."""

    def run(self, terms: Sequence[str], variables: Mapping[str, Any] | None = None, **kwargs: Any) -> list[str]:
        """Return the value for each of *terms*. Raises `AnsibleLookupError`, which quotes none."""
        self.set_options(var_options=variables, direct=kwargs)
        config, socket = self.get_option("config"), self.get_option("socket")
        try:
            wanted = [self._reference(str(term)) for term in terms]
            options = Options(
                None if config is None else Path(config), False, socket=None if socket is None else absolute(socket)
            )
            with options.secrets() as secrets:
                fetched = fetch(secrets, Wanted(tuple(wanted)))
                return [_text(fetched, one) for one in wanted]
        except (SecretsError, click.UsageError, NoPlace) as error:
            problem = str(error) if isinstance(error, NoPlace) else complaint_about(error).message
        # Not within the handler: Ansible would print that error, too, and what it knows of the place.
        raise AnsibleLookupError(f"secrets_actor: {problem}")

    def _reference(self, term: str) -> Reference:
        found = parse_reference(term.removeprefix(SCHEME))
        member, stage = self.get_option("member"), self.get_option("stage")
        return replace(
            found,
            member=found.member if member is None else (*found.member, *member.split("#")),
            stage=stage or found.stage,
        )


def _text(fetched: Fetched, wanted: Reference) -> str:
    secret = fetched.secret(wanted)
    if secret is not None and not (secret.value.is_text or wanted.member):
        raise InvalidSecretValue(f"{wanted.name} is binary, and values of Ansible are texts: see 'get --raw'")
    return fetched.text(wanted) or ""
