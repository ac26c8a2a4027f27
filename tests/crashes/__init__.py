"""Programs that are killed while they write to the local store."""
