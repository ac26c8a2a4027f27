"""Login with the token of a Kubernetes service account.

Kubernetes puts a token into each pod, and replaces it about every hour: it is read at each login. The server has
Kubernetes check it. If it cannot ask, it answers as for a wrong token (403): that is no verdict, see `login.py`.
"""

from typing import Final

from secrets_actor.backends.key_source import KeySource
from secrets_actor.backends.vault.auth.jwt import JwtLogin

# Where Kubernetes puts the token of a pod's service account.
TOKEN_FILE: Final = "/var/run/secrets/kubernetes.io/serviceaccount/token"  # noqa: S105  a path


class KubernetesLogin(JwtLogin):
    """As *role* with the token in *jwt*; None: the one that Kubernetes puts into the pod."""

    def __init__(self, role: str, jwt: KeySource | None = None, *, mount: str = "kubernetes") -> None:
        super().__init__(role, jwt or KeySource("file", TOKEN_FILE), mount=mount)
