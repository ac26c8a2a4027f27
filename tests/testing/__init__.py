"""What we give to users' tests, tested: the fake store, its switches, and the helpers for trees."""
