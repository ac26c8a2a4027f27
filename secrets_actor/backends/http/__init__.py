"""HTTP/1.1 for all backends: the one door to sockets, TLS, httptools and httpx."""
