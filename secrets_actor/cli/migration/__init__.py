"""Copies secrets from one store to another. `plan.py` decides what is to be done; the other files do it."""
