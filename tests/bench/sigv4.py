"""python -m tests.bench.sigv4: what it costs to sign a GetSecretValue request, as a ratio to botocore in the same run.

Both sign the same request with the same session keys. botocore derives its key each time; ours keeps it for a day.
"""

import argparse
import statistics
import sys
from datetime import UTC, datetime

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials

from secrets_actor.backends.aws.sigv4_json import JSON_CONTENT_TYPE, JsonPost
from secrets_actor.backends.aws_credentials import AwsCredentials
from secrets_actor.backends.sigv4 import (
    HttpRequest,
    Scope,
    SigningKeys,
    sign_headers,
)
from secrets_actor.domain.secret import SecretValue
from tests.bench.kernel import timed

HOST = "secretsmanager.us-east-1.amazonaws.com"
BODY = b'{"SecretId":"db/password","VersionStage":"AWSCURRENT"}'
TARGET = "secretsmanager.GetSecretValue"
KEYS = ("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "t" * 800)
SCOPE = Scope("us-east-1", "secretsmanager")
MOST = 0.15


def round_of(number: int) -> tuple[float, float, float]:
    """Seconds for *number* signatures: the JSON short cut, the general signer, botocore's."""
    credentials = AwsCredentials(KEYS[0], SecretValue(KEYS[1]), SecretValue(KEYS[2]))
    keys = SigningKeys()
    post = JsonPost(HOST, SCOPE, keys)
    foreign = SigV4Auth(BotocoreCredentials(*KEYS), SCOPE.service, SCOPE.region)
    headers = (("Host", HOST), ("Content-Type", JSON_CONTENT_TYPE), ("X-Amz-Target", TARGET))

    def short_cut() -> None:
        for _ in range(number):
            post.headers(TARGET, BODY, credentials, datetime.now(UTC))

    def general() -> None:
        for _ in range(number):
            sign_headers(HttpRequest("POST", headers=headers, body=BODY), credentials, SCOPE, datetime.now(UTC), keys)

    def theirs() -> None:
        for _ in range(number):
            foreign.add_auth(AWSRequest("POST", f"https://{HOST}/", dict(headers), BODY))

    return timed(short_cut), timed(general), timed(theirs)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.sigv4")
    parser.add_argument("--number", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    rounds = [round_of(options.number) for _ in range(options.rounds)]
    ratios = [statistics.median(found[side] / found[2] for found in rounds) for side in (0, 1)]
    each = [statistics.median(found[side] for found in rounds) / options.number * 1e6 for side in range(3)]
    for name, ratio, most, cost in (
        ("GetSecretValue signed / botocore", ratios[0], MOST, each[0]),
        ("the same by the general signer", ratios[1], 1.0, each[1]),
    ):
        mark = "" if ratio <= most else "   MISSED"
        print(f"{name:34} {ratio:5.3f}  (most {most})  {cost:6.2f} us, botocore {each[2]:6.2f} us{mark}")
    return 1 if ratios[0] > MOST else 0


if __name__ == "__main__":
    sys.exit(main())
