"""State on a target: the journal of cutovers, the history derived from it, the cutover lock."""
