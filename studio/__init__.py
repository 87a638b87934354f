"""The second world: other hands in other rooms, path traced, as a target domain with exact labels."""
