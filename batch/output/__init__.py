"""The output folder: shards with clips, manifests, and their verification."""
