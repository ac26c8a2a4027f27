"""AWS Secrets Manager's JSON protocol, both ways: one typed shape for each request and each answer. PURE.

The aws backend uses it as a client. A server of the same API can decode requests and encode answers with it.
"""
