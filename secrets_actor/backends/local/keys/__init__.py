"""The places that the master key comes from, one file each; `sources.py` builds the one that is configured."""
