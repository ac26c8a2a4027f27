"""The faces for callers."""
