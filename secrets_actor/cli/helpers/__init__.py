"""Helpers for other tools, each in the protocol of that tool: git, Docker, Compose, podman."""
