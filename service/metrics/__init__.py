"""The metrics of /metrics: counters and histograms of the service, and collectors that run at each scrape."""
