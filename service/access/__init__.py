"""Who may use the service, and how much: API keys, addresses, rate limits."""
