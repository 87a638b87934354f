"""`semihand bench`: how long tracking and rendering take on this machine."""
