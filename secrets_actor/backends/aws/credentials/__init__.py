"""Where AWS keys come from: one file a provider."""
