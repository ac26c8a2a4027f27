"""The encrypted local store: SQLite for the records, AES-256-GCM for the values, one key file."""
