"""Every locked version: writing the locks, what belongs to which inputs, what changed, what fits together."""
