"""`--check`: joints that the user clicks measure both models."""
