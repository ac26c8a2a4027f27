"""The clients that a program calls: `Secrets` for threads, `AsyncSecrets` for coroutines."""
