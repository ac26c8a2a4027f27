"""The operations on a local store as a whole, for its operator: make, verify, rekey, back up, restore, salvage.

Nothing here prints; the command line does.
"""
