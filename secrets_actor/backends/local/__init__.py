"""The encrypted local store: SQLite holds the records, AES-256-GCM seals the values, one master key opens them."""
