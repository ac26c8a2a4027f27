"""The places where AWS credentials come from: one file for each."""
