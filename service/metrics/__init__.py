"""What /metrics says: counters and histograms of the service, and what is looked at when it is asked."""
