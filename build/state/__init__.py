"""What a target remembers: the journal of its cutovers, the history read from it, the lease."""
