"""The HTML report of a cutover, from the journal, the gate's recordings and the proxy's log."""
