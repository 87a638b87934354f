"""Whether the new network is better, judged without labels on frames that it has not learned from."""
