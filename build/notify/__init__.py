"""Who hears of a cutover: the user's hooks, the alert's webhook and Alertmanager."""
