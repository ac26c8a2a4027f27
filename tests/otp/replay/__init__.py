"""Runs recorded Erlang/OTP scenarios on our kernel and compares the traces. `traces.md` beside the corpus has the language."""
