"""What `semihand eval` measures on labelled pictures: predictions, errors, tables, a page."""
