"""The places that a master key comes from, one file for each; `sources.py` builds the source that is configured."""
