"""What Secrets Manager's operations mean, over any shelf: decided here once, for every store of our own."""
