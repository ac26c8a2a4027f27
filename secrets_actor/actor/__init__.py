"""The secrets actor and its parts: pure tables and decisions, one thin actor that carries them out, and the worker."""
