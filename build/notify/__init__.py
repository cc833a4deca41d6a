"""Notifications of a cutover: operator hooks, alert webhook, Alertmanager."""
