"""A drawing kit for pages that carry everything in themselves: the page, plots, pictures of hands."""
