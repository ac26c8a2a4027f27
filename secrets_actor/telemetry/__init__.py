"""Structured logs, the audit log, the log of life-cycle events, metrics; and the redaction that every line goes
through."""
