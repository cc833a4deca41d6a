"""HTTP: routes, request and response bodies, and the middleware."""
