"""The output folder: shards with clips, manifests, and the check of both."""
