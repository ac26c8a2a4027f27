"""Clients that nobody here wrote, each reading and writing through a daemon that runs as it does on a machine."""
