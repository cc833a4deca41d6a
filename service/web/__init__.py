"""HTTP: routes, their bodies and answers, and what every request passes through."""
