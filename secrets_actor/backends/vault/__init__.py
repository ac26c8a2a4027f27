"""The OpenBao and HashiCorp Vault backend, behind the Backend port: secrets in a KV v2 mount."""
