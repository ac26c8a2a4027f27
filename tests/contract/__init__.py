"""One suite of sentences for all backends: what holds here, a caller may lean on whatever the configuration says."""
