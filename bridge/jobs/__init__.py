"""Jobs beside the hot path, on a schedule or by hand. They perform errands, find and take in documents that never came,
and make accounts."""
