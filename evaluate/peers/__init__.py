"""`semihand peers`: other hand trackers on the same pictures."""
