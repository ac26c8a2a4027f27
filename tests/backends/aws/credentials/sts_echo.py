"""An STS of tests that answers every call with keys which tell how they were asked for."""

import re
from typing import Any
from urllib.parse import parse_qs

_SIGNER = re.compile(rb"Credential=([^/]+)/")


class StsEcho:
    """A behaviour for `FaultyServer`: the access key id is action and role, `by` whom; the key and token likewise."""

    def serve(self, connection: Any) -> None:
        """Answer until the client ends."""
        while (request := connection.next_request()) is not None:
            form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
            signer = _SIGNER.search(request.head)
            by = form.get("WebIdentityToken") or (signer[1].decode() if signer else "nobody")
            told = f"{form['Action']}.{form['RoleArn'].rpartition('/')[2]}.by.{by}"
            body = (
                f'<{form["Action"]}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{form["Action"]}Result>'
                f"<Credentials><AccessKeyId>{told}</AccessKeyId><SecretAccessKey>secret.{told}</SecretAccessKey>"
                f"<SessionToken>token.{told}</SessionToken><Expiration>2086-01-02T03:04:05Z</Expiration></Credentials>"
                f"</{form['Action']}Result></{form['Action']}Response>"
            ).encode()
            head = f"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: {len(body)}\r\n\r\n"
            connection.client.sendall(head.encode() + body)
