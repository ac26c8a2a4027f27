"""Structured logs, audit, life-cycle reports; and the redaction that all of them go through."""
