"""One folder a store, the same port, strangers to each other."""
