"""Runs recorded Erlang/OTP scenarios on our kernel and compares the traces. `../traces/README.md` has the language."""
