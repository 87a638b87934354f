"""Data readers, metrics, benchmarks and peers."""
