"""The secrets actor and what it owns: pure tables, one thin actor, the worker."""
