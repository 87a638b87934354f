"""Recording one hand: guided, judged without labels, kept on this machine."""
