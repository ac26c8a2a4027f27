"""Copying secrets from one store to another: what is to be done is planned in plan.py, and done by the others."""
