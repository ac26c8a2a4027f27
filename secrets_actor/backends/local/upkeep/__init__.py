"""What an operator does with a local store as a whole: make, verify, rekey, back up, restore. Nothing here prints."""
