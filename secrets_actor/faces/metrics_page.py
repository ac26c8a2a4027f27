"""The face `metrics`: `GET /metrics`, in the text format of Prometheus.

No label of a metric holds the name of a secret or of a caller, so whoever reaches the listener may read them.
"""

from __future__ import annotations

from collections.abc import Callable

from secrets_actor.domain.metrics import Metrics
from secrets_actor.faces.exchange import Request, Response
from secrets_actor.faces.router import refused
from secrets_actor.forks import loading


class MetricsFace:
    """The face `metrics`. *read* returns all metrics as they are now."""

    name = "metrics"

    def __init__(self, read: Callable[[], Metrics]) -> None:
        self._read = read

    def takes(self, request: Request) -> bool:
        """Whether the path is /metrics."""
        return request.path == "/metrics"

    async def answer(self, request: Request) -> Response:
        """Answer with all metrics."""
        if request.method not in ("GET", "HEAD"):
            return refused(405, "ask by GET")
        with loading():  # with the first scrape: prometheus-client takes a tenth of what the daemon takes to be ready
            from secrets_actor.telemetry.prometheus import CONTENT_TYPE, text_of

        return Response(200, (("content-type", CONTENT_TYPE),), text_of(self._read()))
