# What secrets_actor needs in OpenBao or Vault: all operations on the secrets whose names begin with app/, in the KV mount
# `secret`. A token has the policy `default`, too, which lets it look at itself, renew and revoke itself, and ask what it
# may do.
#
#   bao policy write secrets-actor config/vault-policy.hcl

# Values: get and get_many; set, create, put, update.
path "secret/data/app/*" {
  capabilities = ["read", "create", "update"]
}

# All else that is known of a secret: describe, versions, descriptions, tags. With `patch`, the token of a set is kept, by
# which a late repeat is known. `delete` removes a secret for good: leave it out, and there is no delete with force.
path "secret/metadata/app/*" {
  capabilities = ["read", "create", "update", "patch", "delete"]
}

# A deletion, and the restore that takes it back.
path "secret/delete/app/*" {
  capabilities = ["update"]
}

path "secret/undelete/app/*" {
  capabilities = ["update"]
}

# Lists: names, descriptions and tags, no values, of all secrets in the mount. OpenBao tells them by one call. Vault knows
# no `scan`: there it takes `list` and `read` on secret/metadata/*. Leave it out, and list, iterate, and prefetches by a
# prefix or a tag do not work.
path "secret/detailed-metadata/" {
  capabilities = ["scan"]
}

# Subscriptions: the versions of all secrets of a folder by one call, no values. Without it, as with Vault, which does not
# know it, a subscription asks for the metadata of its secret.
path "secret/detailed-metadata/app/*" {
  capabilities = ["list"]
}
