"""Builds a system: settings -> objects -> child specs -> `System`. The only folder that knows all the others."""
