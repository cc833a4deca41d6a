"""The page of a cutover: gathered from the journal, the gate's recordings and the proxy's log."""
