"""Self-contained pages: plots as SVG, pictures of hands, the report of an adaptation."""
