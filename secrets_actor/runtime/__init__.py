"""Settings -> objects -> child specs -> System: the only place that knows everybody."""
