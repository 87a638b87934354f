"""Labels that nobody made: pseudo-labels, readings of many looks, and the landmark model's."""
