"""How a token of OpenBao or Vault is had, renewed and given back: one file a method, and `token_source.py` over all."""
