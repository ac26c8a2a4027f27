"""Delivery: secrets for programs that know nothing of us, in their environment, in files and in open descriptors.

The change of a secret is told to them by a restart, a signal or a command.
"""
