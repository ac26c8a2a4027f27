"""Per-secret linearizability: a checker, its proofs, and runs over real stores that it judges."""
