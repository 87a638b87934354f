"""The networks that are released: training on rendered hands and on many people's."""
