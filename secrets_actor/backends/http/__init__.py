"""HTTP/1.1 for all backends: the one door to sockets, TLS and httptools; httpx can run over it."""
